// Intrinsics that the histogram by bit slices takes.
#pragma once

#include "emulated.hpp"

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
inline simde__m512i sangbo_maskz_loadu_epi16(simde__mmask32 mask, const std::uint16_t* from) {
  simde__m512i_private to = simde__m512i_to_private(simde_mm512_setzero_si512());
  for (unsigned i = 0; i < 32; ++i) {
    if ((mask >> i & 1U) != 0) {
      to.u16[i] = from[i];
    }
  }
  return simde__m512i_from_private(to);
}
inline simde__m512i sangbo_shuffle_i64x2(simde__m512i a, simde__m512i b, unsigned places) {
  const simde__m512i_private x = simde__m512i_to_private(a);
  const simde__m512i_private y = simde__m512i_to_private(b);
  simde__m512i_private to = simde__m512i_to_private(simde_mm512_setzero_si512());
  for (unsigned block = 0; block < 4; ++block) {
    const unsigned place = places >> 2 * block & 3U;
    for (unsigned i = 0; i < 2; ++i) {
      to.i64[2 * block + i] = (block < 2 ? x : y).i64[2 * place + i];
    }
  }
  return simde__m512i_from_private(to);
}
#define __mmask32 simde__mmask32
#define _mm512_cmpgt_epu16_mask sangbo_cmpgt_epu16_mask
#define _mm512_maskz_compress_epi16 sangbo_maskz_compress_epi16
#define _mm512_maskz_loadu_epi16 sangbo_maskz_loadu_epi16
#define _mm512_shuffle_i64x2 sangbo_shuffle_i64x2
