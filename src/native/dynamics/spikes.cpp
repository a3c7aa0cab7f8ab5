// Spikes from where they arise to where they are known: on this rank, and on all others.
#include <algorithm>

#include "../error.hpp"
#include "network.hpp"

namespace sangbo::dynamics {
namespace {

constexpr std::uint32_t kNone = ~0U;
constexpr std::size_t kHead = 2;  // words: what is wrong, if anything is

}  // namespace

std::uint32_t Network::own_first(std::uint32_t size, std::uint32_t rank) const {
  const std::uint64_t blocks = (std::uint64_t{size} + kBlock - 1) / kBlock;
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(size, blocks * rank / slice_.ranks * kBlock));
}

// Which neurons are of this rank.
void Network::slice(Population& p) const {
  p.first = own_first(p.size, slice_.rank);
  p.own = own_first(p.size, slice_.rank + 1) - p.first;
  p.padded = static_cast<std::uint32_t>(round_up(std::max(p.own, 1U), kLanes));
}

void Network::exchange(std::unique_ptr<Exchange> exchange, std::uint32_t block, bool early) {
  exchange_ = std::move(exchange);
  block_ = block;
  early_ = early;
}

void Network::stimulate_shard(const Population& population, const Shard& shard, std::size_t input,
                              float* to) const {
  for (std::size_t k = 0; k < population.stimuli.size(); ++k) {
    const Stimulus& s = population.stimuli[k];
    if (s.input != input) {
      continue;
    }
    if (shard.drawn_step == step_ && shard.drawn[k].bytes() > 0) {
      const float* from = shard.drawn[k].as<float>();
      for (std::size_t i = 0; i < shard.count; ++i) {
        to[i] += from[i];
      }
    } else {
      stimulate_shard(s, shard, to);
    }
  }
}

void Network::stimulate_shard(const Stimulus& s, const Shard& shard, float* to) const {
  if (!s.thresholds.empty()) {
    kernels_.poisson({s.thresholds.data(), s.thresholds.size(), s.weight}, to,
                     round_up(shard.count, kLanes), seed_, s.stream, shard.first, step_);
  } else if (s.deviation > 0) {
    kernels_.noise(s.mean, s.deviation, to, round_up(shard.count, kLanes), seed_, s.stream,
                   shard.first, step_);
  } else {
    const auto after = std::upper_bound(s.times.begin(), s.times.end(), step_);
    const float value = after == s.times.begin()
                            ? 0.0F
                            : s.values[static_cast<std::size_t>(after - s.times.begin()) - 1];
    if (s.neurons.empty()) {
      std::for_each(to, to + shard.count, [=](float& each) { each += value; });
      return;
    }
    auto at = std::lower_bound(s.neurons.begin(), s.neurons.end(), shard.first);
    for (; at != s.neurons.end() && *at - shard.first < shard.count; ++at) {
      to[*at - shard.first] += value;
    }
  }
}

// Draws what stimuli bring in the step to come; added then, the sums are the same.
void Network::draw(Shard& shard) const {
  const std::vector<Stimulus>& stimuli = populations_[shard.population].stimuli;
  shard.drawn.resize(stimuli.size());
  for (std::size_t k = 0; k < stimuli.size(); ++k) {
    if (stimuli[k].thresholds.empty() && !(stimuli[k].deviation > 0)) {
      continue;
    }
    const std::size_t bytes = round_up(shard.count, kLanes) * sizeof(float);
    if (shard.drawn[k].bytes() == 0) {
      shard.drawn[k] = Buffer(bytes);
    } else {
      std::fill_n(shard.drawn[k].data(), bytes, std::byte{0});
    }
    stimulate_shard(stimuli[k], shard, shard.drawn[k].as<float>());
  }
  shard.drawn_step = step_;
}

// The spikes that the caller listed for a step.
void Network::list(Shard& shard, std::uint64_t step) {
  const Population& p = populations_[shard.population];
  const auto range = std::equal_range(p.listed_steps.begin(), p.listed_steps.end(), step);
  for (auto at = range.first; at != range.second; ++at) {
    const std::uint32_t neuron =
        p.listed_neurons[static_cast<std::size_t>(at - p.listed_steps.begin())];
    if (neuron - shard.first < shard.count) {
      shard.spikes.push_back(neuron);
    }
  }
}

// Sends the spikes that the caller listed for step 0.
void Network::begin() {
  for (Shard& shard : shards_) {
    if (populations_[shard.population].listed()) {
      list(shard, 0);
    }
  }
  post();
  if (exchange_) {
    send();
    receive(0, 0);
  }
  for (Shard& shard : shards_) {
    deliver(shard, 0);
  }
}

// Lists the spikes of the step that every shard has just taken; one thread, while all others wait.
// Whether to stop.
bool Network::collect(std::uint64_t end) {
  delivered_to_ = heard_to_;
  post();
  if (!exchange_) {
    heard_to_ = step_;
  } else if (step_ - sent_to_ == block_ || step_ == end) {
    const bool waiting = heard_to_ < sent_to_;
    if (waiting) {
      receive(heard_to_ + 1, sent_to_);
    }
    if (!stopped()) {
      send();
    }
    if (early_ && step_ == end && !stopped()) {
      receive(heard_to_ + 1, sent_to_);
    }
  }
  sample();
  for (Projection& p : projections_) {
    if (p.reward) {
      p.sum = ((step_ - 1) % p.reward->every == 0 ? 0.0F : p.sum) + p.level;
    }
  }
  return stopped();
}

bool Network::stopped() const {
  if (exchange_) {
    return halted_ || failed_;
  }
  return bad_.load(std::memory_order_relaxed) != kNone ||
         crowded_.load(std::memory_order_relaxed) != kNone;
}

// Puts this rank's spikes of the step where they are sent from, or, alone, where they are known.
void Network::post() {
  if (outbox_.size() < kHead) {
    outbox_.resize(kHead);
  }
  for (Population& p : populations_) {
    std::vector<std::uint32_t>& alone = p.sent[step_ % p.sent.size()];
    const std::size_t count = outbox_.size();
    if (exchange_) {
      outbox_.push_back(0);
    } else {
      alone.clear();
    }
    std::vector<std::uint32_t>& spikes = exchange_ ? outbox_ : alone;
    for (const std::size_t i : p.shards) {
      spikes.insert(spikes.end(), shards_[i].spikes.begin(), shards_[i].spikes.end());
    }
    if (exchange_) {
      outbox_[count] = static_cast<std::uint32_t>(outbox_.size() - count - 1);
    }
  }
  if (!exchange_) {
    note(step_);
  }
}

void Network::send() {
  outbox_[0] = bad_.load(std::memory_order_relaxed);
  outbox_[1] = crowded_.load(std::memory_order_relaxed);
  try {
    exchange_->send(outbox_);
  } catch (...) {
    failed_ = std::current_exception();
  }
  outbox_.clear();
  outbox_.resize(kHead);
  sent_to_ = step_;
}

// Spikes of steps `first` to `last` of all ranks; these are in the order of neurons.
void Network::receive(std::uint64_t first, std::uint64_t last) {
  if (stopped()) {
    return;
  }
  try {
    const std::vector<std::vector<std::uint32_t>> heard = exchange_->receive();
    std::vector<std::size_t> at(heard.size(), kHead);
    for (std::uint64_t step = first; step <= last; ++step) {
      for (Population& p : populations_) {
        std::vector<std::uint32_t>& spikes = p.sent[step % p.sent.size()];
        spikes.clear();
        for (std::size_t r = 0; r < heard.size(); ++r) {
          const std::size_t count = at[r] < heard[r].size() ? heard[r][at[r]++] : ~0U;
          if (count > heard[r].size() - at[r]) {
            throw Error("expected spikes of rank " + std::to_string(r) + " up to step " +
                        std::to_string(last) + ", found fewer words");
          }
          const auto from = heard[r].begin() + static_cast<std::ptrdiff_t>(at[r]);
          spikes.insert(spikes.end(), from, from + static_cast<std::ptrdiff_t>(count));
          at[r] += count;
        }
      }
      note(step);
    }
    for (const std::vector<std::uint32_t>& words : heard) {
      bad_.store(std::min(bad_.load(), words[0]));
      crowded_.store(std::min(crowded_.load(), words[1]));
      halted_ = halted_ || words[0] != kNone || words[1] != kNone;
    }
    heard_to_ = last;
  } catch (...) {
    failed_ = std::current_exception();
  }
}

// Counts and records the spikes of all ranks in a step.
void Network::note(std::uint64_t step) {
  for (Population& p : populations_) {
    const std::vector<std::uint32_t>& spikes = p.sent[step % p.sent.size()];
    p.total += spikes.size();
    if (p.recorded) {
      p.recorded_steps.insert(p.recorded_steps.end(), spikes.size(), step);
      p.recorded_neurons.insert(p.recorded_neurons.end(), spikes.begin(), spikes.end());
    }
  }
}

// States of this rank's neurons.
void Network::sample() {
  for (Population& p : populations_) {
    for (Sample& s : p.samples) {
      if (step_ % s.every != 0) {
        continue;
      }
      s.steps.push_back(step_);
      for (const std::uint32_t neuron : s.neurons) {
        s.values.push_back(p.cells ? static_cast<float>(p.cells->read(s.state, neuron))
                                   : p.states[s.state].as<float>()[neuron - p.first]);
      }
    }
  }
}

}  // namespace sangbo::dynamics
