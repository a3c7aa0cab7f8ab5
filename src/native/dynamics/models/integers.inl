// Neurons whose states are whole numbers.

// Loihi's compartment, bit for bit as Lava's floating-free model has it; sangbo.dynamics.neurons.
// Loihi has the equations.
struct LoihiCompartment {
  static constexpr const char* name = "loihi";
  static constexpr const char* receptors = "";
  static constexpr bool kIntegers = true;
  enum State : std::size_t { kV, kU, kStates };
  enum Parameter : std::size_t { kDu, kDv, kBias, kThreshold, kParameters };
  static constexpr std::size_t kInputs = 1;
  static constexpr std::array<const char*, kStates> state_names = {"v", "u"};
  static constexpr std::array<const char*, kParameters> parameter_names = {"du", "dv", "bias",
                                                                           "threshold"};
  static constexpr std::array<const char*, 1> input_names = {"excitatory"};

  // sign(x)·((|x|·keep) >> 12), for |x| ≤ 2²³ and 0 ≤ keep ≤ 4096: high and low halves apart, so
  // that 32 bits do.
  static Whole decayed(Whole x, Whole keep) {
    const Whole sign = x >> 31;
    const Whole size = (x ^ sign) - sign;
    const Whole value = (size >> 12) * keep + (((size & 0xFFF) * keep) >> 12);
    return (value ^ sign) - sign;
  }

  static Mask step(Real* s, const Real* p, const Real* in, const Advance&, std::uint32_t) {
    const Whole arrived = as<Whole>(as<Natural>(in[0]) << 6);
    const Whole sum = decayed(as<Whole>(s[kU]), 4096 - as<Whole>(p[kDu])) + arrived;
    // Wraps at 24 bits, into −2²³ + 1 … 2²³ as Lava does.
    const Whole u = (as<Whole>(as<Natural>(sum - 1) << 8) >> 8) + 1;
    constexpr std::int32_t kMost = (1 << 23) - 1;
    Whole v = decayed(as<Whole>(s[kV]), 4096 - as<Whole>(p[kDv])) + u + as<Whole>(p[kBias]);
    v = v > kMost ? all(kMost) : v;
    v = v < -kMost ? all(-kMost) : v;
    const Mask fired = v > as<Whole>(p[kThreshold]);
    s[kV] = as<Real>(fired ? Whole{} : v);
    s[kU] = as<Real>(u);
    return fired;
  }
};

// McCulloch and Pitts: fires in every step whose inputs reach the threshold.
struct McCullochPitts {
  static constexpr const char* name = "mcculloch_pitts";
  static constexpr const char* receptors = "";
  static constexpr bool kIntegers = false;
  enum State : std::size_t { kSum, kStates };
  enum Parameter : std::size_t { kThreshold, kParameters };
  static constexpr std::size_t kInputs = 3;
  static constexpr std::array<const char*, kStates> state_names = {"sum"};
  static constexpr std::array<const char*, kParameters> parameter_names = {"threshold"};
  static constexpr std::array<const char*, 3> input_names = {"excitatory", "inhibitory", "current"};

  static Mask step(Real* s, const Real* p, const Real* in, const Advance&, std::uint32_t) {
    s[kSum] = (in[0] + in[1]) + in[2];
    return s[kSum] >= p[kThreshold];
  }
};
