#include "plasticity.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace sangbo::dynamics {
namespace {

constexpr std::size_t kLongestTable = 1U << 15;
constexpr double kNegligible = 1e-9;

// Calls change(synapse, target) for one row.
template <class Change>
void each(const Rows& rows, std::uint32_t source, Bits bits, const Change& change) {
  const std::uint32_t targets = (1U << bits.target) - 1;
  WideSynapse* const end = rows.wide() + rows.begins[source + 1];
  for (WideSynapse* s = rows.wide() + rows.begins[source]; s != end; ++s) {
    change(*s, s->where & targets);
  }
}

}  // namespace

Decay::Decay(double step, double tau) {
  const double reach = std::ceil(-std::log(kNegligible) * tau / step);
  values_.resize(std::min(kLongestTable, static_cast<std::size_t>(reach) + 1));
  for (std::size_t k = 0; k < values_.size(); ++k) {
    values_[k] = static_cast<float>(std::exp(-static_cast<double>(k) * step / tau));
  }
  values_.push_back(0.0F);
}

History::History(std::uint32_t targets, std::uint32_t longest)
    : counts(targets), words_(sizeof(std::uint32_t) * kWords * targets), longest_(longest) {
  for (std::size_t i = 0; i < std::size_t{targets} * kKept; ++i) {
    data()[i * kWordsOfSpike + kStep] = kNever;
  }
}

bool History::full(std::uint32_t target) const {
  const std::uint32_t oldest = data()[std::size_t{target} * kWords + (kKept - 1) * kWordsOfSpike];
  return oldest != kNever && oldest + longest_ + 1 > swept_;
}

void History::add(std::uint32_t target, std::uint32_t step, const Stdp& rule) {
  std::uint32_t* const newest = data() + std::size_t{target} * kWords;
  float trace = 1.0F;
  float slow = 0.0F;
  if (newest[kStep] != kNever) {
    const std::uint32_t passed = step - newest[kStep];
    trace += std::bit_cast<float>(newest[kTrace]) * rule.minus(passed);
    slow = (std::bit_cast<float>(newest[kSlow]) + 1.0F) * rule.slow_minus(passed);
  }
  std::copy_backward(newest, newest + kWords - kWordsOfSpike, newest + kWords);
  newest[kStep] = step;
  newest[kTrace] = std::bit_cast<std::uint32_t>(trace);
  newest[kSlow] = std::bit_cast<std::uint32_t>(slow);
  ++counts[target];
}

void scale(const Rows& rows, Bits bits, const Stdp& rule, const History& history,
           Sources& sources) {
  std::vector<float> factors(history.counts.size());
  for (std::uint32_t t = 0; t < factors.size(); ++t) {
    const auto spikes = static_cast<float>(history.counts[t] - sources.counts[t]);
    factors[t] = std::max(0.0F, 1.0F + rule.gain * (rule.goal - spikes));
    sources.counts[t] = history.counts[t];
  }
  for (std::uint32_t i = 0; i < sources.of.size(); ++i) {
    each(rows, i, bits, [&](WideSynapse& s, std::uint32_t target) {
      s.weight = std::min(s.weight * factors[target], rule.largest);
    });
  }
}

void release(std::span<const std::uint32_t> spikes, std::uint32_t now, const ShortTerm& rule,
             Sources& sources, std::vector<float>& shares) {
  shares.clear();
  for (const std::uint32_t i : spikes) {
    Sources::Source& source = sources.of[i];  // trace: what is left; slow: share in use
    double left = 1;
    double use = rule.use;
    if (source.last != 0) {
      const double passed = (now - source.last) * rule.step;
      left = 1 + (double{source.trace} - 1) * std::exp(-passed / rule.recovery);
      if (rule.facilitation > 0) {
        const double kept = double{source.slow} * std::exp(-passed / rule.facilitation);
        use = kept + rule.use * (1 - kept);
      }
    }
    shares.push_back(static_cast<float>(left * use));
    source.trace = static_cast<float>(left * (1 - use));
    source.slow = static_cast<float>(use);
    source.last = now;
  }
}

}  // namespace sangbo::dynamics
