#include "network.hpp"

#include <algorithm>
#include <bit>

#include "../error.hpp"

namespace sangbo::dynamics {
Network::Network(std::uint64_t seed, unsigned threads, const std::string& isa)
    : seed_(seed), pool_(threads), kernels_(choose(isa)) {}

std::uint32_t Network::population(std::string name, const std::string& model, std::uint32_t size) {
  Population p{};
  p.name = std::move(name);
  p.model = &find(kernels_, model);
  p.size = size;
  p.padded = static_cast<std::uint32_t>(round_up(size, kLanes));
  for (std::size_t k = 0; k < p.model->states.count; ++k) {
    p.states.emplace_back(p.padded * sizeof(float));
  }
  p.parameters.resize(p.model->parameters.count);
  p.strides.resize(p.model->parameters.count);
  p.reached.resize(p.model->inputs.count);
  populations_.push_back(std::move(p));
  return streams_++;
}

std::uint32_t Network::listed(std::string name, std::uint32_t size,
                              std::vector<std::uint64_t> steps,
                              std::vector<std::uint32_t> neurons) {
  Population p{};
  p.name = std::move(name);
  p.size = size;
  p.listed_steps = std::move(steps);
  p.listed_neurons = std::move(neurons);
  populations_.push_back(std::move(p));
  return streams_++;
}

std::uint32_t Network::cells(std::string name, std::uint32_t size, std::unique_ptr<Cells> cells) {
  Population p{};
  p.name = std::move(name);
  p.size = size;
  p.cells = std::move(cells);
  p.cells->build(size);
  p.reached.resize(p.cells->sites());
  populations_.push_back(std::move(p));
  return streams_++;
}

void Network::set_parameter(std::uint32_t population, std::uint32_t index,
                            const std::vector<float>& values) {
  Population& p = populations_[population];
  const std::size_t count = values.size() == 1 ? kLanes : p.padded;
  Buffer buffer(count * sizeof(float));
  for (std::size_t i = 0; i < count; ++i) {
    buffer.as<float>()[i] = values[std::min(i, values.size() - 1)];
  }
  p.parameters[index] = std::move(buffer);
  p.strides[index] = values.size() > 1;
}

void Network::set_state(std::uint32_t population, std::uint32_t index, const float* values) {
  Population& p = populations_[population];
  std::copy(values, values + p.size, p.states[index].as<float>());
  std::fill(p.states[index].as<float>() + p.size, p.states[index].as<float>() + p.padded,
            values[p.size - 1]);
}

std::uint32_t Network::project(Projection projection) {
  populations_[projection.post].reached[projection.input] = true;
  projections_.push_back(std::move(projection));
  return static_cast<std::uint32_t>(projections_.size() - 1);
}

void Network::stimulate(std::uint32_t population, Stimulus stimulus) {
  // Streams of stimuli and of populations never meet: they have different purposes.
  stimulus.stream = streams_++;
  populations_[population].reached[stimulus.input] = true;
  populations_[population].stimuli.push_back(std::move(stimulus));
}

void Network::sample(std::uint32_t population, Sample sample) {
  populations_[population].samples.push_back(std::move(sample));
}

void Network::run(std::uint64_t steps) {
  if (!built_) {
    throw Error("expected a network that is built");
  }
  const std::uint64_t end = step_ + steps;
  if (step_ == 0 && steps > 0) {
    begin();
  }
  Barrier barrier(pool_.threads());
  pool_.run([&](unsigned thread) {
    // `step_` only changes while all threads wait.
    for (std::uint64_t now = step_; now < end; ++now) {
      for (const std::size_t i : mine_[thread]) {
        advance(shards_[i]);
      }
      if (barrier.arrive([&] {
            ++step_;
            return collect();
          })) {
        return;
      }
      for (const std::size_t i : mine_[thread]) {
        deliver(shards_[i]);
      }
    }
  });
  if (const std::uint32_t bad = bad_.load(); bad != ~0U) {
    throw Error("expected finite states, found one in population '" + populations_[bad].name +
                "' that is not, at step " + std::to_string(step_) +
                ": the step is too long for these parameters, or they blow up");
  }
  if (const std::uint32_t crowded = crowded_.load(); crowded != ~0U) {
    throw Error("expected at most " + std::to_string(History::kKept) +
                " spikes of a neuron within the longest delay of its plastic synapses, found more "
                "in population '" +
                populations_[crowded].name + "'");
  }
}

std::uint64_t Network::events(std::uint32_t projection) const {
  std::uint64_t sum = 0;
  for (const Rows& rows : projections_[projection].rows) {
    sum += rows.events;
  }
  return sum;
}

void Network::stimulate_shard(const Population& population, const Shard& shard, std::size_t input,
                              float* to) const {
  for (const Stimulus& s : population.stimuli) {
    if (s.input != input) {
      continue;
    }
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
        continue;
      }
      auto at = std::lower_bound(s.neurons.begin(), s.neurons.end(), shard.first);
      for (; at != s.neurons.end() && *at - shard.first < shard.count; ++at) {
        to[*at - shard.first] += value;
      }
    }
  }
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
  collect();
  for (Shard& shard : shards_) {
    deliver(shard);
  }
}

void Network::advance(Shard& shard) {
  const Population& p = populations_[shard.population];
  shard.spikes.clear();
  if (p.listed()) {
    list(shard, step_ + 1);
    return;  // nothing can be connected to it
  }
  const std::uint64_t slot = (step_ + 1) & ((1U << p.bits.delay) - 1);
  for (std::size_t k = 0; k < shard.rings.size(); ++k) {
    shard.inputs[k] = nullptr;
    if (p.reached[k]) {
      shard.inputs[k] = shard.rings[k].at + (slot << p.bits.target);
      stimulate_shard(p, shard, k, shard.inputs[k]);
    }
  }
  if (!(p.cells ? advance_cells(shard, p) : advance_neurons(shard, p))) {
    bad_.store(shard.population, std::memory_order_relaxed);
  }
  for (std::uint32_t at = 0; at < shard.count; at += kLanes) {
    std::uint32_t fired = shard.fired[at / kLanes];
    if (at + kLanes > shard.count) {
      fired &= (1U << (shard.count - at)) - 1;
    }
    while (fired != 0) {
      shard.spikes.push_back(shard.first + at +
                             static_cast<std::uint32_t>(std::countr_zero(fired)));
      fired &= fired - 1;
    }
  }
  remember(shard);
}

bool Network::advance_cells(Shard& shard, const Population& p) const {
  return kernels_.advance_cells({&p.cells->view(), shard.count, p.cells->width(),
                                 p.cells->states(shard.first), shard.inputs.data(), step_, seed_,
                                 shard.population, shard.first, shard.scratch.as<double>(),
                                 shard.fired.data()});
}

bool Network::advance_neurons(Shard& shard, const Population& p) {
  float* states[32];
  const float* parameters[64];
  float* inputs[8];
  std::uint8_t input_strides[8];
  for (std::size_t k = 0; k < p.states.size(); ++k) {
    states[k] = p.states[k].as<float>() + shard.first;
  }
  for (std::size_t k = 0; k < p.parameters.size(); ++k) {
    parameters[k] = p.parameters[k].as<float>() + std::size_t{p.strides[k]} * shard.first;
  }
  for (std::size_t k = 0; k < shard.inputs.size(); ++k) {
    input_strides[k] = p.reached[k];
    inputs[k] = p.reached[k] ? shard.inputs[k] : zeros_.as<float>();
  }
  const Advance step{round_up(shard.count, kLanes),
                     states,
                     parameters,
                     p.strides.data(),
                     inputs,
                     input_strides,
                     seed_,
                     shard.population,
                     shard.first,
                     step_,
                     shard.fired.data()};
  return p.model->advance(step);
}

// Lists the spikes of the step that every shard has just taken; one thread, while all others wait.
bool Network::collect() {
  for (Population& p : populations_) {
    std::vector<std::uint32_t>& spikes = p.sent[step_ % p.sent.size()];
    spikes.clear();
    for (const std::size_t i : p.shards) {
      spikes.insert(spikes.end(), shards_[i].spikes.begin(), shards_[i].spikes.end());
    }
    p.total += spikes.size();
    if (p.recorded) {
      p.recorded_steps.insert(p.recorded_steps.end(), spikes.size(), step_);
      p.recorded_neurons.insert(p.recorded_neurons.end(), spikes.begin(), spikes.end());
    }
    for (Sample& s : p.samples) {
      if (step_ != 0 && step_ % s.every == 0) {
        s.steps.push_back(step_);
        for (const std::uint32_t neuron : s.neurons) {
          s.values.push_back(p.cells ? static_cast<float>(p.cells->read(s.state, neuron))
                                     : p.states[s.state].as<float>()[neuron]);
        }
      }
    }
  }
  for (Projection& p : projections_) {
    if (p.reward && step_ > 0) {
      p.sum = ((step_ - 1) % p.reward->every == 0 ? 0.0F : p.sum) + p.level;
    }
  }
  return bad_.load(std::memory_order_relaxed) != ~0U ||
         crowded_.load(std::memory_order_relaxed) != ~0U;
}

// Which shard of its population this is.
std::size_t Network::place(const Shard& shard) const {
  return static_cast<std::size_t>(&shard - &shards_[populations_[shard.population].shards.front()]);
}

// Notes the spikes of a shard for the plastic synapses that end there.
void Network::remember(Shard& shard) {
  const std::size_t k = place(shard);
  const auto now = static_cast<std::uint32_t>(step_);
  for (const std::uint32_t i : incoming_[shard.population]) {
    Projection& p = projections_[i];
    if (!p.stdp) {
      continue;
    }
    History& history = p.history[k];
    const auto full = [&] {
      return std::any_of(shard.spikes.begin(), shard.spikes.end(),
                         [&](std::uint32_t neuron) { return history.full(neuron - shard.first); });
    };
    const bool due = p.stdp->every != 0 && now != 0 && now % p.stdp->every == 0;
    if (due || full()) {
      sweep(p, k);
      if (due) {
        scale(p.rows[k], populations_[p.post].bits, *p.stdp, history, p.sources[k]);
      }
      if (full()) {
        crowded_.store(shard.population, std::memory_order_relaxed);
      }
    }
    for (const std::uint32_t neuron : shard.spikes) {
      history.add(neuron - shard.first, now + 1, *p.stdp);
    }
  }
}

// Brings the weights of one shard of a projection up to date; those that a modulator changes gain
// `reward` times their marks.
void Network::sweep(Projection& p, std::size_t k, float reward) {
  const auto now = static_cast<std::uint32_t>(step_);
  const Plastic all{p.rows[k],    {},          populations_[p.post].bits, now, *p.stdp,
                    p.history[k], p.sources[k]};
  if (p.reward) {
    kernels_.pay({all, *p.reward, p.marks[k]}, reward);
  } else {
    kernels_.sweep(all);
  }
  p.history[k].swept(now);
}

void Network::settle() {
  pool_.run([&](unsigned thread) {
    for (const std::size_t i : mine_[thread]) {
      const std::size_t k = place(shards_[i]);
      for (const std::uint32_t index : incoming_[shards_[i].population]) {
        Projection& p = projections_[index];
        if (p.stdp) {
          sweep(p, k);
        }
      }
    }
  });
}

void Network::deliver(Shard& shard) {
  for (const std::uint32_t i : incoming_[shard.population]) {
    Projection& p = projections_[i];
    if (p.learning) {
      adapt(shard, p);
      continue;
    }
    const std::uint64_t steps = populations_[shard.population].bits.steps();
    for (std::uint32_t phase = 0; phase < p.phases && phase * steps <= step_; ++phase) {
      deliver(shard, p, phase);
    }
    if (p.reward && step_ > 0 && step_ % p.reward->every == 0 && p.sum != 0.0F) {
      sweep(p, place(shard), p.sum);
    }
  }
}

// Delivers the spikes of the step over synapses that learn by Loihi's rules, and lets them learn.
void Network::adapt(Shard& shard, Projection& p) {
  const Population& pre = populations_[p.pre];
  const Bits bits = populations_[p.post].bits;
  const std::vector<std::uint32_t>& spikes = pre.sent[step_ % pre.sent.size()];
  const std::size_t k = place(shard);
  Rows& rows = p.rows[k];
  rows.events += deliver_learning(rows, spikes, bits, step_, shard.rings[p.input].integers());
  if (step_ > 0) {
    learn(rows, bits, *p.learning, p.learned[k], spikes, shard.spikes, shard.first, step_);
  }
}

void Network::deliver(Shard& shard, Projection& p, std::uint32_t phase) {
  const Population& pre = populations_[p.pre];
  const Population& post = populations_[p.post];
  const std::uint64_t sent = step_ - std::uint64_t{phase} * post.bits.steps();
  const std::vector<std::uint32_t>& spikes = pre.sent[sent % pre.sent.size()];
  if (spikes.empty()) {
    return;
  }
  const std::size_t k = place(shard);
  const Ring& ring = shard.rings[p.input];
  const auto now = static_cast<std::uint32_t>(step_);
  Rows& rows = p.rows[k];
  if (p.stdp) {
    const Plastic fired{rows, spikes, post.bits, now, *p.stdp, p.history[k], p.sources[k]};
    rows.events += p.reward ? kernels_.deliver_rewarded({fired, *p.reward, p.marks[k]}, ring.at)
                            : kernels_.deliver_plastic(fired, ring.at);
    return;
  }
  Delivery delivery{rows, phase, spikes, nullptr, post.bits, step_, p.unit, p.shift};
  if (p.short_term) {
    release(spikes, now, *p.short_term, p.sources[k], shard.shares);
    delivery.shares = shard.shares.data();
  }
  rows.events += post.integers() ? kernels_.deliver_integers(delivery, ring.integers())
                 : p.storage == Storage::kCompact ? kernels_.deliver_compact(delivery, ring.at)
                                                  : kernels_.deliver_wide(delivery, ring.at);
}

}  // namespace sangbo::dynamics
