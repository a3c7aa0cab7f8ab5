// What reaches every neuron of a population beside its synapses. Included once in each file of
// kernels, after lanes.inl. Neurons come in blocks of 64: one draw of Philox serves four lanes.

inline constexpr std::uint32_t kDrawn = 4 * kLanes;

void poisson(const PoissonDrive& drive, float* input, std::size_t count, std::uint64_t seed,
             std::uint32_t stream, std::uint32_t first, std::uint64_t step) {
  for (std::uint32_t at = 0; at < count; at += kDrawn) {
    const Draws draws = step_draws((first + at) / 4, stream, step, seed, Purpose::kStimulus);
    for (std::uint32_t w = 0; w < 4 && at + w * kLanes < count; ++w) {
      Whole events{};
      for (std::size_t k = 0; k < drive.count; ++k) {
        const Mask more = draws.word[w] >= drive.thresholds[k];
        if (bits(more) == 0) {
          break;
        }
        events -= more;
      }
      float* to = input + at + w * kLanes;
      store(to, load(to) + __builtin_convertvector(events, Real) * drive.weight);
    }
  }
}

// ln x for finite positive x, to a few units in the last place; after Cephes.
inline Real logarithm(Real x) {
  const Whole raw = as<Whole>(x);
  Whole exponent = (raw >> 23) - 126;
  Real m = as<Real>((raw & 0x007FFFFF) | 0x3F000000);  // 0.5 … 1
  const Mask low = m < 0.707106781F;
  exponent += low;
  m = (low ? m + m : m) - 1.0F;
  const Real square = m * m;
  Real p = m * 7.0376836292e-2F - 1.1514610310e-1F;
  p = p * m + 1.1676998740e-1F;
  p = p * m - 1.2420140846e-1F;
  p = p * m + 1.4249322787e-1F;
  p = p * m - 1.6668057665e-1F;
  p = p * m + 2.0000714765e-1F;
  p = p * m - 2.4999993993e-1F;
  p = p * m + 3.3333331174e-1F;
  const Real e = __builtin_convertvector(exponent, Real);
  Real y = m * square * p + e * -2.12194440e-4F;
  y = y - square * 0.5F;
  return (m + y) + e * 0.693359375F;
}

inline Real square_root(Real x) {
  Real y;
  for (std::size_t i = 0; i < kLanes; ++i) {
    y[i] = __builtin_sqrtf(x[i]);
  }
  return y;
}

// The standard normal of which a share `u` is smaller; Giles, "Approximating the erfinv function",
// GPU Computing Gems 2, 2011.
inline Real normal(Real u) {
  constexpr float kCentre[] = {2.81022636e-08F,  3.43273939e-07F, -3.5233877e-06F,
                               -4.39150654e-06F, 0.00021858087F,  -0.00125372503F,
                               -0.00417768164F,  0.246640727F,    1.50140941F};
  constexpr float kTail[] = {-0.000200214257F, 0.000100950558F, 0.00134934322F,
                             -0.00367342844F,  0.00573950773F,  -0.0076224613F,
                             0.00943887047F,   1.00167406F,     2.83297682F};
  const Real x = u * 2.0F - 1.0F;
  const Real w = -logarithm((1.0F - x) * (1.0F + x));
  const Real centre = w - 2.5F;
  const Real tail = square_root(w) - 3.0F;
  Real a = all(kCentre[0]);
  Real b = all(kTail[0]);
  for (std::size_t i = 1; i < 9; ++i) {
    a = a * centre + kCentre[i];
    b = b * tail + kTail[i];
  }
  return (w < 5.0F ? a : b) * x * 1.41421356F;
}

void noise(float mean, float deviation, float* input, std::size_t count, std::uint64_t seed,
           std::uint32_t stream, std::uint32_t first, std::uint64_t step) {
  for (std::uint32_t at = 0; at < count; at += kDrawn) {
    const Draws draws = step_draws((first + at) / 4, stream, step, seed, Purpose::kStimulus);
    for (std::uint32_t w = 0; w < 4 && at + w * kLanes < count; ++w) {
      float* to = input + at + w * kLanes;
      store(to, load(to) + (normal(uniform(draws.word[w])) * deviation + mean));
    }
  }
}
