#include "learning.hpp"

#include <algorithm>
#include <cmath>

#include "random.hpp"

namespace sangbo::dynamics {
namespace {

constexpr std::int32_t kTraceBits = 7;
constexpr std::int32_t kMost = (1 << kTraceBits) - 1;  // of a trace
constexpr std::int32_t kSumBits = 15;
constexpr std::int32_t kShift = 7;  // of weights and tags in the sum
constexpr std::int32_t kMantissaBits = 4;
constexpr std::int32_t kFractionBits = 8;

enum class Side : std::uint32_t { kPre, kPost, kSynapse };

// Numbers that belong to one neuron or row in one step, whoever asks.
PhiloxCounter drawn(const LearningRule& rule, Side side, std::uint32_t index, std::uint64_t step,
                    std::uint32_t part) {
  return philox({part, index, rule.owner * 4 + static_cast<std::uint32_t>(side),
                 static_cast<std::uint32_t>(Purpose::kLearning)},
                rule.seed ^ (step * 0x9E3779B97F4A7C15U));
}

// 1 with the probability `share`.
std::int32_t up(const LearningRule& rule, double share, std::uint32_t random) {
  return rule.stochastic && static_cast<double>(random) * 0x1p-32 < share ? 1 : 0;
}

std::uint8_t faded(const LearningRule& rule, const Trace& trace, std::uint8_t value,
                   std::uint32_t random) {
  const double exact = trace.keep * value;
  const double whole = std::floor(exact);
  return static_cast<std::uint8_t>(static_cast<std::int32_t>(whole) +
                                   up(rule, exact - whole, random));
}

std::uint8_t raised(const LearningRule& rule, const Trace& trace, std::uint8_t value,
                    std::uint32_t random) {
  const double share = static_cast<double>(trace.fraction) / (1 << kFractionBits);
  return static_cast<std::uint8_t>(
      std::min(value + trace.impulse + up(rule, share, random), kMost));
}

template <std::size_t kCount>
void raise(const LearningRule& rule, const std::array<Trace, kCount>& traces, Side side,
           std::uint32_t index, std::uint64_t step, std::array<std::uint8_t, kCount>& values) {
  const PhiloxCounter random = drawn(rule, side, index, step, 1);
  for (std::size_t k = 0; k < kCount; ++k) {
    values[k] = raised(rule, traces[k], values[k], random[k]);
  }
}

// Traces of one neuron in every step of an epoch, from before its first.
template <std::size_t kCount>
void course(const LearningRule& rule, const std::array<Trace, kCount>& traces, Side side,
            std::uint32_t index, std::uint64_t end, std::uint8_t spiked,
            std::array<std::uint8_t, kCount>* steps) {
  for (std::uint32_t t = 1; t <= rule.epoch; ++t) {
    const std::uint64_t step = end - rule.epoch + t;
    steps[t] = steps[t - 1];
    if (std::any_of(steps[t].begin(), steps[t].end(), [](std::uint8_t v) { return v > 0; })) {
      const PhiloxCounter random = drawn(rule, side, index, step, 0);
      for (std::size_t k = 0; k < kCount; ++k) {
        steps[t][k] = faded(rule, traces[k], steps[t][k], random[k]);
      }
    }
    if (spiked == t) {
      raise(rule, traces, side, index, step, steps[t]);
    }
  }
}

// Everything that products may look at, for one synapse and dependency.
struct Sight {
  std::int32_t x0;
  std::int32_t y0;
  std::array<std::uint8_t, 2> x;
  std::array<std::uint8_t, 3> y;
};

struct Value {
  std::int32_t value;
  std::int32_t bits;
};

Value of(const Factor& factor, const Sight& sight, const LearningSynapse& s) {
  switch (factor.variable) {
    case Variable::kX0: return {sight.x0, 1};
    case Variable::kY0: return {sight.y0, 1};
    case Variable::kX1: return {sight.x[0], kTraceBits};
    case Variable::kX2: return {sight.x[1], kTraceBits};
    case Variable::kY1: return {sight.y[0], kTraceBits};
    case Variable::kY2: return {sight.y[1], kTraceBits};
    case Variable::kY3: return {sight.y[2], kTraceBits};
    case Variable::kWeight: return {s.weight, 9};
    case Variable::kTag: return {s.tag, 9};
  }
  return {0, 1};
}

// The widths that Lava gives its sums: one below what 16 bits hold.
std::int32_t held(std::int32_t sum) {
  return std::clamp(sum, -(1 << kSumBits) - 1, (1 << kSumBits) - 1);
}

std::int32_t summed(std::int32_t sum, const std::vector<Product>& products,
                    const std::array<Sight, 3>& sights, const std::array<bool, 3>& active,
                    const LearningSynapse& s) {
  for (const Product& product : products) {
    const auto which = static_cast<std::size_t>(product.dependency);
    if (!active[which]) {
      continue;
    }
    std::uint32_t value = 1;  // wraps, as 32 bits do
    std::int32_t width = kMantissaBits;
    for (const Factor& factor : product.factors) {
      const Value found = of(factor, sights[which], s);
      std::int32_t v = found.value + factor.constant;
      v = factor.sign ? (v > 0) - (v < 0) : v;
      value *= static_cast<std::uint32_t>(std::clamp(v, -(1 << found.bits), (1 << found.bits) - 1));
      width += found.bits;
    }
    value *= static_cast<std::uint32_t>(product.mantissa);
    const std::int32_t shifted = static_cast<std::int32_t>(value) >> std::max(0, width - kSumBits);
    const auto scaled =
        static_cast<std::int32_t>(static_cast<std::uint32_t>(shifted) << product.exponent);
    sum = held(sum + held(scaled));
  }
  return sum;
}

std::int32_t rounded(const LearningRule& rule, std::int32_t sum, std::uint32_t random) {
  const std::int32_t rest = sum & ((1 << kShift) - 1);
  return (sum >> kShift) + up(rule, static_cast<double>(rest) / (1 << kShift), random);
}

void change(LearningSynapse& s, const LearningRule& rule, const std::array<Sight, 3>& sights,
            const std::array<bool, 3>& active, const PhiloxCounter& random) {
  const LearningSynapse before = s;
  if (!rule.weight.empty()) {
    std::int32_t sum = summed(before.weight * (1 << kShift), rule.weight, sights, active, before);
    sum = rule.sign > 0 ? std::max(sum, 0) : rule.sign < 0 ? std::min(sum, 0) : sum;
    const std::int32_t low = rule.sign > 0 ? 0 : rule.sign < 0 ? -255 : -256;
    const std::int32_t high = rule.sign < 0 ? 0 : 255;
    s.weight = static_cast<std::int16_t>(std::clamp(rounded(rule, sum, random[0]), low, high));
  }
  if (!rule.tag.empty()) {
    const std::int32_t sum = summed(before.tag * (1 << kShift), rule.tag, sights, active, before);
    s.tag = static_cast<std::int16_t>(std::clamp(rounded(rule, sum, random[1]), -257, 255));
  }
}

LearningSynapse* synapses(const Rows& rows) {
  return reinterpret_cast<LearningSynapse*>(rows.synapses);
}

}  // namespace

std::uint64_t deliver_learning(const Rows& rows, std::span<const std::uint32_t> spikes, Bits bits,
                               std::uint64_t now, std::int32_t* ring) {
  const std::uint32_t base = bits.base(now);
  const std::uint32_t mask = bits.mask();
  std::uint64_t events = 0;
  for (const std::uint32_t source : spikes) {
    for (std::uint32_t i = rows.begins[source]; i < rows.begins[source + 1]; ++i) {
      const LearningSynapse& s = synapses(rows)[i];
      ring[(s.where + base) & mask] += s.weight;
    }
    events += rows.begins[source + 1] - rows.begins[source];
  }
  return events;
}

void learn(const Rows& rows, Bits bits, const LearningRule& rule, Learned& state,
           std::span<const std::uint32_t> pre, std::span<const std::uint32_t> post,
           std::uint32_t first, std::uint64_t step) {
  const auto within = static_cast<std::uint8_t>((step + rule.epoch - 1) % rule.epoch + 1);
  for (const std::uint32_t i : pre) {
    Learned::Source& source = state.sources[i];
    if (source.spiked > 0) {
      raise(rule, rule.x, Side::kPre, i, step, source.traces);
    }
    source.spiked = within;
  }
  for (const std::uint32_t j : post) {
    Learned::Target& target = state.targets[j - first];
    if (target.spiked > 0) {
      raise(rule, rule.y, Side::kPost, j, step, target.traces);
    }
    target.spiked = within;
  }
  if (within != rule.epoch) {
    return;
  }
  const std::size_t steps = rule.epoch + 1;
  std::vector<std::array<std::uint8_t, 3>> y(state.targets.size() * steps);
  for (std::uint32_t j = 0; j < state.targets.size(); ++j) {
    y[j * steps] = state.targets[j].traces;
    course(rule, rule.y, Side::kPost, first + j, step, state.targets[j].spiked, &y[j * steps]);
    state.targets[j].traces = y[j * steps + rule.epoch];
  }
  std::vector<std::array<std::uint8_t, 2>> x(steps);
  const bool always = rule.decimate > 0 && step / rule.epoch % rule.decimate == 0;
  for (std::uint32_t i = 0; i < state.sources.size(); ++i) {
    Learned::Source& source = state.sources[i];
    x[0] = source.traces;
    course(rule, rule.x, Side::kPre, i, step, source.spiked, x.data());
    for (std::uint32_t k = rows.begins[i]; k < rows.begins[i + 1]; ++k) {
      LearningSynapse& s = synapses(rows)[k];
      const std::uint32_t j = s.where & ((1U << bits.target) - 1);
      const std::uint8_t fired = state.targets[j].spiked;
      const std::array<bool, 3> active = {source.spiked > 0, fired > 0, always};
      if (!active[0] && !active[1] && !active[2]) {
        continue;
      }
      const auto sight = [&](std::uint32_t t) {
        return Sight{active[0], active[1], x[t], y[j * steps + t]};
      };
      // Synapses of one pair share numbers; their sums differ.
      change(s, rule, {sight(source.spiked), sight(fired), sight(rule.epoch)}, active,
             drawn(rule, Side::kSynapse, i, step, first + j));
    }
    source.traces = x[rule.epoch];
    source.spiked = 0;
  }
  for (Learned::Target& target : state.targets) {
    target.spiked = 0;
  }
}

}  // namespace sangbo::dynamics
