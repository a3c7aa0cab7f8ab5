// What a neuron model is to the rest of the engine: names, and a function that advances neurons by
// one step. A model is one struct in models/; neurons.inl lists them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sangbo::dynamics {

inline constexpr std::size_t kLanes = 16;

// Some neurons of one population, and one step of them. Every pointer is to the first of them;
// what all neurons share (stride 0) lies there sixteen times over.
struct Advance {
  std::size_t count;  // neurons, a multiple of kLanes
  float* const* states;
  const float* const* parameters;
  const std::uint8_t* parameter_strides;  // 0 or 1
  float* const* inputs;                   // of this step; zeroed once read
  const std::uint8_t* input_strides;      // 0 where nothing arrives, ever
  std::uint64_t seed;
  std::uint32_t stream;  // of the population
  std::uint32_t first;   // neuron, in its population
  std::uint64_t step;
  std::uint16_t* fired;  // one bit for each neuron
};

// Names without containers: files of kernels are compiled for machines that may not be this one,
// and must not instantiate what others share.
struct Names {
  const char* const* at;
  std::size_t count;
};

struct Model {
  const char* membrane;
  const char* receptors;  // "" where it has its own
  Names states;
  Names parameters;
  Names inputs;
  bool integers;  // states and inputs are int32
  // False where a state is no longer finite.
  bool (*advance)(const Advance&);

  [[nodiscard]] std::string name() const {
    return *receptors == '\0' ? membrane : std::string(membrane) + "/" + receptors;
  }
};

// Counts of Poisson events, one draw for each neuron: `weight` times the count is added to `input`.
// `thresholds` are the probabilities of at most 0, 1, 2 … events, as 32-bit fractions.
struct PoissonDrive {
  const std::uint32_t* thresholds;
  std::size_t count;
  float weight;
};

struct CellAdvance;
struct Delivery;
struct Plastic;
struct Rewarded;

// Everything that is compiled once for each instruction set.
struct Kernels {
  const char* name;
  const Model* models;
  std::size_t count;
  void (*poisson)(const PoissonDrive& drive, float* input, std::size_t count, std::uint64_t seed,
                  std::uint32_t stream, std::uint32_t first, std::uint64_t step);
  void (*noise)(float mean, float deviation, float* input, std::size_t count, std::uint64_t seed,
                std::uint32_t stream, std::uint32_t first, std::uint64_t step);
  // One step of cells of many compartments; false where a potential is no longer finite.
  bool (*advance_cells)(const CellAdvance& advance);
  std::uint64_t (*deliver_compact)(const Delivery& delivery, float* ring);
  std::uint64_t (*deliver_wide)(const Delivery& delivery, float* ring);
  std::uint64_t (*deliver_integers)(const Delivery& delivery, std::int32_t* ring);
  // Brings the rows of spikes up to date, and adds them to the ring.
  std::uint64_t (*deliver_plastic)(const Plastic& plastic, float* ring);
  // Brings all rows up to date.
  void (*sweep)(const Plastic& plastic);
  // The same of synapses that a modulator changes.
  std::uint64_t (*deliver_rewarded)(const Rewarded& rewarded, float* ring);
  // Brings all marks up to date, and adds `amount` times the mark to each weight.
  void (*pay)(const Rewarded& rewarded, float amount);
};

extern const Kernels kPortable;
#if defined(SANGBO_X86)
extern const Kernels kAvx2;
extern const Kernels kAvx512;
#endif

// The fastest that this machine has, or the one called `name`; throws Error where it has it not.
const Kernels& choose(const std::string& name);
std::vector<std::string> available();
// The model called `name`; throws Error where there is none.
const Model& find(const Kernels& kernels, const std::string& name);

}  // namespace sangbo::dynamics
