// Hodgkin and Huxley's membrane: C dV/dt = −g_Na m³h (V − E_Na) − g_K n⁴ (V − E_K) − g_L (V − E_L)
// + I. Gates live half a step ahead of V; both relax exactly for what the other is at mid-step,
// which is of second order. The kinds differ by the rates of their gates.
struct Rates {
  Real alpha;
  Real beta;
};

// Hodgkin and Huxley (1952), with V as in NEURON's `hh` at 6.3 °C.
struct Classic {
  static constexpr const char* name = "hodgkin_huxley";
  static Rates m(Real v, Real) {
    return {ratio((v + 40.0F) * -0.1F), 4.0F * exponential((v + 65.0F) * -0.0555555556F)};
  }
  static Rates h(Real v, Real) {
    return {0.07F * exponential((v + 65.0F) * -0.05F),
            1.0F / (exponential((v + 35.0F) * -0.1F) + 1.0F)};
  }
  static Rates n(Real v, Real) {
    return {0.1F * ratio((v + 55.0F) * -0.1F), 0.125F * exponential((v + 65.0F) * -0.0125F)};
  }
};

// Traub and Miles (1991), as in Brette et al. (2007): V relative to a threshold V_T.
struct TraubMiles {
  static constexpr const char* name = "traub_miles";
  static Rates m(Real v, Real vt) {
    const Real u = v - vt;
    return {1.28F * ratio((13.0F - u) * 0.25F), 1.4F * ratio((u - 40.0F) * 0.2F)};
  }
  static Rates h(Real v, Real vt) {
    const Real u = v - vt;
    return {0.128F * exponential((17.0F - u) * 0.0555555556F),
            4.0F / (1.0F + exponential((40.0F - u) * 0.2F))};
  }
  static Rates n(Real v, Real vt) {
    const Real u = v - vt;
    return {0.16F * ratio((15.0F - u) * 0.2F), 0.5F * exponential((10.0F - u) * 0.025F)};
  }
};

template <class Kind>
struct HodgkinHuxley {
  static constexpr const char* name = Kind::name;
  enum State : std::size_t { kV, kRefractory, kM, kH, kN, kStates };
  enum Parameter : std::size_t {
    kStep,
    kRate,
    kSodium,
    kPotassium,
    kLeak,
    kENa,
    kEK,
    kEL,
    kBias,
    kThreshold,
    kShift,
    kSteps,
    kParameters
  };
  static constexpr std::array<const char*, kStates> state_names = {"v", "refractory", "m", "h",
                                                                   "n"};
  static constexpr std::array<const char*, kParameters> parameter_names = {
      "step", "rate", "g_na", "g_k",       "leak", "e_na",
      "e_k",  "e_l",  "bias", "threshold", "v_t",  "refractory_steps"};

  static Real relax(Real x, Rates r, Real step) {
    const Real sum = r.alpha + r.beta;
    const Real end = r.alpha / sum;
    return end + (x - end) * exponential(-(step * sum));
  }

  template <bool kConductance>
  static Mask step(Real* s, const Real* p, const Drive& drive, Real current) {
    const Real before = s[kV];
    const Real square = s[kN] * s[kN];
    const Real na = p[kSodium] * (s[kM] * s[kM] * s[kM]) * s[kH];
    const Real k = p[kPotassium] * (square * square);
    const Real g = na + k + p[kLeak] + drive.conductance;
    const Real end =
        (na * p[kENa] + k * p[kEK] + p[kLeak] * p[kEL] + drive.current + (current + p[kBias])) / g;
    const Real v = end + (before - end) * exponential(g * p[kRate]) + drive.jump;
    s[kM] = relax(s[kM], Kind::m(v, p[kShift]), p[kStep]);
    s[kH] = relax(s[kH], Kind::h(v, p[kShift]), p[kStep]);
    s[kN] = relax(s[kN], Kind::n(v, p[kShift]), p[kStep]);
    s[kV] = v;
    // A spike is the threshold crossed upwards, and no other for a refractory time.
    const Mask held = s[kRefractory] > 0.0F;
    const Mask fired = (before < p[kThreshold]) & (v >= p[kThreshold]) & ~held;
    s[kRefractory] = fired ? p[kSteps] : (held ? s[kRefractory] - 1.0F : s[kRefractory]);
    return fired;
  }
};
