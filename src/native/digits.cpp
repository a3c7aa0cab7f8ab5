#include <limits>
#include <tuple>

#include "value.hpp"

namespace sangbo {

void Digits::sample(unsigned thread, const std::int32_t* levels, std::size_t count) {
  Seen& seen = seen_[thread];
  for (std::size_t i = 0; i < count; i += 4) {
    std::uint32_t largest = 0;
    for (std::size_t j = i; j < i + 4; ++j) {
      largest |= static_cast<std::uint32_t>(levels[j] < 0 ? -levels[j] : levels[j]);
    }
    for (std::size_t c = 0; c < costs_.count; ++c) {
      seen.over[c] += (largest >> (costs_.choices[c].bits - 1)) != 0 ? 1U : 0U;
    }
  }
  seen.fours += count / 4;
}

void Digits::choose() {
  Seen all;
  for (const Seen& seen : seen_) {
    all.fours += seen.fours;
    for (std::size_t c = 0; c < costs_.count; ++c) {
      all.over[c] += seen.over[c];
    }
  }
  if (all.fours == 0) {
    return;
  }
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t c = 0; c < costs_.count; ++c) {
    const double share = static_cast<double>(all.over[c]) / static_cast<double>(all.fours);
    const double cost = costs_.choices[c].plain + costs_.extra * share;
    if (cost < least) {
      least = cost;
      bits_ = costs_.choices[c].bits;
    }
  }
}

}  // namespace sangbo
