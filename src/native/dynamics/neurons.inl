// Every model for one instruction set. Included once in each file of kernels, after lanes.inl.

#include "models/synapses.inl"

#include "models/lif.inl"
#include "models/sources.inl"

// A membrane with synapses is a model: states and parameters of the membrane first.
template <class Membrane, class Synapses>
struct Neuron {
  static constexpr bool kIntegers = false;
  static constexpr std::size_t kStates = Membrane::kStates + Synapses::kStates;
  static constexpr std::size_t kParameters = Membrane::kParameters + Synapses::kParameters;
  static constexpr std::size_t kInputs = 3;
  static constexpr std::array<const char*, 3> input_names = {"excitatory", "inhibitory", "current"};

  static Mask step(Real* s, const Real* p, const Real* in, const Advance&, std::uint32_t) {
    Real* own = s + Membrane::kStates;
    const Real* set = p + Membrane::kParameters;
    const Drive drive = Synapses::drive(own, set);
    const Mask fired = Membrane::template step<Synapses::kConductance>(s, p, drive, in[2]);
    Synapses::arrive(own, set, in[0], in[1]);
    return fired;
  }
};

template <class M>
bool advance(const Advance& a) {
  Mask bad{};
  for (std::size_t at = 0; at < a.count; at += kLanes) {
    // One more than there are: some models have none of a kind.
    Real s[M::kStates + 1];
    Real p[M::kParameters + 1];
    Real in[M::kInputs + 1];
    for (std::size_t k = 0; k < M::kStates; ++k) {
      s[k] = load(a.states[k] + at);
    }
    for (std::size_t k = 0; k < M::kParameters; ++k) {
      p[k] = load(a.parameters[k] + at * a.parameter_strides[k]);
    }
    for (std::size_t k = 0; k < M::kInputs; ++k) {
      float* input = a.inputs[k] + at * a.input_strides[k];
      in[k] = load(input);
      store(input, Real{});
    }
    const Mask fired = M::step(s, p, in, a, a.first + static_cast<std::uint32_t>(at));
    Real sum{};  // not finite where a state is not
    for (std::size_t k = 0; k < M::kStates; ++k) {
      store(a.states[k] + at, s[k]);
      if constexpr (!M::kIntegers) {
        sum += s[k];
      }
    }
    bad |= (sum - sum) != 0.0F;
    a.fired[at / kLanes] = static_cast<std::uint16_t>(bits(fired));
  }
  return bits(bad) == 0;
}

template <class Names>
std::vector<std::string> strings(const Names& names) {
  return {names.begin(), names.end()};
}

template <class M>
Model model() {
  return {M::name,
          strings(M::state_names),
          strings(M::parameter_names),
          strings(M::input_names),
          M::kIntegers,
          advance<M>};
}

template <class Membrane, class Synapses>
Model composed(const char* synapses) {
  using N = Neuron<Membrane, Synapses>;
  std::vector<std::string> states = strings(Membrane::state_names);
  std::vector<std::string> parameters = strings(Membrane::parameter_names);
  for (const char* name : Synapses::state_names) {
    states.emplace_back(name);
  }
  for (const char* name : Synapses::parameter_names) {
    parameters.emplace_back(name);
  }
  return {std::string(Membrane::name) + "/" + synapses,
          std::move(states),
          std::move(parameters),
          strings(N::input_names),
          false,
          advance<N>};
}

template <class Membrane>
void with_synapses(std::vector<Model>& found) {
  found.push_back(composed<Membrane, CurrentExponential>("current_exponential"));
  found.push_back(composed<Membrane, CurrentAlpha>("current_alpha"));
  found.push_back(composed<Membrane, ConductanceExponential>("conductance_exponential"));
  found.push_back(composed<Membrane, ConductanceAlpha>("conductance_alpha"));
}

std::vector<Model> models() {
  std::vector<Model> found;
  with_synapses<Lif>(found);
  found.push_back(model<PoissonSource>());
  found.push_back(model<RegularSource>());
  return found;
}
