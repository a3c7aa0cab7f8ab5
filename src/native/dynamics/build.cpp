// Making the rows of every projection, in two passes over the same numbers: one counts, one
// writes.
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
