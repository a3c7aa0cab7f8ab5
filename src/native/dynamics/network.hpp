// A network of populations and projections, and its steps.
//
// Every target belongs to a shard, every shard to a thread. In a step each thread advances the
// neurons of its shards; then all meet, and the spikes of the step are listed; then each thread
// adds the rows of these spikes to the inputs of its shards. A sum is always taken in the order of
// projections, sources and rows, so it does not depend on how many threads there are, nor on how
// many ranks: each of these owns a slice of every population and the synapses that end there, and
// hears of all spikes.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../pool.hpp"
#include "cables.hpp"
#include "exchange.hpp"
#include "learning.hpp"
#include "neurons.hpp"
#include "plasticity.hpp"
#include "rules.hpp"
#include "synapses.hpp"

namespace sangbo::dynamics {

// Neurons that share draws, so that stay together, and fewest cells of a shard.
inline constexpr std::uint32_t kBlock = 64;

// A part of a population: what one thread advances, and what fits its cache.
struct Shard {
  std::uint32_t population;
  std::uint32_t first;  // neuron
  std::uint32_t count;
  std::vector<Ring> rings;            // of each input that synapses reach
  std::vector<float*> inputs;         // of this step
  Buffer scratch;                     // of cells of many compartments
  std::vector<std::uint16_t> fired;   // of this step
  std::vector<std::uint32_t> spikes;  // the same as a list
  std::vector<float> shares;          // of spikes that short-term plasticity weakens
  std::vector<Buffer> drawn;          // what each stimulus brings, where drawn ahead
  std::uint64_t drawn_step = ~0ULL;   // and the step in which
};

// What reaches every neuron of a population in every step.
struct Stimulus {
  std::uint32_t input;
  std::uint32_t stream;
  // Of Poisson events, see PoissonDrive; empty where it is something else.
  std::vector<std::uint32_t> thresholds;
  float weight = 0;
  float mean = 0;
  float deviation = 0;
  // Steps at which the current changes, and to what.
  std::vector<std::uint64_t> times;
  std::vector<float> values;
  std::vector<std::uint32_t> neurons;  // that a current reaches, ascending; all where empty
};

struct Sample {
  std::vector<std::uint32_t> neurons;
  std::uint32_t state;
  std::uint32_t every;
  std::vector<std::uint64_t> steps;
  std::vector<float> values;  // neurons at a time
};

struct Population {
  std::string name;
  const Model* model;  // null where spikes are listed, and of cells
  std::unique_ptr<Cells> cells;
  std::uint32_t size;
  std::uint32_t first;  // neuron of this rank
  std::uint32_t own;    // neurons of this rank; states and parameters are theirs alone
  std::uint32_t padded;
  std::vector<Buffer> states;
  std::vector<Buffer> parameters;
  std::vector<std::uint8_t> strides;
  std::vector<bool> reached;  // inputs that synapses or stimuli reach
  std::vector<Stimulus> stimuli;
  std::vector<Sample> samples;
  Bits bits{};
  std::vector<std::size_t> shards;
  // Spikes of the last steps, ascending: those of step t at t modulo how many are kept.
  std::vector<std::vector<std::uint32_t>> sent;
  std::uint32_t lag = 0;  // steps that the earliest spikes lie back that are still to be delivered
  std::uint64_t total = 0;
  bool recorded = false;
  std::vector<std::uint64_t> recorded_steps;
  std::vector<std::uint32_t> recorded_neurons;
  // Of a population whose spikes are listed.
  std::vector<std::uint64_t> listed_steps;
  std::vector<std::uint32_t> listed_neurons;

  [[nodiscard]] bool listed() const { return model == nullptr && cells == nullptr; }
  [[nodiscard]] bool integers() const { return model != nullptr && model->integers; }
};

struct Projection {
  std::uint32_t pre;
  std::uint32_t post;
  std::uint32_t input;
  std::unique_ptr<Rule> rule;
  Storage storage;
  Distribution weight;
  Distribution delay;  // steps
  std::vector<float> listed_weights;
  std::vector<std::uint32_t> listed_delays;
  std::uint32_t longest;  // steps of delay
  float unit;             // of compact weights; 0: chosen so that the largest fits
  float largest;
  int shift;  // of integer weights
  std::optional<Stdp> stdp;
  std::optional<Reward> reward;  // beside `stdp`
  std::optional<ShortTerm> short_term;
  std::optional<LearningRule> learning;
  std::int16_t tag = 0;          // of learning synapses, at the start
  std::vector<Rows> rows;        // of each shard of `post`
  std::vector<Sources> sources;  // the same, where synapses are plastic
  std::vector<History> history;  // the same, of targets
  std::vector<Marks> marks;      // the same, where a modulator changes them
  float level = 0;               // of the modulator
  float sum = 0;                 // of its levels in the steps since weights changed
  std::vector<Learned> learned;  // the same, of both sides of Loihi's learning synapses
  std::uint64_t synapses = 0;
  std::uint32_t phases = 1;  // of delays, see synapses.hpp

  [[nodiscard]] bool plastic() const { return stdp || short_term; }
};

struct Synapse {
  std::uint32_t source;
  std::uint32_t target;
  float weight;
  std::uint32_t delay;
};

class Network {
 public:
  Network(std::uint64_t seed, unsigned threads, const std::string& isa, Slice slice = {});
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // --- building ---
  std::uint32_t population(std::string name, const std::string& model, std::uint32_t size);
  // Spikes at steps of the caller's, ascending.
  std::uint32_t listed(std::string name, std::uint32_t size, std::vector<std::uint64_t> steps,
                       std::vector<std::uint32_t> neurons);
  std::uint32_t cells(std::string name, std::uint32_t size, std::unique_ptr<Cells> cells);
  // One value for all, or one for each neuron.
  void set_parameter(std::uint32_t population, std::uint32_t index,
                     const std::vector<float>& values);
  void set_state(std::uint32_t population, std::uint32_t index, const float* values);
  std::uint32_t project(Projection projection);
  void stimulate(std::uint32_t population, Stimulus stimulus);
  void record(std::uint32_t population) { populations_[population].recorded = true; }
  void sample(std::uint32_t population, Sample sample);
  // Spikes go to all ranks in blocks of steps. Where blocks are `early`, no synapse has a delay of
  // fewer steps than two blocks, and a block is on its way while the next one is computed.
  void exchange(std::unique_ptr<Exchange> exchange, std::uint32_t block, bool early);
  // Makes the synapses; nothing can be added after.
  void build();

  // --- running ---
  void run(std::uint64_t steps);
  // Keeps the synapses for which `kept` holds, in the order of synapses().
  void keep(std::uint32_t projection, std::span<const std::uint8_t> kept);
  // Brings all plastic weights up to date.
  void settle();

  // --- what it is in the middle of ---
  [[nodiscard]] std::vector<float> inputs(std::uint32_t population, std::uint32_t input) const;
  void set_inputs(std::uint32_t population, std::uint32_t input, const std::vector<float>& all);
  [[nodiscard]] std::vector<std::uint32_t> plasticity(std::uint32_t projection);
  void set_plasticity(std::uint32_t projection, const std::vector<std::uint32_t>& words);
  // Spikes that are still on their way, and the steps they belong to.
  [[nodiscard]] std::pair<std::vector<std::uint64_t>, std::vector<std::uint32_t>> sent(
      std::uint32_t population) const;
  void set_sent(std::uint32_t population, const std::vector<std::uint64_t>& steps,
                const std::vector<std::uint32_t>& neurons);
  void set_step(std::uint64_t step) { step_ = step; }

  [[nodiscard]] std::uint64_t step() const { return step_; }
  [[nodiscard]] std::uint64_t seed() const { return seed_; }
  [[nodiscard]] const char* isa() const { return kernels_.name; }
  [[nodiscard]] unsigned threads() const { return pool_.threads(); }
  [[nodiscard]] Population& at(std::uint32_t population) { return populations_[population]; }
  [[nodiscard]] Projection& projection(std::uint32_t index) { return projections_[index]; }
  [[nodiscard]] std::vector<Synapse> synapses(std::uint32_t projection) const;
  // What they are marked with now, in the order of synapses().
  [[nodiscard]] std::vector<float> marks(std::uint32_t projection);
  // Synapses that spikes have crossed so far.
  [[nodiscard]] std::uint64_t events(std::uint32_t projection) const;

 private:
  void divide();
  [[nodiscard]] unsigned ring_bits(std::uint32_t population) const;
  [[nodiscard]] double out_degree(std::uint32_t projection) const;
  std::span<std::uint32_t> numbers(std::size_t count);
  void fill(std::uint32_t index);
  void share_out();
  void begin();
  [[nodiscard]] std::uint32_t own_first(std::uint32_t size, std::uint32_t rank) const;
  void slice(Population& population) const;
  void list(Shard& shard, std::uint64_t step);
  void advance(Shard& shard);
  bool advance_neurons(Shard& shard, const Population& population);
  bool advance_cells(Shard& shard, const Population& population) const;
  void remember(Shard& shard);
  void sweep(Projection& projection, std::size_t shard, float reward = 0);
  void deliver(Shard& shard);
  void deliver(Shard& shard, std::uint64_t now);
  void deliver(Shard& shard, Projection& projection, std::uint32_t phase, std::uint64_t now);
  void adapt(Shard& shard, Projection& projection);
  [[nodiscard]] std::size_t place(const Shard& shard) const;
  bool collect(std::uint64_t end);
  void post();
  void sample();
  void note(std::uint64_t step);
  void send();
  void receive(std::uint64_t first, std::uint64_t last);
  [[nodiscard]] bool stopped() const;
  void draw(Shard& shard) const;
  void stimulate_shard(const Population& population, const Shard& shard, std::size_t input,
                       float* to) const;
  void stimulate_shard(const Stimulus& stimulus, const Shard& shard, float* to) const;

  std::uint64_t seed_;
  Slice slice_;
  Pool pool_;
  const Kernels& kernels_;
  std::vector<Population> populations_;
  std::vector<Projection> projections_;
  std::vector<std::vector<std::uint32_t>> incoming_;  // projections of each population
  std::vector<Shard> shards_;
  std::vector<std::vector<std::size_t>> mine_;  // shards of each thread
  Arena arena_;
  Buffer zeros_;
  std::uint64_t step_ = 0;
  std::unique_ptr<Exchange> exchange_;
  std::uint32_t block_ = 1;  // steps
  bool early_ = false;
  bool halted_ = false;                // a rank told that it cannot go on
  std::vector<std::uint32_t> outbox_;  // spikes of this rank in the steps of a block so far
  std::uint64_t sent_to_ = 0;          // the last step whose spikes are on their way
  std::uint64_t heard_to_ = 0;         // the last one whose spikes of all ranks are here
  std::uint64_t delivered_to_ = 0;
  std::exception_ptr failed_;  // of the exchange
  std::uint32_t streams_ = 0;
  bool built_ = false;
  std::atomic<std::uint32_t> bad_{~0U};      // population that is no longer finite
  std::atomic<std::uint32_t> crowded_{~0U};  // population that fires too often to remember
};

}  // namespace sangbo::dynamics
