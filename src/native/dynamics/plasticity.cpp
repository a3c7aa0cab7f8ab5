#include "plasticity.hpp"

#include <algorithm>
#include <cmath>

namespace sangbo::dynamics {
namespace {

constexpr std::size_t kLongestTable = 1U << 15;
constexpr double kNegligible = 1e-9;

float rise(float w, float by, const Stdp& rule) {
  const float more = rule.scaled_rise ? by * (1.0F - w / rule.largest) : by;
  return std::min(w + more, rule.largest);
}
float fall(float w, float by, const Stdp& rule) {
  const float less = rule.scaled_fall ? by * (w / rule.largest) : by;
  return std::max(w - less, 0.0F);
}

// Applies the spikes of the target that reach the synapse after step `from` and up to `to`.
// Returns the number of spikes that reached it before `to`.
std::uint32_t potentiate(WideSynapse& s, std::uint32_t target, std::uint32_t delay,
                         std::uint32_t from, std::uint32_t to, const Stdp& rule,
                         const History& history, const Sources::Source& source) {
  const std::uint32_t count = history.count(target);
  const std::uint32_t oldest = count > History::kKept ? count - History::kKept : 0;
  std::uint32_t i = count;
  while (i > oldest && history.at(target, i - 1).step + delay > from) {
    --i;
  }
  std::uint32_t before = i;
  float w = s.weight;
  for (; i < count; ++i) {
    const History::Spike& spike = history.at(target, i);
    const std::uint32_t reached = spike.step + delay;
    if (reached > to) {
      break;
    }
    if (source.last != 0) {
      const float trace = source.trace * rule.plus(reached - source.last);
      w = rise(w, trace * (rule.rise + rule.slow_rise * spike.slow), rule);
    }
    before = reached < to ? i + 1 : before;
  }
  s.weight = w;
  return before;
}

// Calls change(synapse, target, delay) for one row.
template <class Change>
void each(const Rows& rows, std::uint32_t source, Bits bits, const Change& change) {
  const std::uint32_t targets = (1U << bits.target) - 1;
  WideSynapse* const end = rows.wide() + rows.begins[source + 1];
  for (WideSynapse* s = rows.wide() + rows.begins[source]; s != end; ++s) {
    change(*s, s->where & targets, (s->where >> bits.target) + 1);
  }
}

}  // namespace

Decay::Decay(double step, double tau) {
  const double reach = std::ceil(-std::log(kNegligible) * tau / step);
  values_.resize(std::min(kLongestTable, static_cast<std::size_t>(reach) + 1));
  for (std::size_t k = 0; k < values_.size(); ++k) {
    values_[k] = static_cast<float>(std::exp(-static_cast<double>(k) * step / tau));
  }
}

History::History(std::uint32_t targets, std::uint32_t longest)
    : counts_(targets), spikes_(std::size_t{targets} * kKept), longest_(longest) {}

bool History::full(std::uint32_t target) const {
  return counts_[target] >= kKept &&
         at(target, counts_[target] - kKept).step + longest_ + 1 > swept_;
}

void History::add(std::uint32_t target, std::uint32_t step, const Stdp& rule) {
  Spike next{step, 1.0F, 0.0F};
  if (counts_[target] > 0) {
    const Spike& last = at(target, counts_[target] - 1);
    next.trace += last.trace * rule.minus(step - last.step);
    next.slow = (last.slow + 1.0F) * rule.slow_minus(step - last.step);
  }
  Spike* const all = spikes_.data() + std::size_t{target} * kKept;
  std::copy_backward(all, all + kKept - 1, all + kKept);
  all[0] = next;
  ++counts_[target];
}

std::uint64_t deliver_plastic(const Rows& rows, std::span<const std::uint32_t> spikes, Bits bits,
                              std::uint32_t now, const Stdp& rule, const History& history,
                              Sources& sources, float* ring) {
  const std::uint32_t base = bits.base(now);
  const std::uint32_t mask = bits.mask();
  std::uint64_t events = 0;
  for (std::size_t k = 0; k < spikes.size(); ++k) {
    if (k + 2 < spikes.size()) {
      const auto* ahead =
          reinterpret_cast<const std::byte*>(rows.wide() + rows.begins[spikes[k + 2]]);
      for (std::size_t line = 0; line < 8; ++line) {
        __builtin_prefetch(ahead + line * kLine, 1);
      }
    }
    Sources::Source& source = sources.of[spikes[k]];
    const float slow = source.last == 0 ? 0.0F : source.slow * rule.slow_plus(now - source.last);
    const float by = rule.fall + rule.slow_fall * slow;
    each(rows, spikes[k], bits, [&](WideSynapse& s, std::uint32_t target, std::uint32_t delay) {
      const std::uint32_t before =
          potentiate(s, target, delay, source.done, now, rule, history, source);
      if (before > 0) {
        const History::Spike& last = history.at(target, before - 1);
        s.weight = fall(s.weight, by * (last.trace * rule.minus(now - delay - last.step)), rule);
      }
      ring[(s.where + base) & mask] += s.weight;
    });
    events += rows.begins[spikes[k] + 1] - rows.begins[spikes[k]];
    source.trace = source.last == 0 ? 1.0F : source.trace * rule.plus(now - source.last) + 1.0F;
    source.slow = slow + 1.0F;
    source.last = now;
    source.done = now;
  }
  return events;
}

void sweep(const Rows& rows, Bits bits, std::uint32_t now, const Stdp& rule, const History& history,
           Sources& sources) {
  for (std::uint32_t i = 0; i < sources.of.size(); ++i) {
    Sources::Source& source = sources.of[i];
    each(rows, i, bits, [&](WideSynapse& s, std::uint32_t target, std::uint32_t delay) {
      potentiate(s, target, delay, source.done, now, rule, history, source);
    });
    source.done = now;
  }
}

void scale(const Rows& rows, Bits bits, const Stdp& rule, const History& history,
           Sources& sources) {
  std::vector<float> factors(history.counts_.size());
  for (std::uint32_t t = 0; t < factors.size(); ++t) {
    const auto spikes = static_cast<float>(history.count(t) - sources.counts[t]);
    factors[t] = std::max(0.0F, 1.0F + rule.gain * (rule.goal - spikes));
    sources.counts[t] = history.count(t);
  }
  for (std::uint32_t i = 0; i < sources.of.size(); ++i) {
    each(rows, i, bits, [&](WideSynapse& s, std::uint32_t target, std::uint32_t) {
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
