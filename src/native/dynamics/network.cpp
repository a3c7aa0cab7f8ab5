#include "network.hpp"

#include <algorithm>
#include <bit>

#include "../error.hpp"

namespace sangbo::dynamics {
Network::Network(std::uint64_t seed, unsigned threads, const std::string& isa, Slice slice)
    : seed_(seed), slice_(slice), pool_(threads), kernels_(choose(isa)) {}

std::uint32_t Network::population(std::string name, const std::string& model, std::uint32_t size) {
  Population p{};
  p.name = std::move(name);
  p.model = &find(kernels_, model);
  p.size = size;
  slice(p);
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
  slice(p);
  p.listed_steps = std::move(steps);
  p.listed_neurons = std::move(neurons);
  populations_.push_back(std::move(p));
  return streams_++;
}

std::uint32_t Network::cells(std::string name, std::uint32_t size, std::unique_ptr<Cells> cells) {
  Population p{};
  p.name = std::move(name);
  p.size = size;
  slice(p);
  p.cells = std::move(cells);
  p.cells->build(size);
  p.reached.resize(p.cells->sites());
  populations_.push_back(std::move(p));
  return streams_++;
}

void Network::set_parameter(std::uint32_t population, std::uint32_t index,
                            const std::vector<float>& values) {
  Population& p = populations_[population];
  if (values.empty()) {
    return;  // no neuron is of this rank
  }
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
  if (p.own == 0) {
    return;
  }
  std::copy(values, values + p.own, p.states[index].as<float>());
  std::fill(p.states[index].as<float>() + p.own, p.states[index].as<float>() + p.padded,
            values[p.own - 1]);
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
  sent_to_ = heard_to_ = delivered_to_ = step_;
  Barrier barrier(pool_.threads());
  const bool late = exchange_ && !early_;
  const bool over = exchange_ && stopped();
  pool_.run([&](unsigned thread) {
    // `step_` only changes while all threads wait.
    for (std::uint64_t now = step_; now < end && !over; ++now) {
      for (const std::size_t i : mine_[thread]) {
        advance(shards_[i]);
      }
      if (barrier.arrive([&] {
            ++step_;
            return collect(end);
          })) {
        return;
      }
      if (late) {
        // While spikes are on their way, what does not depend on them.
        for (const std::size_t i : mine_[thread]) {
          draw(shards_[i]);
        }
        if (barrier.arrive([&] {
              receive(step_, step_);
              return stopped();
            })) {
          return;
        }
      }
      for (const std::size_t i : mine_[thread]) {
        deliver(shards_[i]);
      }
    }
  });
  if (failed_) {
    std::rethrow_exception(failed_);
  }
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
    states[k] = p.states[k].as<float>() + (shard.first - p.first);
  }
  for (std::size_t k = 0; k < p.parameters.size(); ++k) {
    parameters[k] =
        p.parameters[k].as<float>() + std::size_t{p.strides[k]} * (shard.first - p.first);
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
  for (std::uint64_t now = delivered_to_ + 1; now <= heard_to_; ++now) {
    deliver(shard, now);
  }
}

// Delivers what is due at the end of step `now`; plastic synapses only when it is the last one.
void Network::deliver(Shard& shard, std::uint64_t now) {
  for (const std::uint32_t i : incoming_[shard.population]) {
    Projection& p = projections_[i];
    if (p.learning) {
      adapt(shard, p);
      continue;
    }
    const std::uint64_t steps = populations_[shard.population].bits.steps();
    for (std::uint32_t phase = 0; phase < p.phases && phase * steps <= now; ++phase) {
      deliver(shard, p, phase, now);
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

void Network::deliver(Shard& shard, Projection& p, std::uint32_t phase, std::uint64_t step) {
  const Population& pre = populations_[p.pre];
  const Population& post = populations_[p.post];
  const std::uint64_t sent = step - std::uint64_t{phase} * post.bits.steps();
  const std::vector<std::uint32_t>& spikes = pre.sent[sent % pre.sent.size()];
  if (spikes.empty()) {
    return;
  }
  const std::size_t k = place(shard);
  const Ring& ring = shard.rings[p.input];
  const auto now = static_cast<std::uint32_t>(step);
  Rows& rows = p.rows[k];
  if (p.stdp) {
    const Plastic fired{rows, spikes, post.bits, now, *p.stdp, p.history[k], p.sources[k]};
    rows.events += p.reward ? kernels_.deliver_rewarded({fired, *p.reward, p.marks[k]}, ring.at)
                            : kernels_.deliver_plastic(fired, ring.at);
    return;
  }
  Delivery delivery{rows, phase, spikes, nullptr, post.bits, step, p.unit, p.shift};
  if (p.short_term) {
    release(spikes, now, *p.short_term, p.sources[k], shard.shares);
    delivery.shares = shard.shares.data();
  }
  rows.events += post.integers() ? kernels_.deliver_integers(delivery, ring.integers())
                 : p.storage == Storage::kCompact ? kernels_.deliver_compact(delivery, ring.at)
                                                  : kernels_.deliver_wide(delivery, ring.at);
}

}  // namespace sangbo::dynamics
