// Which neurons go together in a shard, how many steps its ring holds, and which thread has it.
#include <algorithm>
#include <bit>
#include <vector>

#include "../error.hpp"
#include "network.hpp"

namespace sangbo::dynamics {
namespace {

// A shard's ring for one receptor stays within this many bits of words (2 MiB), so within a cache.
constexpr unsigned kRingBits = 19;
constexpr unsigned kMostTargetBits = 16;
constexpr unsigned kFewestTargetBits = 8;
constexpr unsigned kMostDelayBits = 12;
// Where delays are cut into phases, all rings of a population have this many bits of words if they
// can: the caches of two cores. Rings do not depend on threads, or sums would.
constexpr unsigned kPhasedRingBits = 20;
constexpr unsigned kFewestPhaseBits = 3;
constexpr double kShortRow = 32;    // synapses; shorter rows cost more than they save
constexpr std::uint32_t kSeen = 8;  // rows that are made to see how long they are
constexpr std::uint32_t kSmallShard = 256;

}  // namespace

void Network::divide() {
  incoming_.resize(populations_.size());
  std::vector<std::uint32_t> longest(populations_.size(), 1);
  std::vector<std::uint32_t> lags(populations_.size(), 0);
  for (std::uint32_t i = 0; i < projections_.size(); ++i) {
    const Projection& p = projections_[i];
    incoming_[p.post].push_back(i);
    longest[p.post] = std::max(longest[p.post], p.longest);
  }
  for (std::uint32_t i = 0; i < populations_.size(); ++i) {
    Population& population = populations_[i];
    if (longest[i] >= 1U << kMostDelayBits) {
      throw Error("expected delays of fewer than " + std::to_string(1U << kMostDelayBits) +
                  " steps, found " + std::to_string(longest[i]) + " to '" + population.name + "'");
    }
    const unsigned delay = ring_bits(i);
    const unsigned fit = std::clamp(kRingBits - delay, kFewestTargetBits, kMostTargetBits);
    const auto fewest = [&](std::uint32_t neurons) {
      return std::max(1U, (neurons + (1U << fit) - 1) >> fit);
    };
    const auto shard_size = [&](std::uint32_t neurons, std::uint32_t parts) {
      return static_cast<std::uint32_t>(
          round_up(std::max(1U, (neurons + parts - 1) / parts), kBlock));
    };
    // More shards where threads would idle; but weights must not depend on threads or ranks.
    const std::uint32_t small = population.cells ? kBlock : kSmallShard;
    const std::uint32_t own = population.own;
    const std::uint32_t each =
        shard_size(own, std::max(fewest(own), std::min(pool_.threads(), own / small)));
    population.bits = {static_cast<unsigned>(std::bit_width(each - 1)), delay};
    const std::uint32_t whole = shard_size(population.size, fewest(population.size));
    const Bits widest{static_cast<unsigned>(std::bit_width(whole - 1)), delay};
    for (const std::uint32_t k : incoming_[i]) {
      Projection& p = projections_[k];
      p.phases = ((p.longest - 1) >> delay) + 1;
      lags[p.pre] = std::max(lags[p.pre], (p.phases - 1) << delay);
      if (p.unit == 0) {
        p.unit = p.largest / static_cast<float>((1U << (widest.weight() - 1)) - 1);
      }
      if (p.storage == Storage::kCompact &&
          p.largest / p.unit >= static_cast<float>(1U << (widest.weight() - 1))) {
        throw Error("expected compact weights of " + std::to_string(widest.weight()) +
                    " bits to '" + population.name + "', found some that need more");
      }
    }
    const std::uint32_t end = population.first + own;
    for (std::uint32_t first = population.first; first < end; first += each) {
      Shard shard{};
      shard.population = i;
      shard.first = first;
      shard.count = std::min(each, end - first);
      shard.fired.resize((shard.count + kLanes - 1) / kLanes);
      const std::size_t inputs = population.reached.size();
      shard.rings.resize(inputs);
      shard.inputs.resize(inputs);
      if (population.cells) {
        shard.scratch = Buffer(population.cells->scratch_doubles() * sizeof(double));
      }
      for (std::size_t k = 0; k < inputs; ++k) {
        if (population.reached[k]) {
          shard.rings[k].at = reinterpret_cast<float*>(
              arena_.take(sizeof(float) << population.bits.where()).data());
        }
      }
      population.shards.push_back(shards_.size());
      shards_.push_back(std::move(shard));
    }
  }
  for (std::uint32_t i = 0; i < populations_.size(); ++i) {
    populations_[i].lag = lags[i];
    populations_[i].sent.resize(std::size_t{lags[i]} + (early_ ? 2 * block_ : 1));
  }
}

// Bits of the steps that rings to a population hold.
unsigned Network::ring_bits(std::uint32_t population) const {
  std::uint32_t longest = 1;
  bool plastic = false;
  for (const std::uint32_t i : incoming_[population]) {
    longest = std::max(longest, projections_[i].longest);
    plastic = plastic || projections_[i].plastic() || projections_[i].learning;
  }
  const auto whole = static_cast<unsigned>(std::bit_width(longest - 1));
  const auto targets = static_cast<unsigned>(std::bit_width(populations_[population].size - 1));
  // Plastic synapses are brought up to date when their spike is sent, so they know no phases.
  if (plastic || targets + whole <= kPhasedRingBits) {
    return whole;
  }
  unsigned bits =
      targets + kFewestPhaseBits < kPhasedRingBits ? kPhasedRingBits - targets : kFewestPhaseBits;
  const auto is_short = [&](std::uint32_t i) {
    const Projection& p = projections_[i];
    return out_degree(i) < kShortRow * (((p.longest - 1) >> bits) + 1);
  };
  while (bits < whole &&
         std::any_of(incoming_[population].begin(), incoming_[population].end(), is_short)) {
    ++bits;
  }
  return std::min(bits, whole);
}

// Synapses of a source on average, as some rows have them.
double Network::out_degree(std::uint32_t index) const {
  const Projection& p = projections_[index];
  const std::uint32_t sources = populations_[p.pre].size;
  const std::uint32_t rows = p.rule->by_target() ? populations_[p.post].size : sources;
  const std::uint32_t seen = std::min(rows, kSeen);
  std::vector<std::uint32_t> partners;
  for (std::uint32_t k = 0; k < seen; ++k) {
    const auto row = static_cast<std::uint32_t>(std::uint64_t{rows} * k / seen);
    Random random(seed_, Purpose::kPartners, index, row);
    p.rule->row(row, random, partners);
  }
  return static_cast<double>(partners.size()) / seen * rows / sources;
}

// Gives each shard to the thread that has least to do so far, the dearest first.
void Network::share_out() {
  std::vector<double> cost(shards_.size());
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    const Population& population = populations_[shards_[i].population];
    cost[i] = shards_[i].count *
              (population.cells ? 4.0 * static_cast<double>(population.cells->nodes()) : 1.0);
  }
  for (const Projection& p : projections_) {
    for (std::size_t k = 0; k < p.rows.size(); ++k) {
      // As if neurons fired in one of 200 steps.
      cost[populations_[p.post].shards[k]] += 0.005 * p.rows[k].begins.back();
    }
  }
  std::vector<std::size_t> order(shards_.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    order[i] = i;
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return cost[a] > cost[b]; });
  std::vector<double> load(pool_.threads(), 0);
  mine_.resize(pool_.threads());
  for (const std::size_t i : order) {
    const auto least = std::min_element(load.begin(), load.end()) - load.begin();
    load[static_cast<std::size_t>(least)] += cost[i];
    mine_[static_cast<std::size_t>(least)].push_back(i);
  }
}

}  // namespace sangbo::dynamics
