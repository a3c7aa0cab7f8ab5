// Sixteen neurons at a time, in the compiler's own vectors: every instruction set computes the same
// bits, because every operation is written out and rounds once. Included once in each file of
// kernels.

using Real = float __attribute__((vector_size(64)));
using Whole = std::int32_t __attribute__((vector_size(64)));
using Natural = std::uint32_t __attribute__((vector_size(64)));
using Mask = Whole;  // −1 where true, 0 where false

inline Real all(float x) { return Real{} + x; }
inline Whole all(std::int32_t x) { return Whole{} + x; }

template <class To, class From>
inline To as(From x) {
  To y;
  static_assert(sizeof x == sizeof y);
  __builtin_memcpy(&y, &x, sizeof y);
  return y;
}
inline Real load(const float* p) {
  Real v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, Real v) { __builtin_memcpy(p, &v, sizeof v); }

inline Real least(Real a, Real b) { return a < b ? a : b; }
inline Real most(Real a, Real b) { return a > b ? a : b; }

// e^x to 2 units in the last place for −87 ≤ x ≤ 88, clamped there; after Cephes.
inline Real exponential(Real x) {
  const Real b = least(most(x, all(-87.0F)), all(88.0F));
  const Real t = b * 1.44269504F + 0.5F;
  Whole k = __builtin_convertvector(t, Whole);
  k += __builtin_convertvector(k, Real) > t;
  const Real kf = __builtin_convertvector(k, Real);
  const Real r = (b - kf * 0.693359375F) - kf * -2.12194440e-4F;
  Real p = r * 1.9875691500e-4F + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  const Real y = (p * (r * r) + r) + 1.0F;
  return y * as<Real>((k + 127) << 23);
}

// x / (e^x − 1), and its limit 1 at 0: the rates of Hodgkin and Huxley hold it.
inline Real ratio(Real x) {
  const Real series = 1.0F - x * 0.5F + x * x * 0.083333333F;
  const Real size = x < 0.0F ? -x : x;
  return size < all(0.02F) ? series : x / (exponential(x) - 1.0F);
}

// One bit for each lane that is true.
inline std::uint32_t bits(Mask mask) {
#if defined(__AVX512DQ__)
  return _mm512_movepi32_mask(as<__m512i>(mask));
#else
  std::uint64_t words[8];
  __builtin_memcpy(words, &mask, sizeof words);
  std::uint64_t any = 0;
  for (const std::uint64_t word : words) {
    any |= word;
  }
  if (any == 0) {
    return 0;
  }
  std::uint32_t found = 0;
  for (std::uint32_t i = 0; i < 8; ++i) {
    found |= static_cast<std::uint32_t>(words[i] & 1) << (2 * i);
    found |= static_cast<std::uint32_t>(words[i] >> 63) << (2 * i + 1);
  }
  return found;
#endif
}

// Sixteen lanes of the four words of Philox, as random.hpp has them one by one.
struct Draws {
  Natural word[4];
};
inline Natural high_product(Natural a, std::uint32_t b) {
  using Wide = std::uint64_t __attribute__((vector_size(64)));
  const Wide even = (as<Wide>(a) & 0xFFFFFFFFU) * b;
  const Wide odd = (as<Wide>(a) >> 32) * b;
  return as<Natural>((even >> 32) | (odd & 0xFFFFFFFF00000000U));
}
inline Draws philox(Natural first, std::uint32_t c1, std::uint32_t c2, std::uint32_t c3,
                    std::uint64_t key) {
  auto k0 = static_cast<std::uint32_t>(key);
  auto k1 = static_cast<std::uint32_t>(key >> 32);
  Natural c[4] = {first, Natural{} + c1, Natural{} + c2, Natural{} + c3};
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const Natural low_a = c[0] * kPhiloxFirst;
    const Natural high_a = high_product(c[0], kPhiloxFirst);
    const Natural low_b = c[2] * kPhiloxSecond;
    const Natural high_b = high_product(c[2], kPhiloxSecond);
    c[0] = high_b ^ c[1] ^ k0;
    c[1] = low_b;
    c[2] = high_a ^ c[3] ^ k1;
    c[3] = low_a;
    k0 += kPhiloxKeyFirst;
    k1 += kPhiloxKeySecond;
  }
  return {{c[0], c[1], c[2], c[3]}};
}
// Uniform in (0, 1).
inline Real uniform(Natural bits_of) {
  return (__builtin_convertvector(bits_of >> 9, Real) + 0.5F) * 0x1p-23F;
}

// Four words for each of 16 neurons in one step; `index` numbers the lanes of a population.
inline Draws step_draws(std::uint32_t index, std::uint32_t stream, std::uint64_t step,
                        std::uint64_t seed, Purpose purpose) {
  constexpr Natural kIndex = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const auto high = static_cast<std::uint32_t>(step >> 32);
  return philox(kIndex + index, static_cast<std::uint32_t>(step), stream,
                static_cast<std::uint32_t>(purpose) | high << 8, seed);
}
