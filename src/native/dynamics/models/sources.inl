// Neurons that fire on their own.

// A Poisson process seen at each step: at most one spike in it, with the probability given.
struct PoissonSource {
  static constexpr const char* name = "poisson";
  static constexpr const char* receptors = "";
  static constexpr bool kIntegers = false;
  static constexpr std::size_t kStates = 0;
  static constexpr std::size_t kParameters = 1;
  static constexpr std::size_t kInputs = 0;
  static constexpr std::array<const char*, 0> state_names = {};
  static constexpr std::array<const char*, 1> parameter_names = {"probability"};
  static constexpr std::array<const char*, 0> input_names = {};

  static Mask step(Real*, const Real* p, const Real*, const Advance& a, std::uint32_t neuron) {
    const Draws draws = step_draws(neuron, a.stream, a.step, a.seed, Purpose::kStep);
    return uniform(draws.word[0]) < p[0];
  }
};

// Fires every `interval` steps.
struct RegularSource {
  static constexpr const char* name = "regular";
  static constexpr const char* receptors = "";
  static constexpr bool kIntegers = false;
  static constexpr std::size_t kStates = 1;
  static constexpr std::size_t kParameters = 1;
  static constexpr std::size_t kInputs = 0;
  static constexpr std::array<const char*, 1> state_names = {"wait"};
  static constexpr std::array<const char*, 1> parameter_names = {"interval"};
  static constexpr std::array<const char*, 0> input_names = {};

  static Mask step(Real* s, const Real* p, const Real*, const Advance&, std::uint32_t) {
    const Real wait = s[0] - 1.0F;
    const Mask fired = wait <= 0.0F;
    s[0] = fired ? wait + p[0] : wait;
    return fired;
  }
};
