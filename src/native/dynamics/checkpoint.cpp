// What a rank's neurons and synapses are in the middle of, in an order that does not depend on how
// threads divide them.
#include <algorithm>
#include <cstring>

#include "../error.hpp"
#include "network.hpp"

namespace sangbo::dynamics {
namespace {

template <class T>
void put(std::vector<std::uint32_t>& words, const T& value) {
  static_assert(sizeof(T) % sizeof(std::uint32_t) == 0);
  const std::size_t at = words.size();
  words.resize(at + sizeof(T) / sizeof(std::uint32_t));
  std::memcpy(words.data() + at, &value, sizeof value);
}

template <class T>
void take(const std::vector<std::uint32_t>& words, std::size_t& at, T& value) {
  if (words.size() - at < sizeof(T) / sizeof(std::uint32_t)) {
    throw Error("expected a checkpoint of this network, found one that is too short");
  }
  std::memcpy(static_cast<void*>(&value), words.data() + at, sizeof value);
  at += sizeof(T) / sizeof(std::uint32_t);
}

}  // namespace

std::vector<float> Network::inputs(std::uint32_t population, std::uint32_t input) const {
  const Population& p = populations_[population];
  const std::size_t slots = p.bits.steps();
  std::vector<float> all(p.reached[input] ? slots * p.own : 0);
  for (const std::size_t i : p.reached[input] ? p.shards : std::vector<std::size_t>()) {
    const Shard& shard = shards_[i];
    for (std::size_t slot = 0; slot < slots; ++slot) {
      const float* from = shard.rings[input].at + (slot << p.bits.target);
      std::copy(from, from + shard.count, all.data() + slot * p.own + (shard.first - p.first));
    }
  }
  return all;
}

void Network::set_inputs(std::uint32_t population, std::uint32_t input,
                         const std::vector<float>& all) {
  const Population& p = populations_[population];
  const std::size_t slots = p.bits.steps();
  if (all.size() != (p.reached[input] ? slots * p.own : 0)) {
    throw Error("expected a checkpoint of this network, found other inputs to '" + p.name + "'");
  }
  for (const std::size_t i : p.reached[input] ? p.shards : std::vector<std::size_t>()) {
    const Shard& shard = shards_[i];
    for (std::size_t slot = 0; slot < slots; ++slot) {
      const float* from = all.data() + slot * p.own + (shard.first - p.first);
      std::copy(from, from + shard.count, shard.rings[input].at + (slot << p.bits.target));
    }
  }
}

std::pair<std::vector<std::uint64_t>, std::vector<std::uint32_t>> Network::sent(
    std::uint32_t population) const {
  const Population& p = populations_[population];
  std::vector<std::uint64_t> steps;
  std::vector<std::uint32_t> neurons;
  const std::uint64_t kept = std::min<std::uint64_t>(p.lag, step_);
  for (std::uint64_t step = step_ - kept; kept > 0 && step <= step_; ++step) {
    const std::vector<std::uint32_t>& spikes = p.sent[step % p.sent.size()];
    steps.insert(steps.end(), spikes.size(), step);
    neurons.insert(neurons.end(), spikes.begin(), spikes.end());
  }
  return {std::move(steps), std::move(neurons)};
}

void Network::set_sent(std::uint32_t population, const std::vector<std::uint64_t>& steps,
                       const std::vector<std::uint32_t>& neurons) {
  Population& p = populations_[population];
  for (std::vector<std::uint32_t>& spikes : p.sent) {
    spikes.clear();
  }
  for (std::size_t i = 0; i < std::min(steps.size(), neurons.size()); ++i) {
    if (steps[i] > step_ || step_ - steps[i] > p.lag || neurons[i] >= p.size) {
      throw Error("expected a checkpoint of this network, found other spikes of '" + p.name + "'");
    }
    p.sent[steps[i] % p.sent.size()].push_back(neurons[i]);
  }
}

// Weights by source and target, then marks and the modulator, traces of sources, and what is known
// of targets.
std::vector<std::uint32_t> Network::plasticity(std::uint32_t index) {
  settle();
  const Projection& p = projections_[index];
  std::vector<std::uint32_t> words;
  if (p.learning) {
    for (std::uint32_t source = 0; source < populations_[p.pre].size; ++source) {
      for (const Rows& rows : p.rows) {
        for (std::uint32_t i = rows.begins[source]; i < rows.begins[source + 1]; ++i) {
          put(words, rows.wide()[i].weight);  // and the tag beside it
        }
      }
    }
    for (std::size_t i = 0; i < (p.learned.empty() ? 0 : p.learned.front().sources.size()); ++i) {
      put(words, p.learned.front().sources[i]);
    }
    for (const Learned& part : p.learned) {
      for (const Learned::Target& target : part.targets) {
        put(words, target);
      }
    }
    return words;
  }
  if (p.sources.empty()) {
    return words;
  }
  const std::uint32_t sources = populations_[p.pre].size;
  for (std::uint32_t source = 0; p.stdp && source < sources; ++source) {
    for (const Rows& rows : p.rows) {
      for (std::uint32_t i = rows.begins[source]; i < rows.begins[source + 1]; ++i) {
        put(words, rows.wide()[i].weight);
      }
    }
  }
  for (std::uint32_t source = 0; p.reward && source < sources; ++source) {
    for (std::size_t k = 0; k < p.rows.size(); ++k) {
      for (std::uint32_t i = p.rows[k].begins[source]; i < p.rows[k].begins[source + 1]; ++i) {
        put(words, p.marks[k].values.as<float>()[i]);
        put(words, p.marks[k].steps.as<std::uint32_t>()[i]);
      }
    }
  }
  if (p.reward) {
    put(words, p.level);
    put(words, p.sum);
  }
  for (const Sources::Source& source : p.sources.front().of) {
    put(words, source);
  }
  for (std::size_t k = 0; k < p.history.size(); ++k) {
    for (std::size_t t = 0; t < p.history[k].counts.size(); ++t) {
      put(words, p.sources[k].counts[t]);
      put(words, p.history[k].counts[t]);
      for (std::size_t i = 0; i < History::kWords; ++i) {
        put(words, p.history[k].data()[t * History::kWords + i]);
      }
    }
  }
  return words;
}

void Network::set_plasticity(std::uint32_t index, const std::vector<std::uint32_t>& words) {
  Projection& p = projections_[index];
  std::size_t at = 0;
  if (p.learning) {
    for (std::uint32_t source = 0; source < populations_[p.pre].size; ++source) {
      for (const Rows& rows : p.rows) {
        for (std::uint32_t i = rows.begins[source]; i < rows.begins[source + 1]; ++i) {
          take(words, at, rows.wide()[i].weight);
        }
      }
    }
    const std::size_t first = at;
    for (Learned& part : p.learned) {
      at = first;
      for (Learned::Source& source : part.sources) {
        take(words, at, source);
      }
    }
    for (Learned& part : p.learned) {
      for (Learned::Target& target : part.targets) {
        take(words, at, target);
      }
    }
  }
  const std::uint32_t sources = p.sources.empty() ? 0 : populations_[p.pre].size;
  for (std::uint32_t source = 0; p.stdp && source < sources; ++source) {
    for (const Rows& rows : p.rows) {
      for (std::uint32_t i = rows.begins[source]; i < rows.begins[source + 1]; ++i) {
        take(words, at, rows.wide()[i].weight);
      }
    }
  }
  for (std::uint32_t source = 0; p.reward && source < sources; ++source) {
    for (std::size_t k = 0; k < p.rows.size(); ++k) {
      for (std::uint32_t i = p.rows[k].begins[source]; i < p.rows[k].begins[source + 1]; ++i) {
        take(words, at, p.marks[k].values.as<float>()[i]);
        take(words, at, p.marks[k].steps.as<std::uint32_t>()[i]);
      }
    }
  }
  if (p.reward) {
    take(words, at, p.level);
    take(words, at, p.sum);
  }
  const std::size_t first = at;
  for (Sources& part : p.sources) {
    at = first;
    for (Sources::Source& source : part.of) {
      take(words, at, source);
    }
  }
  for (std::size_t k = 0; k < p.history.size(); ++k) {
    p.history[k].swept(static_cast<std::uint32_t>(step_));
    for (std::size_t t = 0; t < p.history[k].counts.size(); ++t) {
      take(words, at, p.sources[k].counts[t]);
      take(words, at, p.history[k].counts[t]);
      for (std::size_t i = 0; i < History::kWords; ++i) {
        take(words, at, p.history[k].data()[t * History::kWords + i]);
      }
    }
  }
  if (at != words.size()) {
    throw Error("expected a checkpoint of this network, found one that is too long");
  }
}

}  // namespace sangbo::dynamics
