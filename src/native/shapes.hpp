// Constants of operations, as a graph states them (sangbo.graph).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/kernels.hpp"

namespace sangbo {

// How a window slides along one axis (sangbo.graph.Window).
struct Window {
  std::size_t size = 1;
  std::size_t kernel = 1;
  std::size_t stride = 1;
  std::size_t before = 0;
  std::size_t dilation = 1;
  std::size_t spread = 1;
  std::size_t outputs = 1;

  // The input that a tap of an output sees; none where it sees a zero.
  [[nodiscard]] std::optional<std::size_t> source(std::size_t output, std::size_t tap) const {
    const std::size_t at = output * stride + tap * dilation;
    if (at < before || (at - before) % spread != 0 || (at - before) / spread >= size) {
      return std::nullopt;
    }
    return (at - before) / spread;
  }
  [[nodiscard]] bool trivial() const {
    return kernel == 1 && stride == 1 && before == 0 && spread == 1 && outputs == size;
  }
};

// The windows of two axes of space, the first trivial where there is but one.
using Windows = std::array<Window, 2>;

struct AttentionShape {
  std::size_t heads;
  std::size_t key_heads;
  bool causal;
  bool cached;  // whether queries are the next rows of sequences, or whole ones
  std::int32_t highest;
  float scale;                   // fl(fl(θq·θk)·scale)
  float inverse;                 // 1/θp
  float threshold;               // θv
  std::vector<float> distances;  // [heads][2·D + 1], or empty
};

struct RecurrentShape {
  Cell cell;
  std::size_t size;
  bool reverse;
  std::int32_t lowest;
  std::int32_t highest;
  float inverse;    // 1/θ of the state
  float threshold;  // θ of the state
};

// Rows of cosines and sines, one for each position; the memory belongs to someone else.
struct RotaryTables {
  const float* cosine;
  const float* sine;
  std::size_t positions;
};

// A linear operation on levels beside its weight.
struct LinearShape {
  float threshold;
  std::vector<float> bias;  // or empty
};

}  // namespace sangbo
