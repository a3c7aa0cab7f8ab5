// Tallies against a plain map.
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "counts.hpp"
#include "isa.hpp"

namespace {

using namespace sangbo;

using Plain = std::map<std::int64_t, std::uint64_t>;

Plain taken(Counts& counts, std::size_t index) {
  const auto [magnitudes, times] = counts.take(index);
  Plain plain;
  for (std::size_t i = 0; i < magnitudes.size(); ++i) {
    plain[magnitudes[i]] = times[i];
  }
  return plain;
}

// Levels up to `largest`, in rows of `width`, counted by two threads in turn.
template <class Level>
void compare(const Kernels& kernels, std::mt19937& random, std::int32_t largest, std::size_t width,
             std::size_t rows) {
  Counts counts(kernels, 2, 2, 1, 2);
  Plain expected;
  std::uniform_int_distribution<std::int32_t> any(-largest, largest);
  std::bernoulli_distribution rare(0.9);
  std::vector<Level> levels(width);
  for (std::size_t row = 0; row < rows; ++row) {
    const std::uint64_t times = row % 3 == 0 ? 1 : 1 + row % 7 * 1000;
    const bool quiet = row % 5 == 0;
    for (Level& level : levels) {
      level = static_cast<Level>(quiet          ? 0
                                 : rare(random) ? any(random) / (largest > 63 ? 64 : 1)
                                                : any(random));
      const std::int64_t n = level;
      expected[n < 0 ? -n : n] += times;
    }
    Tally* tally = counts.tally(static_cast<unsigned>(row % 2), 1);
    tally->expect(width);
    tally->add(kernels, levels.data(), width, times);
    if (row % 11 == 0) {
      for (std::size_t number = 0; number < counts.tallies(); ++number) {
        counts.settle(number);
      }
      CHECK(!tally->ripe(), "row %zu", row);
    }
  }
  CHECK(taken(counts, 1) == expected, "largest %d, width %zu", largest, width);
  CHECK(taken(counts, 1).empty(), "a second time");
  CHECK(taken(counts, 0).empty(), "a tally that nobody used");
}

void compare_all(const Kernels& kernels) {
  std::mt19937 random(1);
  for (const std::int32_t largest : {0, 1, 40, 127, 255, 256, 2047, 4095, 4096, 32767}) {
    for (const std::size_t width : {1UL, 63UL, 64UL, 576UL, 20000UL}) {
      compare<std::int16_t>(kernels, random, largest, width, 60);
      compare<std::int32_t>(kernels, random, largest, width, 60);
    }
  }
  for (const std::int32_t largest : {65535, 65536, 1 << 20, 2147483647}) {
    compare<std::int32_t>(kernels, random, largest, 1000, 60);
  }
}

}  // namespace

int main() {
  for (const std::string& name : available_kernels()) {
    compare_all(choose_kernels(name));
  }
  return 0;
}
