// Arm NEON with the dot-product extension: four registers of 4 outputs make a panel.
#include "kernels.hpp"

#include <arm_neon.h>

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

#include "pairs.inl"

struct Neon : PlainDigits {
  static constexpr std::size_t rows = 4;
  static constexpr std::size_t panels = 1;
  static constexpr bool direct = true;
  static constexpr std::uint32_t offset = 0;  // bytes of weights are signed here
  struct Sums {
    int32x4_t v[4];
  };
  struct Reals {
    float32x4_t v[4];
  };
  struct Weights {
    int8x16_t v[4];
  };
  struct Narrow {
    int16x8_t even[2];
    int16x8_t odd[2];
  };
  using Part = Sums;
  using Four = int8x16_t;

  static Sums none() {
    const int32x4_t v = vdupq_n_s32(0);
    return {{v, v, v, v}};
  }
  static Weights weights(const std::uint8_t* p) {
    const auto* q = reinterpret_cast<const std::int8_t*>(p);
    return {{vld1q_s8(q), vld1q_s8(q + 16), vld1q_s8(q + 32), vld1q_s8(q + 48)}};
  }
  static Weights nibbles(const Weights& w, bool high) {
    Weights result;
    for (int i = 0; i < 4; ++i) {
      const uint8x16_t bytes = vreinterpretq_u8_s8(w.v[i]);
      result.v[i] =
          vreinterpretq_s8_u8(high ? vshrq_n_u8(bytes, 4) : vandq_u8(bytes, vdupq_n_u8(15)));
    }
    return result;
  }
  static Four four(const std::int8_t* p) {
    std::int32_t word;
    __builtin_memcpy(&word, p, sizeof word);
    return vreinterpretq_s8_s32(vdupq_n_s32(word));
  }
  static Part multiply_add(const Part& part, const Weights& w, Four n) {
    return {{vdotq_s32(part.v[0], w.v[0], n), vdotq_s32(part.v[1], w.v[1], n),
             vdotq_s32(part.v[2], w.v[2], n), vdotq_s32(part.v[3], w.v[3], n)}};
  }
  static Sums drain(const Sums& sums, const Part& part) {
    return {{vaddq_s32(sums.v[0], part.v[0]), vaddq_s32(sums.v[1], part.v[1]),
             vaddq_s32(sums.v[2], part.v[2]), vaddq_s32(sums.v[3], part.v[3])}};
  }
  static Sums add_shifted(const Sums& sums, const Sums& more, std::uint32_t shift) {
    const int32x4_t count = vdupq_n_s32(static_cast<std::int32_t>(shift));
    Sums result;
    for (int i = 0; i < 4; ++i) {
      result.v[i] = vaddq_s32(sums.v[i], vshlq_s32(more.v[i], count));
    }
    return result;
  }
  static Reals reals(const void* p, std::size_t at, bool half) {
    Reals y;
    for (std::size_t i = 0; i < 4; ++i) {
      if (half) {
        const auto* q = static_cast<const std::uint16_t*>(p) + at + 4 * i;
        y.v[i] = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(q)));
      } else {
        y.v[i] = vld1q_f32(static_cast<const float*>(p) + at + 4 * i);
      }
    }
    return y;
  }
  static Reals to_reals(const Sums& sums) {
    return {{vcvtq_f32_s32(sums.v[0]), vcvtq_f32_s32(sums.v[1]), vcvtq_f32_s32(sums.v[2]),
             vcvtq_f32_s32(sums.v[3])}};
  }
  static Reals all(float x) {
    const float32x4_t v = vdupq_n_f32(x);
    return {{v, v, v, v}};
  }
  static Reals times(const Reals& a, const Reals& b) {
    return {{vmulq_f32(a.v[0], b.v[0]), vmulq_f32(a.v[1], b.v[1]), vmulq_f32(a.v[2], b.v[2]),
             vmulq_f32(a.v[3], b.v[3])}};
  }
  static Reals plus(const Reals& a, const Reals& b) {
    return {{vaddq_f32(a.v[0], b.v[0]), vaddq_f32(a.v[1], b.v[1]), vaddq_f32(a.v[2], b.v[2]),
             vaddq_f32(a.v[3], b.v[3])}};
  }
  static void write(float* p, const Reals& y) {
    for (int i = 0; i < 4; ++i) {
      vst1q_f32(p + 4 * i, y.v[i]);
    }
  }
  static void write(std::int32_t* p, const Sums& sums) {
    for (int i = 0; i < 4; ++i) {
      vst1q_s32(p + 4 * i, sums.v[i]);
    }
  }
  static Narrow pairs(const std::int8_t* p) {
    const int8x16x2_t w = vld2q_s8(p);
    return {{vmovl_s8(vget_low_s8(w.val[0])), vmovl_s8(vget_high_s8(w.val[0]))},
            {vmovl_s8(vget_low_s8(w.val[1])), vmovl_s8(vget_high_s8(w.val[1]))}};
  }
  static Narrow pairs(const std::int16_t* p) {
    const int16x8x2_t low = vld2q_s16(p);
    const int16x8x2_t high = vld2q_s16(p + 16);
    return {{low.val[0], high.val[0]}, {low.val[1], high.val[1]}};
  }
  static Sums multiply_pairs(const Sums& sums, const Narrow& w, const std::int16_t* p) {
    Sums result = sums;
    for (int i = 0; i < 2; ++i) {
      int32x4_t* v = result.v + 2 * i;
      v[0] = vmlal_n_s16(v[0], vget_low_s16(w.even[i]), p[0]);
      v[1] = vmlal_n_s16(v[1], vget_high_s16(w.even[i]), p[0]);
      v[0] = vmlal_n_s16(v[0], vget_low_s16(w.odd[i]), p[1]);
      v[1] = vmlal_n_s16(v[1], vget_high_s16(w.odd[i]), p[1]);
    }
    return result;
  }
};

}  // namespace

const Kernels kNeonDotprod = {
    "neon-dotprod",
    byte_costs,
    Neon::offset,
    true,
    linear<Neon>,
    attend<Neon>,
    depthwise<Neon>,
    settle,
    split_planes<Neon>,
    total,
    split_short_planes<Neon>,
    narrow<Neon>,
    magnitudes<std::int32_t>,
    magnitudes<std::int16_t>,
    pair_histogram<clip>,
    kRowKernels,
};

}  // namespace sangbo
