// Synapses of one projection: for each shard of targets, one row for each source and phase.
//
// A shard's ring of inputs holds few steps, a power of two, so that it stays in a cache; delays are
// cut into phases of so many steps. The row of phase k is delivered k phases after the spike, and
// what is left of the delay says where in the ring.
//
// A synapse says where in its shard's ring a spike adds its weight: target and what is left of the
// delay, less one, together, target in the low bits. A compact synapse is one word, and its weight,
// in the bits above, is a whole number of the projection's unit; a wide one holds it as a float.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "../arena.hpp"
#include "../buffer.hpp"

namespace sangbo::dynamics {

// Bits that say where: targets of a shard, and steps of its ring.
struct Bits {
  unsigned target;
  unsigned delay;

  [[nodiscard]] unsigned where() const { return target + delay; }
  [[nodiscard]] unsigned weight() const { return 32 - where(); }
  [[nodiscard]] std::uint32_t mask() const { return (1U << where()) - 1; }
  [[nodiscard]] std::uint32_t steps() const { return 1U << delay; }
  // What to add to a synapse's place where its spike is delivered at the end of step `now`.
  [[nodiscard]] std::uint32_t base(std::uint64_t now) const {
    return static_cast<std::uint32_t>((now + 1) << target);
  }
};

struct WideSynapse {
  std::uint32_t where;
  float weight;
};

enum class Storage { kCompact, kWide };
inline std::size_t synapse_bytes(Storage storage) {
  return storage == Storage::kCompact ? sizeof(std::uint32_t) : sizeof(WideSynapse);
}

// The synapses of one shard.
struct Rows {
  std::uint32_t phases = 1;
  std::span<std::uint32_t> begins;  // of each source and phase, and the end; in the arena
  std::byte* synapses = nullptr;    // the same
  std::uint64_t events = 0;         // synapses that spikes have crossed

  [[nodiscard]] std::size_t row(std::uint32_t source, std::uint32_t phase) const {
    return std::size_t{source} * phases + phase;
  }
  [[nodiscard]] std::uint32_t* compact() const {
    return reinterpret_cast<std::uint32_t*>(synapses);
  }
  [[nodiscard]] WideSynapse* wide() const { return reinterpret_cast<WideSynapse*>(synapses); }
};

// The inputs of one receptor of one shard to come: a ring of steps, a row of targets for each.
struct Ring {
  float* at = nullptr;  // in the network's arena

  [[nodiscard]] std::int32_t* integers() const { return reinterpret_cast<std::int32_t*>(at); }
};

// Adds the rows of spikes to a ring, and returns how many synapses that were.
struct Delivery {
  const Rows& rows;
  std::uint32_t phase;
  std::span<const std::uint32_t> spikes;
  const float* shares;  // of each spike's weights, or null: all of them
  Bits bits;
  std::uint64_t now;  // the step at whose end they are delivered
  float unit;         // of compact weights
  int shift;          // of integer weights: to the left, or to the right where negative
};

}  // namespace sangbo::dynamics
