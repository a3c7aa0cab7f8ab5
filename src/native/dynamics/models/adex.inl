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

  struct Slope {
    Real v;
    Real w;
  };
  static Slope slope(const Real* p, Real v, Real w, Real g, Real i, Mask held) {
    // Beyond the peak the spike is over; the exponential must not overflow on the way.
    const Real u = held ? p[kReset] : least(v, p[kPeak]);
    const Real away = u - p[kRest];
    const Real upstroke = p[kLeak] * p[kSlope] * exponential((u - p[kOnset]) / p[kSlope]);
    const Real dv = (upstroke - p[kLeak] * away - w - g * u + i) * p[kCapacity];
    return {held ? Real{} : dv, (p[kA] * away - w) * p[kTau]};
  }

  template <bool kConductance>
  static Mask step(Real* s, const Real* p, const Drive& drive, Real current) {
    const Real h = p[kPart];
    const Mask held = s[kRefractory] > 0.0F;
    Real left = held ? s[kRefractory] - 1.0F : s[kRefractory];
    // What V and w lose by rounding is kept and added later: slow passages past the threshold are
    // as sensitive as that.
    Real v = s[kV];
    Real w = s[kW];
    Real x = s[kVLow];
    Real y = s[kWLow];
    Mask fired{};
    for (int part = 0; part < kParts; ++part) {
      const Mask still = held | fired;
      const float middle = (static_cast<float>(part) + 0.5F) / kParts - 0.5F;
      const Real g = drive.conductance + drive.conductance_change * middle;
      const Real i = (drive.current + drive.current_change * middle) + (current + p[kBias]);
      const Slope a = slope(p, v + x, w + y, g, i, still);
      const Slope b = slope(p, v + (x + h * 0.5F * a.v), w + (y + h * 0.5F * a.w), g, i, still);
      const Slope c = slope(p, v + (x + h * 0.5F * b.v), w + (y + h * 0.5F * b.w), g, i, still);
      const Slope d = slope(p, v + (x + h * c.v), w + (y + h * c.w), g, i, still);
      x += h * 0.166666667F * (a.v + 2.0F * (b.v + c.v) + d.v);
      y += h * 0.166666667F * (a.w + 2.0F * (b.w + c.w) + d.w);
      const Mask over = (v + x >= p[kPeak]) & ~still;
      v = over ? p[kReset] : v;
      x = over ? Real{} : x;
      w = over ? w + p[kB] : w;
      left = over ? p[kSteps] : left;
      fired |= over;
    }
    x += held ? Real{} : drive.jump;
    s[kV] = v + x;
    s[kVLow] = x - (s[kV] - v);
    s[kW] = w + y;
    s[kWLow] = y - (s[kW] - w);
    s[kRefractory] = left;
    return fired;
  }
};
