// How arrived weights act on a membrane. Each kind keeps its own states, and answers with the
// conductance and the current that the membrane sees during the step. Arrivals of a step act from
// its end on, as in NEST.

struct Drive {
  Real conductance;  // nS
  Real current;      // pA, with the reversal potentials in it
  Real jump;         // mV, at the end of the step
  // By how much the first two change during the step; membranes that take it in parts ask.
  Real conductance_change;
  Real current_change;
};

// Currents that decay exponentially: τ dI/dt = −I.
struct CurrentExponential {
  static constexpr const char* name = "current_exponential";
  static constexpr bool kConductance = false;
  enum State : std::size_t { kExcitatory, kInhibitory, kStates };
  enum Parameter : std::size_t { kDecayE, kDecayI, kMeanE, kMeanI, kParameters };
  static constexpr std::array<const char*, kStates> state_names = {"i_excitatory", "i_inhibitory"};
  static constexpr std::array<const char*, kParameters> parameter_names = {"decay_e", "decay_i",
                                                                           "mean_e", "mean_i"};

  static Drive drive(const Real* s, const Real* p, Real, Real) {
    const Real e = s[kExcitatory];
    const Real i = s[kInhibitory];
    return {Real{}, e * p[kMeanE] + i * p[kMeanI], Real{}, Real{},
            e * (p[kDecayE] - 1.0F) + i * (p[kDecayI] - 1.0F)};
  }
  static void arrive(Real* s, const Real* p, Real e, Real i) {
    s[kExcitatory] = s[kExcitatory] * p[kDecayE] + e;
    s[kInhibitory] = s[kInhibitory] * p[kDecayI] + i;
  }
};

// Conductances that decay exponentially: I = g (E − V), τ dg/dt = −g.
struct ConductanceExponential {
  static constexpr const char* name = "conductance_exponential";
  static constexpr bool kConductance = true;
  enum State : std::size_t { kExcitatory, kInhibitory, kStates };
  enum Parameter : std::size_t {
    kDecayE,
    kDecayI,
    kMeanE,
    kMeanI,
    kReversalE,
    kReversalI,
    kParameters
  };
  static constexpr std::array<const char*, kStates> state_names = {"g_excitatory", "g_inhibitory"};
  static constexpr std::array<const char*, kParameters> parameter_names = {
      "decay_e", "decay_i", "mean_e", "mean_i", "reversal_e", "reversal_i"};

  static Drive drive(const Real* s, const Real* p, Real, Real) {
    const Real e = s[kExcitatory] * p[kMeanE];
    const Real i = s[kInhibitory] * p[kMeanI];
    const Real de = s[kExcitatory] * (p[kDecayE] - 1.0F);
    const Real di = s[kInhibitory] * (p[kDecayI] - 1.0F);
    return {e + i, e * p[kReversalE] + i * p[kReversalI], Real{}, de + di,
            de * p[kReversalE] + di * p[kReversalI]};
  }
  static void arrive(Real* s, const Real* p, Real e, Real i) {
    s[kExcitatory] = s[kExcitatory] * p[kDecayE] + e;
    s[kInhibitory] = s[kInhibitory] * p[kDecayI] + i;
  }
};

// One alpha function, (t/τ) e^(1 − t/τ) for each unit of weight: x is it, y the slope that feeds
// it.
struct Alpha {
  // By how much x changes in a step.
  static Real change(Real x, Real y, Real decay, Real feed) {
    return x * (decay - 1.0F) + y * feed;
  }
  static void advance(Real& x, Real& y, Real decay, Real feed, Real rise, Real weight) {
    x = x * decay + y * feed;
    y = y * decay + weight * rise;
  }
};

struct CurrentAlpha {
  static constexpr const char* name = "current_alpha";
  static constexpr bool kConductance = false;
  enum State : std::size_t { kExcitatory, kInhibitory, kSlopeE, kSlopeI, kStates };
  enum Parameter : std::size_t {
    kDecayE,
    kDecayI,
    kFeedE,
    kFeedI,
    kRiseE,
    kRiseI,
    kMeanE,
    kMeanI,
    kMeanSlopeE,
    kMeanSlopeI,
    kParameters
  };
  static constexpr std::array<const char*, kStates> state_names = {
      "i_excitatory", "i_inhibitory", "slope_excitatory", "slope_inhibitory"};
  static constexpr std::array<const char*, kParameters> parameter_names = {
      "decay_e", "decay_i", "feed_e", "feed_i",       "rise_e",
      "rise_i",  "mean_e",  "mean_i", "mean_slope_e", "mean_slope_i"};

  static Drive drive(const Real* s, const Real* p, Real, Real) {
    const Real de = Alpha::change(s[kExcitatory], s[kSlopeE], p[kDecayE], p[kFeedE]);
    const Real di = Alpha::change(s[kInhibitory], s[kSlopeI], p[kDecayI], p[kFeedI]);
    return {Real{},
            (s[kExcitatory] * p[kMeanE] + s[kSlopeE] * p[kMeanSlopeE]) +
                (s[kInhibitory] * p[kMeanI] + s[kSlopeI] * p[kMeanSlopeI]),
            Real{}, Real{}, de + di};
  }
  static void arrive(Real* s, const Real* p, Real e, Real i) {
    Alpha::advance(s[kExcitatory], s[kSlopeE], p[kDecayE], p[kFeedE], p[kRiseE], e);
    Alpha::advance(s[kInhibitory], s[kSlopeI], p[kDecayI], p[kFeedI], p[kRiseI], i);
  }
};

struct ConductanceAlpha {
  static constexpr const char* name = "conductance_alpha";
  static constexpr bool kConductance = true;
  enum State : std::size_t { kExcitatory, kInhibitory, kSlopeE, kSlopeI, kStates };
  enum Parameter : std::size_t {
    kDecayE,
    kDecayI,
    kFeedE,
    kFeedI,
    kRiseE,
    kRiseI,
    kMeanE,
    kMeanI,
    kMeanSlopeE,
    kMeanSlopeI,
    kReversalE,
    kReversalI,
    kParameters
  };
  static constexpr std::array<const char*, kStates> state_names = {
      "g_excitatory", "g_inhibitory", "slope_excitatory", "slope_inhibitory"};
  static constexpr std::array<const char*, kParameters> parameter_names = {
      "decay_e", "decay_i", "feed_e",       "feed_i",       "rise_e",     "rise_i",
      "mean_e",  "mean_i",  "mean_slope_e", "mean_slope_i", "reversal_e", "reversal_i"};

  static Drive drive(const Real* s, const Real* p, Real, Real) {
    const Real e = s[kExcitatory] * p[kMeanE] + s[kSlopeE] * p[kMeanSlopeE];
    const Real i = s[kInhibitory] * p[kMeanI] + s[kSlopeI] * p[kMeanSlopeI];
    const Real de = Alpha::change(s[kExcitatory], s[kSlopeE], p[kDecayE], p[kFeedE]);
    const Real di = Alpha::change(s[kInhibitory], s[kSlopeI], p[kDecayI], p[kFeedI]);
    return {e + i, e * p[kReversalE] + i * p[kReversalI], Real{}, de + di,
            de * p[kReversalE] + di * p[kReversalI]};
  }
  static void arrive(Real* s, const Real* p, Real e, Real i) {
    Alpha::advance(s[kExcitatory], s[kSlopeE], p[kDecayE], p[kFeedE], p[kRiseE], e);
    Alpha::advance(s[kInhibitory], s[kSlopeI], p[kDecayI], p[kFeedI], p[kRiseI], i);
  }
};

// Weights that the membrane jumps by, mV.
struct Delta {
  static constexpr const char* name = "delta";
  static constexpr bool kConductance = false;
  static constexpr std::size_t kStates = 0;
  static constexpr std::size_t kParameters = 0;
  static constexpr std::array<const char*, 0> state_names = {};
  static constexpr std::array<const char*, 0> parameter_names = {};

  static Drive drive(const Real*, const Real*, Real e, Real i) {
    return {Real{}, Real{}, e + i, Real{}, Real{}};
  }
  static void arrive(Real*, const Real*, Real, Real) {}
};
