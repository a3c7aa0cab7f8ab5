// Float operations between synaptic operations, written lane by lane so that every instruction set
// gives the same bits (docs/exactness.md). Included once in each file of kernels, which says before
// how many lanes its registers have: kLanes is 8 or 16.

using Floats = float __attribute__((vector_size(4 * kLanes)));
using Ints = std::int32_t __attribute__((vector_size(4 * kLanes)));

inline Floats load(const float* p) {
  Floats v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, Floats v) { __builtin_memcpy(p, &v, sizeof v); }
inline Ints load(const std::int32_t* p) {
  Ints v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
inline void store(std::int32_t* p, Ints v) { __builtin_memcpy(p, &v, sizeof v); }
inline Ints bits_of(Floats v) {
  Ints i;
  __builtin_memcpy(&i, &v, sizeof i);
  return i;
}
inline Floats all(float x) { return x - Floats{}; }
inline Ints all(std::int32_t x) { return x - Ints{}; }

inline Ints lanes() {
  Ints number{};
  for (std::size_t i = 0; i < kLanes; ++i) {
    number[i] = static_cast<std::int32_t>(i);
  }
  return number;
}

// Largest integer ≤ x for |x| < 2³¹.
inline Ints floor_of(Floats x) {
#if defined(__AVX512F__) && !defined(SANGBO_INTRINSICS)
  return __builtin_convertvector(reinterpret_cast<Floats>(_mm512_floor_ps(x)), Ints);
#elif defined(__AVX2__) && !defined(SANGBO_INTRINSICS)
  return __builtin_convertvector(reinterpret_cast<Floats>(_mm256_floor_ps(x)), Ints);
#else
  const Ints cut = __builtin_convertvector(x, Ints);
  return cut + (__builtin_convertvector(cut, Floats) > x);
#endif
}

inline Floats clamp(Floats x, float low, float high) {
  x = x < all(low) ? all(low) : x;
  return x > all(high) ? all(high) : x;
}

inline Floats exponential(Floats x) {
  const Floats b = clamp(x, -87.0F, 88.0F);
  const Ints k = floor_of(b * all(1.44269504F) + all(0.5F));
  const Floats kf = __builtin_convertvector(k, Floats);
  const Floats r = (b - kf * all(0.693359375F)) - kf * all(-2.12194440e-4F);
  Floats p = all(1.9875691500e-4F);
  p = p * r + all(1.3981999507e-3F);
  p = p * r + all(8.3334519073e-3F);
  p = p * r + all(4.1665795894e-2F);
  p = p * r + all(1.6666665459e-1F);
  p = p * r + all(5.0000001201e-1F);
  const Floats y = (p * (r * r) + r) + all(1.0F);
  const Ints exponent = (k + all(127)) * all(1 << 23);
  Floats power;
  __builtin_memcpy(&power, &exponent, sizeof power);
  const Floats result = y * power;
  return x < all(-87.0F) ? all(0.0F) : result;
}

void add(const float* a, const float* b, std::size_t padded, float* y) {
  for (std::size_t i = 0; i < padded; i += kLanes) {
    store(y + i, load(a + i) + load(b + i));
  }
}

void multiply(const float* a, const float* b, std::size_t padded, float* y) {
  for (std::size_t i = 0; i < padded; i += kLanes) {
    store(y + i, load(a + i) * load(b + i));
  }
}

void scale(const float* a, float b, std::size_t padded, float* y) {
  for (std::size_t i = 0; i < padded; i += kLanes) {
    store(y + i, load(a + i) * all(b));
  }
}

void divide(const float* a, float b, std::size_t padded, float* y) {
  for (std::size_t i = 0; i < padded; i += kLanes) {
    store(y + i, load(a + i) / all(b));
  }
}

void larger(const float* a, const float* b, std::size_t padded, float* y) {
  for (std::size_t i = 0; i < padded; i += kLanes) {
    const Floats v = load(a + i);
    const Floats w = load(b + i);
    store(y + i, w > v ? w : v);
  }
}

void rotate(const float* x, const float* cosine, const float* sine, std::size_t heads,
            std::size_t half, float* y) {
  for (std::size_t h = 0; h < heads; ++h) {
    const float* first = x + 2 * half * h;
    const float* second = first + half;
    float* out = y + 2 * half * h;
    std::size_t i = 0;
    for (; i + kLanes <= half; i += kLanes) {
      const Floats c = load(cosine + i);
      const Floats s = load(sine + i);
      const Floats a = load(first + i);
      const Floats b = load(second + i);
      store(out + i, a * c - b * s);
      store(out + half + i, b * c + a * s);
    }
    for (; i < half; ++i) {
      out[i] = first[i] * cosine[i] - second[i] * sine[i];
      out[half + i] = second[i] * cosine[i] + first[i] * sine[i];
    }
  }
}

// The last, short run of 16 with zeros behind it.
struct Tail {
  float v[16];
};
inline Tail tail_of(const float* x, std::size_t count) {
  Tail tail{};
  const std::size_t whole = count / 16 * 16;
  for (std::size_t i = whole; i < count; ++i) {
    tail.v[i - whole] = x[i];
  }
  return tail;
}

// Sixteen sums side by side, however many lanes a register has.
constexpr std::size_t kParts = 16 / kLanes;
struct Sixteen {
  Floats v[kParts];
};

inline float fold(const Sixteen& sums) {
  using Eight = float __attribute__((vector_size(32)));
  Eight half[2];
  __builtin_memcpy(half, &sums, sizeof half);
  const Eight v = half[0] + half[1];
  const float a = v[0] + v[4];
  const float b = v[1] + v[5];
  const float c = v[2] + v[6];
  const float d = v[3] + v[7];
  return (a + c) + (b + d);
}

inline float sum(const float* x, std::size_t count) {
  Sixteen sums{};
  const auto add_sixteen = [&sums](const float* from) {
    for (std::size_t p = 0; p < kParts; ++p) {
      sums.v[p] += load(from + p * kLanes);
    }
  };
  const std::size_t whole = count / 16 * 16;
  for (std::size_t i = 0; i < whole; i += 16) {
    add_sixteen(x + i);
  }
  if (whole < count) {
    add_sixteen(tail_of(x, count).v);
  }
  return fold(sums);
}

// Sum of (x − mean)².
inline float sum_of_squares(const float* x, float mean, std::size_t count) {
  Sixteen sums{};
  const Floats m = all(mean);
  const std::size_t whole = count / 16 * 16;
  for (std::size_t i = 0; i < whole; i += 16) {
    for (std::size_t p = 0; p < kParts; ++p) {
      const Floats d = load(x + i + p * kLanes) - m;
      sums.v[p] += d * d;
    }
  }
  if (whole < count) {
    Tail tail = tail_of(x, count);
    for (std::size_t i = 0; i < count - whole; ++i) {
      const float d = tail.v[i] - mean;
      tail.v[i] = d * d;
    }
    for (std::size_t p = 0; p < kParts; ++p) {
      sums.v[p] += load(tail.v + p * kLanes);
    }
  }
  return fold(sums);
}

inline float inverse_deviation(const float* x, float mean, std::size_t count, float epsilon) {
  const float square = sum_of_squares(x, mean, count) / static_cast<float>(count);
  return 1.0F / __builtin_sqrtf(square + epsilon);
}

void rms(const float* x, const float* weight, std::size_t count, float epsilon, float* y) {
  const Floats r = all(inverse_deviation(x, 0.0F, count, epsilon));
  for (std::size_t i = 0; i < count; i += kLanes) {
    store(y + i, (load(x + i) * r) * load(weight + i));
  }
}

void layer(const float* x, const float* weight, const float* bias, std::size_t count, float epsilon,
           float* y) {
  const float mean = sum(x, count) / static_cast<float>(count);
  const Floats m = all(mean);
  const Floats r = all(inverse_deviation(x, mean, count, epsilon));
  for (std::size_t i = 0; i < count; i += kLanes) {
    const Floats scaled = ((load(x + i) - m) * r) * load(weight + i);
    store(y + i, bias == nullptr ? scaled : scaled + load(bias + i));
  }
}

bool settle(const float* x, const float* inverse, bool gains, std::int32_t lowest,
            std::int32_t highest, std::size_t count, std::int32_t* levels) {
  const auto low = static_cast<float>(lowest);
  const auto high = static_cast<float>(highest);
  const Ints infinite = all(0x7f800000);
  Ints bad{};
  const auto one = [&](std::size_t i, Floats v) {
    const Floats gain = gains ? load(inverse + i) : all(*inverse);
    bad |= (bits_of(v) & infinite) == infinite;
    return floor_of(clamp(v * gain + all(0.5F), low, high));
  };
  const std::size_t whole = count / kLanes * kLanes;
  std::size_t i = 0;
  for (; i < whole; i += kLanes) {
    store(levels + i, one(i, load(x + i)));
  }
  if (i < count) {  // nobody says what pads hold
    const Ints used = lanes() < all(static_cast<std::int32_t>(count - i));
    store(levels + i, one(i, used ? load(x + i) : Floats{}) & used);
    i += kLanes;
  }
  for (; i % 16 != 0; ++i) {
    levels[i] = 0;
  }
  std::int32_t any = 0;
  for (std::size_t j = 0; j < kLanes; ++j) {
    any |= bad[j];
  }
  return any == 0;
}

template <class Level>
std::uint32_t magnitudes(const Level* levels, std::size_t count, std::uint16_t* to) {
  std::uint32_t any = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::int32_t n = levels[i];
    const auto magnitude =
        n < 0 ? 0 - static_cast<std::uint32_t>(n) : static_cast<std::uint32_t>(n);
    any |= magnitude;
    to[i] = static_cast<std::uint16_t>(magnitude);
  }
  return any;
}
