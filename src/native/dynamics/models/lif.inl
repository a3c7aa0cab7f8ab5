// Leaky integrate and fire: C dV/dt = −g_L (V − E_L) + I. The membrane is kept relative to E_L, and
// every step is exact while currents are what the synapses say; sangbo.dynamics.neurons.LIF has the
// equations and works out the parameters.
struct Lif {
  static constexpr const char* name = "lif";
  enum State : std::size_t { kV, kRefractory, kStates };
  enum Parameter : std::size_t {
    kDecay,
    kGain,
    kBias,
    kThreshold,
    kReset,
    kRest,
    kSteps,
    kLeak,
    kRate,
    kParameters
  };
  static constexpr std::array<const char*, kStates> state_names = {"v", "refractory"};
  static constexpr std::array<const char*, kParameters> parameter_names = {
      "decay", "gain", "bias", "threshold", "reset", "rest", "refractory_steps", "leak", "rate"};

  template <bool kConductance>
  static Mask step(Real* s, const Real* p, const Drive& drive, Real current) {
    const Real i = drive.current + (current + p[kBias]);
    Real v;
    if constexpr (kConductance) {
      // V relaxes to V∞ = ΣgE/Σg with the rate Σg/C.
      const Real g = p[kLeak] + drive.conductance;
      const Real end = (p[kLeak] * p[kRest] + i) / g;
      v = end + (s[kV] - end) * exponential(g * p[kRate]);
    } else {
      v = p[kRest] + (s[kV] - p[kRest]) * p[kDecay] + i * p[kGain];
    }
    const Mask held = s[kRefractory] > 0.0F;
    v = held ? p[kReset] : v + drive.jump;
    const Mask fired = (v >= p[kThreshold]) & ~held;
    s[kV] = fired ? p[kReset] : v;
    s[kRefractory] = fired ? p[kSteps] : (held ? s[kRefractory] - 1.0F : s[kRefractory]);
    return fired;
  }
};

// The same with a threshold that every spike raises by kKick, and that falls back with the factor
// kKeep a step.
struct AdaptiveLif {
  static constexpr const char* name = "adaptive_lif";
  enum State : std::size_t { kTheta = Lif::kStates, kStates };
  enum Parameter : std::size_t { kKick = Lif::kParameters, kKeep, kParameters };
  static constexpr std::array<const char*, kStates> state_names = {"v", "refractory", "theta"};
  static constexpr std::array<const char*, kParameters> parameter_names = {
      "decay", "gain", "bias", "threshold", "reset", "rest", "refractory_steps",
      "leak",  "rate", "kick", "keep"};

  template <bool kConductance>
  static Mask step(Real* s, const Real* p, const Drive& drive, Real current) {
    Real fixed[Lif::kParameters];
    for (std::size_t k = 0; k < Lif::kParameters; ++k) {
      fixed[k] = p[k];
    }
    fixed[Lif::kThreshold] = p[Lif::kThreshold] + s[kTheta];
    const Mask fired = Lif::step<kConductance>(s, fixed, drive, current);
    s[kTheta] = s[kTheta] * p[kKeep] + (fired ? p[kKick] : Real{});
    return fired;
  }
};
