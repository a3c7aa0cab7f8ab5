// Intrinsics that AMX kernels take.
#pragma once

#include "emulated.hpp"
#include "emulated_tiles.hpp"

inline simde__mmask32 sangbo_cmpgt_epu16_mask(simde__m512i a, simde__m512i b) {
  const simde__m512i_private x = simde__m512i_to_private(a);
  const simde__m512i_private y = simde__m512i_to_private(b);
  simde__mmask32 mask = 0;
  for (unsigned i = 0; i < 32; ++i) {
    mask |= static_cast<simde__mmask32>(x.u16[i] > y.u16[i] ? 1U << i : 0U);
  }
  return mask;
}
inline simde__m512i sangbo_maskz_compress_epi16(simde__mmask32 mask, simde__m512i a) {
  const simde__m512i_private from = simde__m512i_to_private(a);
  simde__m512i_private to = simde__m512i_to_private(simde_mm512_setzero_si512());
  unsigned found = 0;
  for (unsigned i = 0; i < 32; ++i) {
    if ((mask >> i & 1U) != 0) {
      to.u16[found++] = from.u16[i];
    }
  }
  return simde__m512i_from_private(to);
}
#define __mmask32 simde__mmask32
#define _mm512_cmpgt_epu16_mask sangbo_cmpgt_epu16_mask
#define _mm512_maskz_compress_epi16 sangbo_maskz_compress_epi16
