// What a program's operations read and write: values, where they lie, and how levels are encoded.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "buffer.hpp"
#include "kernels/kernels.hpp"
#include "packed.hpp"

namespace sangbo {

enum class Kind { kReal, kIndex, kLevels };

// Number of a first axis, whose size each run chooses.
using Axis = std::size_t;

// Rows of a value: `each` for each entry of a first axis. A value is a matrix of its rows, all axes
// but the last taken as one, and its channels.
struct Domain {
  Axis axis;
  std::size_t each;

  auto operator<=>(const Domain&) const = default;
};

// A stretch of a run's workspace: `bytes` for each row of a domain, alive from the stage that
// writes it to the last stage that reads it.
struct Place {
  std::size_t bytes = 0;
  Domain domain{};
  std::size_t first = 0;
  std::size_t last = 0;
  int slot = -1;  // in the workspace, or
  // In memory of the thread that works on a block of rows, which alone sees them: bytes before it
  // for each row of a block; or
  std::int64_t local = -1;
  int external = -1;  // the caller's memory: an input or an output
};

// How a row of levels is laid out for linear operations whose weights have groups of one size.
struct Layout {
  std::size_t group;
  std::size_t groups;

  [[nodiscard]] std::size_t padded() const { return groups * padded_group(group); }
  // Bytes from the low digits of one row to the next: rows a multiple of 4096 bytes apart would
  // fall on the same lines of the cache.
  [[nodiscard]] std::size_t low_bytes() const {
    const std::size_t low = round_up(sangbo::low_bytes(padded()), kLine);
    return low + (low % 4096 == 0 ? kLine : 0);
  }
  // Further digits that a row may have.
  [[nodiscard]] std::size_t extras() const { return padded() / 4 * 3; }
};

// Levels of a value as linear operations with one size of group read them.
struct Encoding {
  Layout layout;
  std::size_t low;  // places
  std::size_t extras;
  std::size_t extra_counts;
  std::size_t sums;
  std::size_t magnitudes;  // Σ |n| as int64
  std::size_t digits;      // number of its Digits
};

// Levels of a value as windows read them, without gaps between rows: for each group of channels all
// rows, one group behind the other.
struct Strip {
  std::size_t groups;
  std::size_t number;  // among the program's
  std::size_t shorts;  // place of levels in 16 bits
  std::size_t large;  // place of a byte for each row: whether it has levels beyond kTwoDigits; then
  std::size_t wide;   // all of its levels are here, in 32 bits
};

// How many bits the low digits of an encoding get: the choice follows what earlier runs saw.
class Digits {
 public:
  // Knows nothing yet, and chooses the widest.
  Digits(const DigitCosts& costs, unsigned threads)
      : costs_(costs), bits_(costs.choices[costs.count - 1].bits), seen_(threads) {}
  [[nodiscard]] int bits() const { return bits_; }
  // Notes the levels of a row that a thread sampled.
  void sample(unsigned thread, const std::int32_t* levels, std::size_t count);
  // Chooses for the runs to come; between runs only.
  void choose();

 private:
  // What one thread saw, on lines of the cache of its own.
  struct alignas(64) Seen {
    std::uint64_t fours = 0;
    // Fours with levels beyond the bits of each choice.
    std::array<std::uint64_t, std::extent_v<decltype(DigitCosts::choices)>> over{};
  };

  const DigitCosts& costs_;
  int bits_;
  std::vector<Seen> seen_;
};

struct Value {
  std::string name;
  Kind kind;
  std::size_t channels;
  Domain domain;
  std::size_t written = 0;   // stage
  std::size_t read = 0;      // last stage that reads it
  bool by_rows = false;      // whether a row operation writes it
  std::int32_t largest = 0;  // declared bound on |level|
  int place = -1;            // reals, indices, or levels as int32 where something reads them so
  int given = -1;            // the caller's memory, without gaps between rows, if not `place`
  bool filled = true;        // whether something writes `place`
  std::size_t tally = 0;     // the first of its tallies, and
  std::size_t tallies = 1;   // how many they are
  std::size_t total = 0;     // number of the sum that its operation counts into, if any
  std::vector<Encoding> encodings;
  std::vector<Strip> strips;
  // Of levels: the tally, from the first on, that counts each row, numbered within `domain.each`;
  // all are in one where this is empty.
  std::vector<std::uint8_t> classes;

  [[nodiscard]] std::size_t padded() const {
    return kind == Kind::kIndex ? 1 : round_up(channels, kPanel);
  }
};

using ValueId = std::size_t;

}  // namespace sangbo
