// Rows of levels as linear operations read them: low digits, further digits and sums.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../value.hpp"

namespace sangbo {

// Hands out parts of one stretch of memory, each aligned to a cache line.
class Carver {
 public:
  explicit Carver(std::byte* memory) : next_(memory) {}
  template <class T>
  T* take(std::size_t count) {
    auto* part = reinterpret_cast<T*>(next_);
    next_ += round_up(count * sizeof(T), kLine);
    return part;
  }

 private:
  std::byte* next_;
};

// Where one row goes.
struct EncodedRow {
  std::int8_t* low;
  Extra* extras;
  std::uint32_t* extra_count;
  std::int32_t* sums;  // Σ n of each group
};

// Rows in memory of one thread.
struct EncodedRows {
  EncodedRows(const Layout& of, std::size_t rows, Carver& memory)
      : layout(of),
        low(memory.take<std::int8_t>(rows * of.low_bytes())),
        extras(memory.take<Extra>(rows * of.extras())),
        extra_counts(memory.take<std::uint32_t>(rows)),
        sums(memory.take<std::int32_t>(rows * of.groups)) {}
  [[nodiscard]] static std::size_t bytes(const Layout& of, std::size_t rows) {
    return round_up(rows * of.low_bytes(), kLine) +
           round_up(rows * of.extras() * sizeof(Extra), kLine) +
           round_up(rows * sizeof(std::uint32_t), kLine) +
           round_up(rows * of.groups * sizeof(std::int32_t), kLine);
  }
  [[nodiscard]] EncodedRow row(std::size_t r) const {
    return {low + r * layout.low_bytes(), extras + r * layout.extras(), extra_counts + r,
            sums + r * layout.groups};
  }
  // As a task reads them.
  [[nodiscard]] LevelRows levels(int low_bits) const {
    return {low,  layout.low_bytes(), extras,  layout.extras(), extra_counts,
            sums, layout.groups,      low_bits};
  }

  Layout layout;
  std::int8_t* low;
  Extra* extras;
  std::uint32_t* extra_counts;
  std::int32_t* sums;
};

// Which digits' statistics see a row's levels, if any do, and the thread that shows them.
struct Sampler {
  Digits* digits;  // or null
  unsigned thread;
};

// Encodes one row of levels, which ends in zeros up to a multiple of 16; returns Σ |n|. `spread` is
// scratch for layout.padded() levels.
std::int64_t encode(const Kernels& kernels, const Layout& layout, int low_bits,
                    const Sampler& sampler, const std::int32_t* levels, std::int32_t* spread,
                    const EncodedRow& to);

// Whether an accumulator of levels with that Σ |n| stays within 32 bits.
[[nodiscard]] inline bool fits(std::int64_t magnitude, int bits) {
  const std::int64_t largest = bits == 4 ? 15 : 127;
  return magnitude * largest < std::int64_t{1} << 31;
}

}  // namespace sangbo
