// Loihi's learning engine in whole numbers: traces of 7 bits, and weights and tags of 9 that change
// by sums of products at the end of every epoch; sangbo.dynamics.loihi_learning has the equations.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "synapses.hpp"

namespace sangbo::dynamics {

// What a spike adds to a trace, and what a step keeps of it.
struct Trace {
  std::int32_t impulse;
  std::int32_t fraction;  // of the impulse, in 1/256
  double keep;
};

enum class Variable : std::uint8_t { kX0, kY0, kX1, kX2, kY1, kY2, kY3, kWeight, kTag };
enum class Dependency : std::uint8_t { kPre, kPost, kAlways };

// (variable + constant), or the sign of that.
struct Factor {
  Variable variable;
  std::int32_t constant;
  bool sign;
};

// mantissa·2^(exponent − 7)·Π factors, where and when the dependency holds.
struct Product {
  Dependency dependency;
  std::int32_t mantissa;
  std::int32_t exponent;  // 0 or more
  std::vector<Factor> factors;
};

struct LearningRule {
  std::uint32_t epoch;     // steps
  std::uint32_t decimate;  // epochs between products that depend on nothing; 0: there are none
  std::array<Trace, 2> x;
  std::array<Trace, 3> y;
  std::vector<Product> weight;
  std::vector<Product> tag;
  std::int32_t sign;  // of weights: 1, −1, or 0 for both
  bool stochastic;    // rounding; down where not
  std::uint64_t seed;
  std::uint32_t owner;  // projection
};

// Of the same size as a wide synapse.
struct LearningSynapse {
  std::uint32_t where;
  std::int16_t weight;
  std::int16_t tag;
};
static_assert(sizeof(LearningSynapse) == sizeof(WideSynapse));

// What the synapses of one shard know of both sides.
struct Learned {
  struct Source {
    std::array<std::uint8_t, 2> traces;  // when the epoch began
    std::uint8_t spiked;                 // step of the epoch of the last spike, 1 …; 0: none
    std::uint8_t unused;
  };
  struct Target {
    std::array<std::uint8_t, 3> traces;
    std::uint8_t spiked;
  };
  std::vector<Source> sources;
  std::vector<Target> targets;
};

// Adds the rows of `spikes` to the ring; returns how many synapses that were.
std::uint64_t deliver_learning(const Rows& rows, std::span<const std::uint32_t> spikes, Bits bits,
                               std::uint64_t now, std::int32_t* ring);

// One step: notes the spikes of both sides, and changes the synapses where an epoch ends. `first`
// is the shard's first target.
void learn(const Rows& rows, Bits bits, const LearningRule& rule, Learned& state,
           std::span<const std::uint32_t> pre, std::span<const std::uint32_t> post,
           std::uint32_t first, std::uint64_t step);

}  // namespace sangbo::dynamics
