// Synapses that change: spike-timing-dependent plasticity of pairs and triplets, and short-term
// depression and facilitation.
//
// A weight is only brought up to date when its source fires: what its target's spikes did to it
// since then follows from the target's history. Each spike of the target is applied by itself, in
// order, so it does not matter when that happens.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "synapses.hpp"

namespace sangbo::dynamics {

// e^(−k·step/τ) for whole k, 0 from where it is negligible.
class Decay {
 public:
  Decay() = default;
  Decay(double step, double tau);
  float operator()(std::uint32_t steps) const {
    return values_[steps < values_.size() ? steps : values_.size() - 1];
  }
  // The values, of which the last is 0.
  [[nodiscard]] const float* data() const { return values_.data(); }
  [[nodiscard]] std::size_t size() const { return values_.size(); }

 private:
  std::vector<float> values_ = {0.0F};
};

// Pfister and Gerstner (2006), all spikes interacting; a pair rule where the slow terms are 0.
// `scaled`: the change is multiplied by what is left to the bound (soft bounds).
struct Stdp {
  Decay plus;       // trace of sources
  Decay minus;      // trace of targets
  Decay slow_plus;  // of triplets
  Decay slow_minus;
  float rise;  // change by a target's spike, times the source's trace
  float fall;  // change by a source's spike, times the target's trace
  float slow_rise;
  float slow_fall;
  float largest;  // weights stay within 0 … largest
  bool scaled_rise;
  bool scaled_fall;
  float loss;  // by a target's spike, whatever its sources did
  bool scaled_loss;
  // Homeostatic scaling: every so many steps weights are multiplied by 1 + gain·(goal − spikes).
  std::uint32_t every;  // 0: never
  float gain;
  float goal;  // spikes of a target in that time
};

// Pairs of spikes mark a synapse, and a modulator turns marks into weights: eligibility traces
// (Izhikevich 2007). `Stdp` says what pairs do to a mark; its bounds and scaling are not used.
struct Reward {
  Decay fade;           // of marks
  std::uint32_t every;  // steps between changes of weights
  float least;
  float largest;
};

// Tsodyks, Uziel and Markram (2000): the share of a weight that a spike brings.
struct ShortTerm {
  double step;
  double use;
  double recovery;      // ms
  double facilitation;  // ms; 0: none
};

// The last spikes of the targets of one shard: words, the newest spike first, so that what is asked
// for most shares a line.
class History {
 public:
  static constexpr std::uint32_t kKept = 32;  // spikes of each target
  // Words of a spike: its step, the trace after it, the slow trace just before it.
  enum Word : std::uint32_t { kStep, kTrace, kSlow, kWordsOfSpike };
  static constexpr std::uint32_t kWords = kKept * kWordsOfSpike;
  static constexpr std::uint32_t kNever = 0xC0000000U;  // a step long before the first

  History() = default;
  History(std::uint32_t targets, std::uint32_t longest);

  // Whether a spike of `target` must wait until all weights are up to date.
  [[nodiscard]] bool full(std::uint32_t target) const;
  void add(std::uint32_t target, std::uint32_t step, const Stdp& rule);
  void swept(std::uint32_t step) { swept_ = step; }

  // kWords of each target.
  [[nodiscard]] std::uint32_t* data() { return words_.as<std::uint32_t>(); }
  [[nodiscard]] const std::uint32_t* data() const { return words_.as<std::uint32_t>(); }

  std::vector<std::uint32_t> counts;  // of each target's spikes so far

 private:
  Buffer words_;
  std::uint32_t swept_ = 0;
  std::uint32_t longest_ = 1;
};

// What the synapses of one projection to one shard know of their sources.
struct Sources {
  struct Source {
    float trace = 0;  // after its last spike
    float slow = 0;
    std::uint32_t last = 0;  // step of that spike, 0 if none
    std::uint32_t done = 0;  // spikes of targets are applied up to this step
  };
  std::vector<Source> of;
  std::vector<std::uint32_t> counts;  // of targets' spikes, when last scaled
};

// Some plastic synapses of one shard, and the step they are brought up to.
struct Plastic {
  const Rows& rows;
  std::span<const std::uint32_t> spikes;
  Bits bits;
  std::uint32_t now;
  const Stdp& rule;
  const History& history;
  Sources& sources;
};

// The marks of the synapses of one shard, in the order of its rows: the value after the last spike
// of either side that reached the synapse, and the step of that spike. It does not matter when a
// mark is brought up to date, not even to rounding.
struct Marks {
  Buffer values;
  Buffer steps;

  Marks() = default;
  explicit Marks(std::size_t synapses)
      : values(synapses * sizeof(float)), steps(synapses * sizeof(std::uint32_t)) {}
};

// Some synapses that a modulator changes.
struct Rewarded {
  const Plastic& plastic;
  const Reward& reward;
  Marks& marks;
};

// Multiplies all weights by what homeostasis asks of each target; all must be up to date.
void scale(const Rows& rows, Bits bits, const Stdp& rule, const History& history, Sources& sources);

// The share that each of `spikes` brings; `sources` is brought up to date.
void release(std::span<const std::uint32_t> spikes, std::uint32_t now, const ShortTerm& rule,
             Sources& sources, std::vector<float>& shares);

}  // namespace sangbo::dynamics
