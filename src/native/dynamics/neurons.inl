// Every model for one instruction set. Included once in each file of kernels, after lanes.inl.

#include "models/synapses.inl"

#include "models/lif.inl"

#include "models/adex.inl"
#include "models/hodgkin_huxley.inl"
#include "models/integers.inl"
#include "models/izhikevich.inl"
#include "models/sources.inl"

template <std::size_t kFirst, std::size_t kSecond>
constexpr auto joined(const std::array<const char*, kFirst>& a,
                      const std::array<const char*, kSecond>& b) {
  std::array<const char*, kFirst + kSecond> all{};
  for (std::size_t i = 0; i < kFirst; ++i) {
    all[i] = a[i];
  }
  for (std::size_t i = 0; i < kSecond; ++i) {
    all[kFirst + i] = b[i];
  }
  return all;
}

// A membrane with synapses is a model: states and parameters of the membrane first.
template <class Membrane, class Synapses>
struct Neuron {
  static constexpr const char* name = Membrane::name;
  static constexpr const char* receptors = Synapses::name;
  static constexpr bool kIntegers = false;
  static constexpr std::size_t kStates = Membrane::kStates + Synapses::kStates;
  static constexpr std::size_t kParameters = Membrane::kParameters + Synapses::kParameters;
  static constexpr std::size_t kInputs = 3;
  static constexpr auto state_names = joined(Membrane::state_names, Synapses::state_names);
  static constexpr auto parameter_names =
      joined(Membrane::parameter_names, Synapses::parameter_names);
  static constexpr std::array<const char*, 3> input_names = {"excitatory", "inhibitory", "current"};

  static Mask step(Real* s, const Real* p, const Real* in, const Advance&, std::uint32_t) {
    Real* own = s + Membrane::kStates;
    const Real* set = p + Membrane::kParameters;
    const Drive drive = Synapses::drive(own, set, in[0], in[1]);
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
      if (a.input_strides[k] != 0) {  // else all threads read the same zeros
        store(input, Real{});
      }
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

template <class M>
constexpr Model model() {
  return {M::name,
          M::receptors,
          {M::state_names.data(), M::kStates},
          {M::parameter_names.data(), M::kParameters},
          {M::input_names.data(), M::kInputs},
          M::kIntegers,
          advance<M>};
}

constexpr Model kModels[] = {
    model<Neuron<Lif, CurrentExponential>>(),
    model<Neuron<Lif, CurrentAlpha>>(),
    model<Neuron<Lif, ConductanceExponential>>(),
    model<Neuron<Lif, ConductanceAlpha>>(),
    model<Neuron<Lif, Delta>>(),
    model<Neuron<AdaptiveLif, CurrentExponential>>(),
    model<Neuron<AdaptiveLif, CurrentAlpha>>(),
    model<Neuron<AdaptiveLif, ConductanceExponential>>(),
    model<Neuron<AdaptiveLif, ConductanceAlpha>>(),
    model<Neuron<AdaptiveLif, Delta>>(),
    model<Neuron<AdEx, CurrentExponential>>(),
    model<Neuron<AdEx, CurrentAlpha>>(),
    model<Neuron<AdEx, ConductanceExponential>>(),
    model<Neuron<AdEx, ConductanceAlpha>>(),
    model<Neuron<AdEx, Delta>>(),
    model<Neuron<HodgkinHuxley<Classic>, CurrentExponential>>(),
    model<Neuron<HodgkinHuxley<Classic>, CurrentAlpha>>(),
    model<Neuron<HodgkinHuxley<Classic>, ConductanceExponential>>(),
    model<Neuron<HodgkinHuxley<Classic>, ConductanceAlpha>>(),
    model<Neuron<HodgkinHuxley<Classic>, Delta>>(),
    model<Neuron<HodgkinHuxley<TraubMiles>, CurrentExponential>>(),
    model<Neuron<HodgkinHuxley<TraubMiles>, CurrentAlpha>>(),
    model<Neuron<HodgkinHuxley<TraubMiles>, ConductanceExponential>>(),
    model<Neuron<HodgkinHuxley<TraubMiles>, ConductanceAlpha>>(),
    model<Neuron<HodgkinHuxley<TraubMiles>, Delta>>(),
    model<Izhikevich>(),
    model<McCullochPitts>(),
    model<LoihiCompartment>(),
    model<PoissonSource>(),
    model<RegularSource>(),
};
