// Adaptive exponential integrate and fire; sangbo.dynamics.neurons.AdEx has the equations. Each
// step is taken in `kParts` parts of Runge and Kutta's fourth order, as the upstroke needs.
struct AdEx {
  static constexpr const char* name = "adex";
  enum State : std::size_t { kV, kRefractory, kW, kVLow, kWLow, kStates };
  enum Parameter : std::size_t {
    kPart,
    kCapacity,
    kLeak,
    kRest,
    kSlope,
    kOnset,
    kPeak,
    kReset,
    kSteps,
    kBias,
    kA,
    kB,
    kTau,
    kParameters
  };
  static constexpr std::array<const char*, kStates> state_names = {"v", "refractory", "w", "v_low",
                                                                   "w_low"};
  static constexpr std::array<const char*, kParameters> parameter_names = {
      "part",  "inverse_c",        "leak", "rest", "slope", "onset",      "peak",
      "reset", "refractory_steps", "bias", "a",    "b",     "inverse_tau"};
  static constexpr int kParts = 16;
  static constexpr float kUpstroke = 2.0F;  // slopes above the onset: from here on it is followed

  struct Slope {
    Real v;  // of V, or of y
    Real w;
  };
  // What drives the membrane beside the upstroke, pA.
  static Real drift(const Real* p, Real u, Real w, Real g, Real i) {
    return i - p[kLeak] * (u - p[kRest]) - w - g * u;
  }
  static Real adaptation(const Real* p, Real u, Real w) {
    return (p[kA] * (u - p[kRest]) - w) * p[kTau];
  }
  static Slope slope(const Real* p, Real v, Real w, Real g, Real i, Mask held) {
    // Beyond the peak the spike is over; the exponential must not overflow on the way.
    const Real u = held ? p[kReset] : least(v, p[kPeak]);
    const Real upstroke = p[kLeak] * p[kSlope] * exponential((u - p[kOnset]) / p[kSlope]);
    const Real dv = (upstroke + drift(p, u, w, g, i)) * p[kCapacity];
    return {held ? Real{} : dv, adaptation(p, u, w)};
  }
  static Real potential(const Real* p, Real y) { return p[kOnset] - p[kSlope] * logarithm(y); }
  static Slope upstroke(const Real* p, Real y, Real w, Real g, Real i, Real peak) {
    const Real bounded = most(y, peak);
    const Real u = potential(p, bounded);
    const Real fall = p[kLeak] + bounded * drift(p, u, w, g, i) / p[kSlope];
    return {-(fall * p[kCapacity]), adaptation(p, u, w)};
  }
  // One part of length h: what is added to V (or y) and w.
  template <class F>
  static Slope part(Real h, const F& f) {
    const Slope a = f(Real{}, Real{});
    const Slope b = f(h * 0.5F * a.v, h * 0.5F * a.w);
    const Slope c = f(h * 0.5F * b.v, h * 0.5F * b.w);
    const Slope d = f(h * c.v, h * c.w);
    return {h * 0.166666667F * (a.v + 2.0F * (b.v + c.v) + d.v),
            h * 0.166666667F * (a.w + 2.0F * (b.w + c.w) + d.w)};
  }

  template <bool kConductance>
  static Mask step(Real* s, const Real* p, const Drive& drive, Real current) {
    const Real h = p[kPart];
    const Mask held = s[kRefractory] > 0.0F;
    const Mask rests = p[kSteps] > 0.0F;
    const Real peak = exponential((p[kOnset] - p[kPeak]) / p[kSlope]);  // as y
    Real left = held ? s[kRefractory] - 1.0F : s[kRefractory];
    // What V and w lose by rounding is kept and added later: slow passages past the threshold are
    // as sensitive as that.
    Real v = s[kV];
    Real w = s[kW];
    Real x = s[kVLow];
    Real z = s[kWLow];
    Mask fired{};
    for (int k = 0; k < kParts; ++k) {
      const Mask still = held | (fired & rests);
      const float middle = (static_cast<float>(k) + 0.5F) / kParts - 0.5F;
      const Real g = drive.conductance + drive.conductance_change * middle;
      const Real i = (drive.current + drive.current_change * middle) + (current + p[kBias]);
      Slope more = part(
          h, [&](Real dv, Real dw) { return slope(p, v + (x + dv), w + (z + dw), g, i, still); });
      Mask over = (v + x + more.v >= p[kPeak]) & ~still;
      Real rest = Real{};  // of the part, after the spike
      const Mask up = ((v + x - p[kOnset]) > p[kSlope] * kUpstroke) & ~still;
      if (bits(up) != 0) {
        const Real y = exponential((p[kOnset] - (v + x)) / p[kSlope]);
        const Slope fall = part(
            h, [&](Real dy, Real dw) { return upstroke(p, y + dy, w + (z + dw), g, i, peak); });
        const Real end = y + fall.v;
        const Mask past = end <= peak;
        over = up ? past : over;
        rest = up & past ? most(least((end - peak) / fall.v, all(1.0F)), Real{}) : rest;
        const Real reached = potential(p, most(end, peak));
        v = up ? reached : v;
        x = up ? Real{} : x;
        more.v = up ? Real{} : more.v;
        more.w = up ? fall.w : more.w;
      }
      x += more.v;
      if (bits(over) != 0) {
        const Real jumped = w + (z + more.w * (1.0F - rest)) + p[kB];
        const Slope after = slope(p, p[kReset], jumped, g, i, rests);
        v = over ? p[kReset] : v;
        x = over ? h * rest * after.v : x;
        w = over ? jumped : w;
        z = over ? h * rest * after.w : z + more.w;
        left = over ? p[kSteps] : left;
        fired |= over;
      } else {
        z += more.w;
      }
    }
    x += held ? Real{} : drive.jump;
    s[kV] = v + x;
    s[kVLow] = x - (s[kV] - v);
    s[kW] = w + z;
    s[kWLow] = z - (s[kW] - w);
    s[kRefractory] = left;
    return fired;
  }
};
