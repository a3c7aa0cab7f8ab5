// Weights in the order in which kernels read them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "arena.hpp"
#include "kernels/kernels.hpp"

namespace sangbo {

// A weight as a graph stores it (sangbo.graph.Weight); the memory belongs to someone else.
struct StoredWeight {
  const std::uint8_t* values;  // int8, or two 4-bit values to a byte
  int bits;
  std::size_t outputs;
  std::size_t inputs;
  std::size_t group;
  const void* scale;
  const void* minimum;  // or null
  bool half;            // scale and minimum are float16
};

class PackedWeight {
 public:
  // The packed form lives in `arena`, which must outlive it.
  PackedWeight(const StoredWeight& stored, int offset, Arena& arena);

  // Packs outputs [16·first, 16·last); different panels may be packed by different threads.
  void pack(const StoredWeight& stored, std::size_t first, std::size_t last);

  // fl(q·scale) (+ minimum) of one output.
  void row(std::size_t output, float* to) const;

  [[nodiscard]] std::size_t outputs() const { return outputs_; }
  [[nodiscard]] std::size_t inputs() const { return inputs_; }
  [[nodiscard]] std::size_t group() const { return group_; }
  [[nodiscard]] std::size_t panels() const { return panels_; }
  [[nodiscard]] int bits() const { return bits_; }
  [[nodiscard]] std::size_t panel_bytes() const { return panel_bytes_; }
  [[nodiscard]] bool has_minima() const { return !minima_.empty(); }
  [[nodiscard]] std::size_t bytes() const {
    return values_.size() + scales_.size() + minima_.size();
  }
  // Everything of a task that the weight knows.
  void fill(LinearTask& task) const;

 private:
  [[nodiscard]] int value(std::size_t output, std::size_t group, std::size_t place) const;

  int bits_;
  int offset_;
  bool half_;
  std::size_t outputs_;
  std::size_t inputs_;
  std::size_t group_;
  std::size_t groups_;
  std::size_t quads_;
  std::size_t panels_;
  std::size_t panel_bytes_;
  std::span<std::byte> values_;
  std::span<std::byte> scales_;
  std::span<std::byte> minima_;
};

// Inputs of a group once it is padded to whole fours (whole eights for both bit widths alike, so
// that rows of levels fit every weight of that group).
constexpr std::size_t padded_group(std::size_t group) { return round_up(group, 8); }

// The integer that meets an input, and one of the stored scales or minima as a float.
int stored_integer(const StoredWeight& stored, std::size_t output, std::size_t input);
float stored_real(const void* reals, std::size_t at, bool half);

// The reals of one output of a weight with integers: fl(q·scale) (+ minimum).
void stored_row(const StoredWeight& stored, std::size_t output, float* to);

}  // namespace sangbo
