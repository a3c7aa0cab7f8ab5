// Izhikevich's neuron; sangbo.dynamics.neurons.Izhikevich has the equations. Euler's steps, of
// `h` ms each, as in Izhikevich (2003).
struct Izhikevich {
  static constexpr const char* name = "izhikevich";
  static constexpr const char* receptors = "";
  static constexpr bool kIntegers = false;
  enum State : std::size_t { kV, kU, kStates };
  enum Parameter : std::size_t { kH, kA, kB, kC, kD, kPeak, kBias, kParameters };
  static constexpr std::size_t kInputs = 3;
  static constexpr std::array<const char*, kStates> state_names = {"v", "u"};
  static constexpr std::array<const char*, kParameters> parameter_names = {"h", "a",    "b",   "c",
                                                                           "d", "peak", "bias"};
  static constexpr std::array<const char*, 3> input_names = {"excitatory", "inhibitory", "current"};

  // Weights make V jump, as in NEST.
  static Mask step(Real* s, const Real* p, const Real* in, const Advance&, std::uint32_t) {
    const Real v = s[kV];
    const Real u = s[kU];
    const Real dv = 0.04F * v * v + 5.0F * v + 140.0F - u + (in[2] + p[kBias]);
    const Real next = v + p[kH] * dv + (in[0] + in[1]);
    const Real recovery = u + p[kH] * p[kA] * (p[kB] * v - u);
    const Mask fired = next >= p[kPeak];
    s[kV] = fired ? p[kC] : next;
    s[kU] = fired ? recovery + p[kD] : recovery;
    return fired;
  }
};
