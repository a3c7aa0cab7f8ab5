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
inline simde__m512i sangbo_madd_epi16(simde__m512i a, simde__m512i b) {
  const simde__m512i_private x = simde__m512i_to_private(a);
  const simde__m512i_private y = simde__m512i_to_private(b);
  simde__m512i_private to;
  for (int i = 0; i < 16; ++i) {
    to.i32[i] = x.i16[2 * i] * y.i16[2 * i] + x.i16[2 * i + 1] * y.i16[2 * i + 1];
  }
  return simde__m512i_from_private(to);
}
inline std::uint8_t sangbo_test_epi32_mask(simde__m128i a, simde__m128i b) {
  const simde__m128i_private both = simde__m128i_to_private(simde_mm_and_si128(a, b));
  unsigned mask = 0;
  for (unsigned i = 0; i < 4; ++i) {
    mask |= both.i32[i] != 0 ? 1U << i : 0U;
  }
  return static_cast<std::uint8_t>(mask);
}
inline simde__m512i sangbo_zextsi128_si512(simde__m128i a) {
  simde__m512i_private to = simde__m512i_to_private(simde_mm512_setzero_si512());
  to.m128i[0] = a;
  return simde__m512i_from_private(to);
}
inline int sangbo_reduce_add_epi32(simde__m512i a) {
  const simde__m512i_private from = simde__m512i_to_private(a);
  int sum = 0;
  for (int i = 0; i < 16; ++i) {
    sum += from.i32[i];
  }
  return sum;
}
inline float sangbo_reduce_max_ps(simde__m512 a) {
  const simde__m512_private from = simde__m512_to_private(a);
  float largest = from.f32[0];
  for (int i = 1; i < 16; ++i) {
    largest = from.f32[i] > largest ? from.f32[i] : largest;
  }
  return largest;
}
// The low bytes of `count` numbers, zeros behind them.
template <class Numbers>
simde__m128i sangbo_low_bytes(const Numbers& from, int count) {
  simde__m128i_private to = simde__m128i_to_private(simde_mm_setzero_si128());
  for (int i = 0; i < count; ++i) {
    to.i8[i] = static_cast<std::int8_t>(from[i]);
  }
  return simde__m128i_from_private(to);
}
inline simde__m128i sangbo_cvtepi32_epi8(simde__m512i a) {
  return sangbo_low_bytes(simde__m512i_to_private(a).i32, 16);
}
inline simde__m128i sangbo_half_cvtepi32_epi8(simde__m256i a) {
  return sangbo_low_bytes(simde__m256i_to_private(a).i32, 8);
}
inline simde__m128i sangbo_cvtepi16_epi8(simde__m128i a) {
  return sangbo_low_bytes(simde__m128i_to_private(a).i16, 8);
}
inline simde__m256i sangbo_cvtepi32_epi16(simde__m512i a) {
  const simde__m512i_private from = simde__m512i_to_private(a);
  simde__m256i_private to;
  for (int i = 0; i < 16; ++i) {
    to.i16[i] = static_cast<std::int16_t>(from.i32[i]);
  }
  return simde__m256i_from_private(to);
}
#undef _mm512_madd_epi16
#define _mm512_madd_epi16 sangbo_madd_epi16
#define _mm_test_epi32_mask sangbo_test_epi32_mask
#define _mm512_zextsi128_si512 sangbo_zextsi128_si512
#define _mm512_reduce_add_epi32 sangbo_reduce_add_epi32
#define _mm512_reduce_max_ps sangbo_reduce_max_ps
#define _mm512_cvtepi32_epi8 sangbo_cvtepi32_epi8
#define _mm256_cvtepi32_epi8 sangbo_half_cvtepi32_epi8
#define _mm_cvtepi16_epi8 sangbo_cvtepi16_epi8
#define _mm512_cvtepi32_epi16 sangbo_cvtepi32_epi16
#define _mm512_cvtph_ps sangbo_cvtph_ps
#define _mm512_cvtepi32_ps sangbo_cvtepi32_ps
#define _mm256_dpbusd_avx_epi32 simde_mm256_dpbusd_epi32
#define _mm256_dpwssd_avx_epi32 simde_mm256_dpwssd_epi32
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
