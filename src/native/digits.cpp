#include <limits>
#include <tuple>

#include "value.hpp"

namespace sangbo {

void Digits::sample(const std::int32_t* levels, std::size_t count) {
  std::array<std::uint64_t, std::tuple_size_v<decltype(over_)>> over{};
  for (std::size_t i = 0; i < count; i += 4) {
    std::uint32_t largest = 0;
    for (std::size_t j = i; j < i + 4; ++j) {
      largest |= static_cast<std::uint32_t>(levels[j] < 0 ? -levels[j] : levels[j]);
    }
    for (std::size_t c = 0; c < costs_.count; ++c) {
      over[c] += (largest >> (costs_.choices[c].bits - 1)) != 0 ? 1U : 0U;
    }
  }
  fours_.fetch_add(count / 4, std::memory_order_relaxed);
  for (std::size_t c = 0; c < costs_.count; ++c) {
    over_[c].fetch_add(over[c], std::memory_order_relaxed);
  }
}

void Digits::choose() {
  const auto fours = static_cast<double>(fours_.load(std::memory_order_relaxed));
  if (fours == 0) {
    return;
  }
  int best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t c = 0; c < costs_.count; ++c) {
    const auto over = static_cast<double>(over_[c].load(std::memory_order_relaxed));
    const double cost = costs_.choices[c].plain + costs_.extra * over / fours;
    if (cost < least) {
      least = cost;
      best = costs_.choices[c].bits;
    }
  }
  bits_.store(best, std::memory_order_relaxed);
}

}  // namespace sangbo
