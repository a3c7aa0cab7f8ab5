// AVX2: bytes are multiplied to 16-bit pairs, and pairs summed to 32 bits by a second multiply.
#include "kernels.hpp"

#include <array>

#include <immintrin.h>

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

struct Avx2 : Halves {
  static constexpr bool direct = false;
  using Part = Sums;

  // |pair| ≤ 2·255·64 for the widest low digits: no 16-bit saturation.
  static Part multiply_add(const Part& part, const Weights& w, Four n) {
    return {{_mm256_add_epi16(part.v[0], _mm256_maddubs_epi16(w.v[0], n)),
             _mm256_add_epi16(part.v[1], _mm256_maddubs_epi16(w.v[1], n))}};
  }
  static Sums drain(const Sums& sums, const Part& part) {
    const __m256i ones = _mm256_set1_epi16(1);
    return {{_mm256_add_epi32(sums.v[0], _mm256_madd_epi16(part.v[0], ones)),
             _mm256_add_epi32(sums.v[1], _mm256_madd_epi16(part.v[1], ones))}};
  }
  static Sums multiply_pairs(const Sums& sums, const Narrow& w, const std::int16_t* p) {
    const __m256i n = pair(p);
    return {{_mm256_add_epi32(sums.v[0], _mm256_madd_epi16(w.v[0], n)),
             _mm256_add_epi32(sums.v[1], _mm256_madd_epi16(w.v[1], n))}};
  }
};

// Multiplications for each four: 5/4, 3/2 or 2; levels of 16 bits take a little more than 2, for
// widening the weights.
constexpr DigitCosts kPairCosts = {4, {{5, 1.25}, {6, 1.5}, {7, 2.0}, {kWide, 2.1}}, 8.0};

const DigitCosts& pair_costs(std::size_t) { return kPairCosts; }

}  // namespace

const Kernels kAvx2 = {
    "avx2",
    pair_costs,
    Avx2::offset,
    false,
    linear<Avx2>,
    attend<Avx2>,
    depthwise<Avx2>,
    settle,
    split_words<Avx2>,
    total,
    split_short_words<Avx2>,
    narrow<Avx2>,
    magnitudes<std::int32_t>,
    magnitudes<std::int16_t>,
    pair_histogram<shuffle_clip>,
    kRowKernels,
};

}  // namespace sangbo
