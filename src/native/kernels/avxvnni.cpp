// AVX2 with AVX-VNNI: one instruction multiplies and sums four bytes.
#include "kernels.hpp"

#include <array>

#if defined(SANGBO_INTRINSICS)  // tests may emulate them
#include SANGBO_INTRINSICS
#else
#include <immintrin.h>
#endif

namespace sangbo {
namespace {

constexpr std::size_t kLanes = 8;

// In this order: each uses what stands before it.
#include "reals.inl"

#include "activations.inl"

#include "cells.inl"

#include "rows.inl"

#include "digits.inl"

#include "depthwise.inl"

#include "linear.inl"

#include "attention.inl"

#include "clip.inl"

#include "pairs.inl"

#include "avx2.inl"

struct AvxVnni : Halves {
  static constexpr bool direct = true;
  using Part = Sums;

  static Part multiply_add(const Part& part, const Weights& w, Four n) {
    return {{_mm256_dpbusd_avx_epi32(part.v[0], w.v[0], n),
             _mm256_dpbusd_avx_epi32(part.v[1], w.v[1], n)}};
  }
  static Sums drain(const Sums& sums, const Part& part) {
    return {{_mm256_add_epi32(sums.v[0], part.v[0]), _mm256_add_epi32(sums.v[1], part.v[1])}};
  }
  static Sums multiply_pairs(const Sums& sums, const Narrow& w, const std::int16_t* p) {
    const __m256i n = pair(p);
    return {{_mm256_dpwssd_avx_epi32(sums.v[0], w.v[0], n),
             _mm256_dpwssd_avx_epi32(sums.v[1], w.v[1], n)}};
  }
};

}  // namespace

const Kernels kAvxVnni = {
    "avx-vnni",
    byte_costs,
    AvxVnni::offset,
    true,
    linear<AvxVnni>,
    attend<AvxVnni>,
    depthwise<AvxVnni>,
    settle,
    split_planes<AvxVnni>,
    total,
    split_short_planes<AvxVnni>,
    narrow<AvxVnni>,
    magnitudes<std::int32_t>,
    magnitudes<std::int16_t>,
    pair_histogram<shuffle_clip>,
    kRowKernels,
};

}  // namespace sangbo
