// Plain C++, for machines without any of the other kernels.
#include "kernels.hpp"

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

struct Plain : Wide {
  static constexpr std::size_t rows = 2;
  static constexpr bool direct = true;
  static constexpr std::uint32_t offset = 0;
  using Part = Sums;
  struct Weights {
    std::int8_t v[64];
  };
  struct Four {
    std::int32_t v[4];
  };
  struct Narrow {
    std::int16_t v[2 * kPanel];
  };
  static Weights weights(const std::uint8_t* p) {
    Weights w;
    __builtin_memcpy(&w, p, sizeof w);
    return w;
  }
  static Weights nibbles(Weights w, bool high) {
    for (std::int8_t& v : w.v) {
      v = static_cast<std::int8_t>(high ? static_cast<std::uint8_t>(v) >> 4 : v & 15);
    }
    return w;
  }
  static Four four(const std::int8_t* p) { return {{p[0], p[1], p[2], p[3]}}; }
  // Not inlined: the loops around it are unrolled for machines with registers of this size.
  [[gnu::noinline]] static Sums multiply_add(Sums sums, const Weights& w, const Four& n) {
    for (std::size_t i = 0; i < kPanel; ++i) {
      std::int32_t sum = 0;
      for (std::size_t j = 0; j < 4; ++j) {
        sum += w.v[4 * i + j] * n.v[j];
      }
      sums.v[i] += static_cast<std::uint32_t>(sum);
    }
    return sums;
  }
  static Sums drain(const Sums& sums, const Part& part) { return add_shifted(sums, part, 0); }
  static Sums add_shifted(Sums sums, const Sums& more, std::uint32_t shift) {
    for (std::size_t i = 0; i < kPanel; ++i) {
      sums.v[i] += more.v[i] << shift;
    }
    return sums;
  }
  static Reals reals(const void* p, std::size_t at, bool half) {
    Reals y;
    if (half) {
      for (std::size_t i = 0; i < kPanel; ++i) {
        y.v[i] = widen_half(static_cast<const std::uint16_t*>(p)[at + i]);
      }
    } else {
      __builtin_memcpy(&y, static_cast<const float*>(p) + at, sizeof y);
    }
    return y;
  }
  static Reals plus(Reals a, const Reals& b) {
    for (std::size_t i = 0; i < kPanel; ++i) {
      a.v[i] += b.v[i];
    }
    return a;
  }
  template <class Element>
  static Narrow pairs(const Element* p) {
    Narrow w;
    for (std::size_t i = 0; i < 2 * kPanel; ++i) {
      w.v[i] = p[i];
    }
    return w;
  }
  static Sums multiply_pairs(Sums sums, const Narrow& w, const std::int16_t* pair) {
    for (std::size_t i = 0; i < kPanel; ++i) {
      sums.v[i] += static_cast<std::uint32_t>(w.v[2 * i] * pair[0]) +
                   static_cast<std::uint32_t>(w.v[2 * i + 1] * pair[1]);
    }
    return sums;
  }
};

}  // namespace

const Kernels kPortable = {
    "portable",
    byte_costs,
    Plain::offset,
    true,
    linear<Plain>,
    attend<Plain>,
    depthwise<Plain>,
    settle,
    split_planes<Plain>,
    total,
    split_short_planes<Plain>,
    narrow<Plain>,
    magnitudes<std::int32_t>,
    magnitudes<std::int16_t>,
    pair_histogram<clip>,
    kRowKernels,
};

}  // namespace sangbo
