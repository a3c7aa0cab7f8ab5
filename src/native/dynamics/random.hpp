// Numbers that look random and depend on nothing but a key and a counter: Philox4x32-10 (Salmon et
// al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). Whoever asks, and in which order,
// does not matter; so threads need not agree.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace sangbo::dynamics {

inline constexpr std::uint32_t kPhiloxFirst = 0xD2511F53U;
inline constexpr std::uint32_t kPhiloxSecond = 0xCD9E8D57U;
inline constexpr std::uint32_t kPhiloxKeyFirst = 0x9E3779B9U;
inline constexpr std::uint32_t kPhiloxKeySecond = 0xBB67AE85U;
inline constexpr int kPhiloxRounds = 10;

// What a stream of numbers is for; streams of one index never meet.
enum class Purpose : std::uint32_t {
  kPartners,
  kWeights,
  kDelays,
  kTotals,
  kStep,
  kStimulus,
  kLearning,
  kRelease
};

using PhiloxCounter = std::array<std::uint32_t, 4>;

inline PhiloxCounter philox(PhiloxCounter c, std::uint64_t key) {
  auto k0 = static_cast<std::uint32_t>(key);
  auto k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const std::uint64_t a = std::uint64_t{kPhiloxFirst} * c[0];
    const std::uint64_t b = std::uint64_t{kPhiloxSecond} * c[2];
    c = {static_cast<std::uint32_t>(b >> 32) ^ c[1] ^ k0, static_cast<std::uint32_t>(b),
         static_cast<std::uint32_t>(a >> 32) ^ c[3] ^ k1, static_cast<std::uint32_t>(a)};
    k0 += kPhiloxKeyFirst;
    k1 += kPhiloxKeySecond;
  }
  return c;
}

// One stream: the numbers of one purpose, owner (a projection, say) and index (a neuron, say).
class Random {
 public:
  Random(std::uint64_t seed, Purpose purpose, std::uint32_t owner, std::uint32_t index)
      : key_(seed), counter_{0, index, owner, static_cast<std::uint32_t>(purpose)} {}

  std::uint32_t bits() {
    if (left_ == 0) {
      block_ = philox(counter_, key_);
      ++counter_[0];
      left_ = 4;
    }
    return block_[--left_];
  }
  // Uniform in (0, 1), never 0 or 1.
  double uniform() {
    const std::uint64_t high = bits();
    const std::uint64_t low = bits();
    return (static_cast<double>((high << 20) | (low >> 12)) + 0.5) * 0x1p-52;
  }
  // Uniform in 0 … n−1, by Lemire's multiplication without bias.
  std::uint32_t below(std::uint32_t n) {
    std::uint64_t product = std::uint64_t{bits()} * n;
    if (static_cast<std::uint32_t>(product) < n) {
      const std::uint32_t least = (0U - n) % n;
      while (static_cast<std::uint32_t>(product) < least) {
        product = std::uint64_t{bits()} * n;
      }
    }
    return static_cast<std::uint32_t>(product >> 32);
  }
  // Standard normal, by the polar method.
  double normal() {
    while (true) {
      const double x = 2.0 * uniform() - 1.0;
      const double y = 2.0 * uniform() - 1.0;
      const double s = x * x + y * y;
      if (s < 1.0 && s > 0.0) {
        return x * std::sqrt(-2.0 * std::log(s) / s);
      }
    }
  }

 private:
  std::uint64_t key_;
  PhiloxCounter counter_;
  PhiloxCounter block_{};
  unsigned left_ = 0;
};

}  // namespace sangbo::dynamics
