// Intrinsics in portable code (SIMD Everywhere), so that kernels can be tested on machines that
// lack their instructions. Included in place of <immintrin.h>.
#pragma once

#define SIMDE_NO_NATIVE
#define SIMDE_ENABLE_NATIVE_ALIASES
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#endif
#include <simde/x86/avx2.h>
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>

// What this library does not have.
inline simde__m512 sangbo_cvtph_ps(simde__m256i halves) {
  simde__m256i_private from = simde__m256i_to_private(halves);
  simde__m512_private to;
  for (int i = 0; i < 16; ++i) {
    simde_float16 half;
    const std::uint16_t bits = from.u16[i];
    __builtin_memcpy(&half, &bits, sizeof half);
    to.f32[i] = simde_float16_to_float32(half);
  }
  return simde__m512_from_private(to);
}
inline simde__m512 sangbo_cvtepi32_ps(simde__m512i words) {
  simde__m512i_private from = simde__m512i_to_private(words);
  simde__m512_private to;
  for (int i = 0; i < 16; ++i) {
    to.f32[i] = static_cast<float>(from.i32[i]);
  }
  return simde__m512_from_private(to);
}
#define _mm512_cvtph_ps sangbo_cvtph_ps
#define _mm512_cvtepi32_ps sangbo_cvtepi32_ps
#define _mm256_dpbusd_avx_epi32 simde_mm256_dpbusd_epi32
#define _mm256_dpwssd_avx_epi32 simde_mm256_dpwssd_epi32
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
