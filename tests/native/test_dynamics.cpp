// The spike core without Python: threads and instruction sets give the same spikes, and weights
// that learn the same weights. Sanitizers watch what threads share.
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "check.hpp"
#include "dynamics/network.hpp"

namespace d = sangbo::dynamics;

namespace {

constexpr std::uint32_t kCells = 700;
constexpr double kStep = 1.0;

struct Seen {
  std::vector<std::uint64_t> steps;
  std::vector<std::uint32_t> neurons;
  std::vector<float> weights;
  std::uint64_t events = 0;
};

d::Projection projection(std::uint32_t cells, std::uint32_t input, std::unique_ptr<d::Rule> rule) {
  d::Projection p{};
  p.pre = cells;
  p.post = cells;
  p.input = input;
  p.rule = std::move(rule);
  p.delay = {d::Distribution::Kind::kUniform, 1, 9, 1, 9};
  p.longest = 9;
  return p;
}

Seen simulate(unsigned threads, const std::string& isa) {
  d::Network network(11, threads, isa);
  const std::uint32_t cells = network.population("cells", "lif/current_exponential", kCells);
  const auto decay = static_cast<float>(std::exp(-kStep / 20));
  const float values[] = {
      decay, (1 - decay) * 0.08F, 0, 15, 0, 0, 2, 12.5F, -0.004F, 0.6F, 0.6F, 0.8F, 0.8F};
  for (std::uint32_t i = 0; i < std::size(values); ++i) {
    network.set_parameter(cells, i, {values[i]});
  }
  d::Projection learning =
      projection(cells, 0, d::fixed_out_degree({kCells, kCells, true}, 30, true));
  learning.storage = d::Storage::kWide;
  learning.weight = {d::Distribution::Kind::kUniform, 10, 30, 10, 30};
  learning.unit = 1;
  learning.largest = 30;
  learning.stdp = d::Stdp{.plus = d::Decay(kStep, 20),
                          .minus = d::Decay(kStep, 20),
                          .slow_plus = d::Decay(kStep, 100),
                          .slow_minus = d::Decay(kStep, 100),
                          .rise = 0.5F,
                          .fall = 0.4F,
                          .slow_rise = 0.1F,
                          .slow_fall = 0.1F,
                          .largest = 60,
                          .scaled_rise = true,
                          .scaled_fall = true,
                          .loss = 0.05F,
                          .scaled_loss = true,
                          .every = 40,
                          .gain = 0.01F,
                          .goal = 1};
  const std::uint32_t index = network.project(std::move(learning));
  d::Projection fixed =
      projection(cells, 1, d::fixed_in_degree({kCells, kCells, false}, 20, false));
  fixed.storage = d::Storage::kCompact;
  fixed.weight = {d::Distribution::Kind::kNormal, -40, 4, -64, -16};
  fixed.largest = 64;
  fixed.short_term = d::ShortTerm{kStep, 0.5, 100, 50};
  network.project(std::move(fixed));
  d::Stimulus drive{};
  drive.thresholds = {0x20000000U, 0x60000000U, 0xA0000000U, 0xD0000000U, 0xF0000000U};
  drive.weight = 90;
  network.stimulate(cells, std::move(drive));
  d::Stimulus noise{};
  noise.input = 2;
  noise.deviation = 20;
  network.stimulate(cells, std::move(noise));
  network.record(cells);
  network.sample(cells, {{0, kCells - 1}, 0, 10, {}, {}});
  network.build();
  network.run(30);
  network.run(90);
  Seen seen;
  seen.steps = network.at(cells).recorded_steps;
  seen.neurons = network.at(cells).recorded_neurons;
  network.settle();
  for (const d::Synapse& s : network.synapses(index)) {
    seen.weights.push_back(s.weight);
  }
  seen.events = network.events(index);
  return seen;
}

// So many cells and such delays that rings are cut into phases.
Seen simulate_long(unsigned threads, const std::string& isa) {
  constexpr std::uint32_t kMany = 17000;
  d::Network network(5, threads, isa);
  const std::uint32_t cells = network.population("cells", "mcculloch_pitts", kMany);
  network.set_parameter(cells, 0, {1.5F});
  const std::uint32_t source = network.listed("source", kMany, {0, 3, 40}, {7, 16999, 7});
  for (const std::uint32_t pre : {source, cells}) {
    d::Projection p{};
    p.pre = pre;
    p.post = cells;
    p.rule = d::fixed_out_degree({kMany, kMany, true}, 100, true);
    p.storage = pre == cells ? d::Storage::kCompact : d::Storage::kWide;
    p.weight = {d::Distribution::Kind::kNormal, 1.3, 0.2, 0.5, 2};
    p.largest = 2;
    p.delay = {d::Distribution::Kind::kUniform, 1, 70, 1, 70};
    p.longest = 70;
    network.project(std::move(p));
  }
  network.record(cells);
  network.build();
  CHECK(network.projection(1).phases > 1, "%u", network.projection(1).phases);
  network.run(100);
  return {
      network.at(cells).recorded_steps, network.at(cells).recorded_neurons, {}, network.events(1)};
}

}  // namespace

int main() {
  const Seen spread = simulate_long(1, "portable");
  CHECK(spread.steps.size() > 100, "%zu spikes", spread.steps.size());
  for (const std::string& isa : d::available()) {
    for (const unsigned threads : {2U, 4U}) {
      const Seen found = simulate_long(threads, isa);
      CHECK(found.steps == spread.steps && found.neurons == spread.neurons, "%s, %u threads",
            isa.c_str(), threads);
      CHECK(found.events == spread.events, "%s, %u threads", isa.c_str(), threads);
    }
  }
  const Seen expected = simulate(1, "portable");
  CHECK(expected.steps.size() > 1000, "%zu spikes", expected.steps.size());
  CHECK(expected.events > 20000, "%llu", static_cast<unsigned long long>(expected.events));
  for (const std::string& isa : d::available()) {
    for (const unsigned threads : {1U, 2U, 4U}) {
      const Seen found = simulate(threads, isa);
      CHECK(found.steps == expected.steps && found.neurons == expected.neurons, "%s, %u threads",
            isa.c_str(), threads);
      CHECK(found.weights == expected.weights, "%s, %u threads", isa.c_str(), threads);
      CHECK(found.events == expected.events, "%s, %u threads", isa.c_str(), threads);
    }
  }
  return 0;
}
