// AMX beside AVX-512 VNNI: a tile multiplies 16 rows of levels with a panel, 64 inputs at a time. A
// panel's weights lie as a tile wants them.
#include "kernels.hpp"

#if defined(SANGBO_INTRINSICS)  // tests may emulate them
#include SANGBO_INTRINSICS
#else
#include <immintrin.h>
#endif

namespace sangbo {
namespace {

constexpr std::size_t kLanes = 16;

// In this order: each uses what stands before it.
#include "reals.inl"

#include "activations.inl"

#include "cells.inl"

#include "rows.inl"

#include "depthwise.inl"

#include "linear.inl"

#include "attention.inl"

#include "avx512.inl"

#include "tiles.inl"

// As clip, without looking at each.
std::size_t compress_clip(const std::uint16_t* from, std::uint16_t bound, std::uint16_t* copy,
                          std::uint16_t* above) {
  const __m512i most = _mm512_set1_epi16(static_cast<std::int16_t>(bound));
  std::size_t found = 0;
  for (std::size_t i = 0; i < 64; i += 32) {
    const __m512i v = _mm512_loadu_si512(from + i);
    const __mmask32 larger = _mm512_cmpgt_epu16_mask(v, most);
    _mm512_storeu_si512(copy + i, _mm512_min_epu16(v, most));
    _mm512_storeu_si512(above + found, _mm512_maskz_compress_epi16(larger, v));
    found += static_cast<std::size_t>(__builtin_popcount(larger));
  }
  return found;
}

}  // namespace

const Kernels kAmx = {
    "amx",
    tile_costs,
    Avx512Vnni::offset,
    true,
    linear_tiles,
    attend<Avx512Vnni>,
    depthwise,
    settle,
    split_planes,
    total,
    magnitudes<std::int32_t>,
    magnitudes<std::int16_t>,
    compress_clip,
    kRowKernels,
};

}  // namespace sangbo
