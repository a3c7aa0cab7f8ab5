// Making a network: shards, then the rows of every projection, in two passes over the same
// numbers: one counts, one writes.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <optional>

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
constexpr std::uint32_t kChunk = 64;  // rows that a thread takes at a time

// Calls body(first, last) for chunks of 0 … count on all threads.
void parallel(Pool& pool, std::uint32_t count, std::uint32_t chunk,
              const std::function<void(std::uint32_t, std::uint32_t)>& body) {
  std::atomic<std::uint64_t> next{0};
  pool.run([&](unsigned) {
    while (true) {
      const std::uint64_t first = next.fetch_add(chunk, std::memory_order_relaxed);
      if (first >= count) {
        return;
      }
      body(static_cast<std::uint32_t>(first),
           static_cast<std::uint32_t>(std::min<std::uint64_t>(first + chunk, count)));
    }
  });
}

// Writes the synapses of one row.
class Writer {
 public:
  Writer(const Projection& p, Bits bits, std::uint64_t seed, std::uint32_t owner)
      : p_(p), bits_(bits), seed_(seed), owner_(owner) {}

  void begin(std::uint32_t row) {
    weights_.emplace(seed_, Purpose::kWeights, owner_, row);
    delays_.emplace(seed_, Purpose::kDelays, owner_, row);
    weight_ = delay_ = p_.rule->listed(row);
  }
  // Steps of delay of the row's next synapse, less one.
  std::uint32_t delay() {
    return (p_.listed_delays.empty() ? drawn() : p_.listed_delays[delay_++]) - 1;
  }
  // The next synapse is another rank's.
  void pass() {
    delay();
    weight();
  }
  void write(const Rows& rows, std::uint32_t at, std::uint32_t local, std::uint32_t delay) {
    const double weight = this->weight();
    const std::uint32_t where = ((delay & (bits_.steps() - 1)) << bits_.target) | local;
    if (p_.learning) {
      reinterpret_cast<LearningSynapse*>(rows.synapses)[at] = {
          where, static_cast<std::int16_t>(std::lrint(weight)), p_.tag};
    } else if (p_.storage == Storage::kWide) {
      rows.wide()[at] = {where, static_cast<float>(weight)};
    } else {
      const auto whole = static_cast<std::int32_t>(std::lrint(weight / double{p_.unit}));
      rows.compact()[at] = (static_cast<std::uint32_t>(whole) << bits_.where()) | where;
    }
  }

 private:
  double weight() {
    return p_.listed_weights.empty() ? p_.weight.draw(*weights_)
                                     : double{p_.listed_weights[weight_++]};
  }
  std::uint32_t drawn() {
    const double delay = std::clamp(p_.delay.draw(*delays_), 1.0, static_cast<double>(p_.longest));
    return static_cast<std::uint32_t>(std::lrint(delay));
  }

  const Projection& p_;
  Bits bits_;
  std::uint64_t seed_;
  std::uint32_t owner_;
  std::optional<Random> weights_;
  std::optional<Random> delays_;
  std::size_t weight_ = 0;  // the next one, where the caller listed them
  std::size_t delay_ = 0;
};

}  // namespace

void Network::build() {
  divide();
  for (std::uint32_t i = 0; i < projections_.size(); ++i) {
    fill(i);
  }
  share_out();
  zeros_ = Buffer(kLanes * sizeof(float));
  built_ = true;
}

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

// Zeros in the arena.
std::span<std::uint32_t> Network::numbers(std::size_t count) {
  return {reinterpret_cast<std::uint32_t*>(arena_.take(count * sizeof(std::uint32_t)).data()),
          count};
}

void Network::fill(std::uint32_t index) {
  Projection& p = projections_[index];
  const Population& post = populations_[p.post];
  const std::uint32_t sources = populations_[p.pre].size;
  const std::vector<std::size_t>& shards = post.shards;
  const std::uint32_t each = 1U << post.bits.target;
  const std::uint32_t span = shards.size() > 1 ? shards_[shards[1]].first - post.first : each;
  p.rows.resize(shards.size());
  for (Rows& rows : p.rows) {
    rows.phases = p.phases;
    rows.begins = numbers(std::size_t{sources} * p.phases + 2);
  }
  // begins[r + 2] counts first; then begins[r + 1] is where row r goes on.
  const auto go = [&](const auto& found, const auto& pass) {
    if (p.rule->by_target()) {
      parallel(pool_, static_cast<std::uint32_t>(shards.size()), 1,
               [&](std::uint32_t shard, std::uint32_t) {
                 std::vector<std::uint32_t> partners;
                 Writer writer(p, post.bits, seed_, index);
                 for (std::uint32_t local = 0; local < shards_[shards[shard]].count; ++local) {
                   const std::uint32_t target = shards_[shards[shard]].first + local;
                   Random random(seed_, Purpose::kPartners, index, target);
                   partners.clear();
                   p.rule->row(target, random, partners);
                   writer.begin(target);
                   for (const std::uint32_t source : partners) {
                     found(writer, shard, source, local);
                   }
                 }
               });
    } else {
      parallel(pool_, sources, kChunk, [&](std::uint32_t first, std::uint32_t last) {
        std::vector<std::uint32_t> partners;
        Writer writer(p, post.bits, seed_, index);
        for (std::uint32_t source = first; source < last; ++source) {
          Random random(seed_, Purpose::kPartners, index, source);
          partners.clear();
          p.rule->row(source, random, partners);
          // Rows ascend, however targets are divided; what the caller listed does already.
          if (!std::is_sorted(partners.begin(), partners.end())) {
            std::sort(partners.begin(), partners.end());
          }
          writer.begin(source);
          for (const std::uint32_t target : partners) {
            const std::uint32_t own = target - post.first;
            if (own < post.own) {
              found(writer, own / span, source, own % span);
            } else {
              pass(writer);
            }
          }
        }
      });
    }
  };
  const auto row = [&](std::uint32_t source, std::uint32_t delay) {
    return std::size_t{source} * p.phases + (delay >> post.bits.delay);
  };
  go(
      [&](Writer& writer, std::uint32_t shard, std::uint32_t source, std::uint32_t) {
        ++p.rows[shard].begins[row(source, p.phases > 1 ? writer.delay() : 0) + 2];
      },
      [&](Writer& writer) {
        if (p.phases > 1) {
          writer.delay();
        }
      });
  for (Rows& rows : p.rows) {
    std::uint64_t total = 0;
    for (std::size_t s = 2; s < rows.begins.size(); ++s) {
      total += rows.begins[s];
      rows.begins[s] = static_cast<std::uint32_t>(total);
    }
    if (total > ~std::uint32_t{0}) {
      throw Error("expected fewer than 2³² synapses of one projection to a shard, found " +
                  std::to_string(total));
    }
    p.synapses += total;
    rows.synapses = arena_.take(total * synapse_bytes(p.storage)).data();
  }
  go(
      [&](Writer& writer, std::uint32_t shard, std::uint32_t source, std::uint32_t local) {
        const std::uint32_t delay = writer.delay();
        writer.write(p.rows[shard], p.rows[shard].begins[row(source, delay) + 1]++, local, delay);
      },
      [](Writer& writer) { writer.pass(); });
  for (std::size_t k = 0; k < p.rows.size(); ++k) {
    p.rows[k].begins = p.rows[k].begins.first(p.rows[k].begins.size() - 1);
    if (p.plastic()) {
      p.sources.emplace_back();
      p.sources.back().of.resize(sources);
    }
    if (p.learning) {
      p.learned.emplace_back();
      p.learned.back().sources.resize(sources);
      p.learned.back().targets.resize(shards_[shards[k]].count);
    }
    if (p.stdp) {
      p.history.emplace_back(shards_[shards[k]].count, p.longest);
      p.sources.back().counts.resize(shards_[shards[k]].count);
    }
    if (p.reward) {
      p.marks.emplace_back(p.rows[k].begins.back());
    }
  }
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

std::vector<Synapse> Network::synapses(std::uint32_t index) const {
  const Projection& p = projections_[index];
  const Population& post = populations_[p.post];
  const Bits bits = post.bits;
  const std::uint32_t targets = (1U << bits.target) - 1;
  std::vector<Synapse> found;
  found.reserve(p.synapses);
  for (std::uint32_t source = 0; source < populations_[p.pre].size; ++source) {
    for (std::size_t k = 0; k < p.rows.size(); ++k) {
      const Rows& rows = p.rows[k];
      std::uint32_t phase = 0;
      for (std::uint32_t i = rows.begins[rows.row(source, 0)];
           i < rows.begins[rows.row(source + 1, 0)]; ++i) {
        while (i >= rows.begins[rows.row(source, phase) + 1]) {
          ++phase;
        }
        const bool wide = p.storage == Storage::kWide;
        const std::uint32_t word = wide ? rows.wide()[i].where : rows.compact()[i];
        const std::uint32_t where = word & bits.mask();
        const float weight =
            p.learning ? static_cast<float>(
                             reinterpret_cast<const LearningSynapse*>(rows.synapses)[i].weight)
            : wide ? rows.wide()[i].weight
                   : static_cast<float>(static_cast<std::int32_t>(word) >> bits.where()) * p.unit;
        found.push_back({source, shards_[post.shards[k]].first + (where & targets), weight,
                         phase * bits.steps() + (where >> bits.target) + 1});
      }
    }
  }
  return found;
}

void Network::keep(std::uint32_t index, std::span<const std::uint8_t> kept) {
  settle();
  Projection& p = projections_[index];
  if (kept.size() != p.synapses) {
    throw Error("expected to hear of " + std::to_string(p.synapses) + " synapses, found " +
                std::to_string(kept.size()));
  }
  const std::size_t bytes = synapse_bytes(p.storage);
  std::vector<std::uint32_t> begin(p.rows.size(), 0);  // of the next row, before
  std::vector<std::uint32_t> end(p.rows.size(), 0);    // of what is kept
  std::size_t seen = 0;
  for (std::uint32_t source = 0; source < populations_[p.pre].size; ++source) {
    for (std::size_t k = 0; k < p.rows.size(); ++k) {
      Rows& rows = p.rows[k];
      for (std::uint32_t phase = 0; phase < rows.phases; ++phase) {
        std::uint32_t& stop = rows.begins[rows.row(source, phase) + 1];
        for (; begin[k] < stop; ++begin[k]) {
          if (kept[seen++] == 0) {
            continue;
          }
          std::memcpy(rows.synapses + end[k] * bytes, rows.synapses + begin[k] * bytes, bytes);
          if (p.reward) {
            p.marks[k].values.as<float>()[end[k]] = p.marks[k].values.as<float>()[begin[k]];
            p.marks[k].steps.as<std::uint32_t>()[end[k]] =
                p.marks[k].steps.as<std::uint32_t>()[begin[k]];
          }
          ++end[k];
        }
        stop = end[k];
      }
    }
  }
  p.synapses = 0;
  for (const std::uint32_t rest : end) {
    p.synapses += rest;
  }
}

std::vector<float> Network::marks(std::uint32_t index) {
  settle();
  const Projection& p = projections_[index];
  std::vector<float> found;
  for (std::uint32_t source = 0; source < populations_[p.pre].size && p.reward; ++source) {
    for (std::size_t k = 0; k < p.rows.size(); ++k) {
      for (std::uint32_t i = p.rows[k].begins[source]; i < p.rows[k].begins[source + 1]; ++i) {
        const std::uint32_t since = p.marks[k].steps.as<std::uint32_t>()[i];
        found.push_back(p.marks[k].values.as<float>()[i] *
                        p.reward->fade(static_cast<std::uint32_t>(step_) - since));
      }
    }
  }
  return found;
}

}  // namespace sangbo::dynamics
