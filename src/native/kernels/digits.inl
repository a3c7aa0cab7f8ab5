// Levels as the digits that linear operations read, and their sums.
//
// V::fours      a bit for each four of bytes: whether any of them is not zero
// V::add_products  adds products of 16-bit numbers to 32-bit sums, those of two neighbours to each
// V::side_by_side  the numbers of two registers in turn
// V::widen      eight numbers with zeros behind them
// V::total      the sum of all lanes, V::largest the largest of them
// V::bytes      the low bytes of numbers; V::shorts their low 16 bits. Compilers take numbers apart
//               one by one where __builtin_convertvector would do.

using Shorts = std::int16_t __attribute__((vector_size(4 * kLanes)));
constexpr std::size_t kShorts = 2 * kLanes;
using HalfShorts = std::int16_t __attribute__((vector_size(2 * kLanes)));
using ShortBytes = std::int8_t __attribute__((vector_size(kShorts)));
using LaneBytes = std::int8_t __attribute__((vector_size(kLanes)));
// Rows of levels end in eights.
using Eight = std::int32_t __attribute__((vector_size(32)));
using Words = std::int16_t __attribute__((vector_size(16)));
using Bytes = std::int8_t __attribute__((vector_size(8)));

inline Eight eight(std::int32_t x) { return x - Eight{}; }

// For machines without instructions of their own.
struct PlainDigits {
  template <class Some>
  static std::uint64_t fours(Some bytes) {
    std::uint32_t words[sizeof bytes / 4];
    __builtin_memcpy(words, &bytes, sizeof words);
    std::uint64_t bits = 0;
    for (std::size_t f = 0; f < sizeof bytes / 4; ++f) {
      bits |= std::uint64_t{words[f] != 0} << f;
    }
    return bits;
  }
  static Ints add_products(Ints sums, Shorts a, Shorts b) {
    Ints x;
    Ints y;
    __builtin_memcpy(&x, &a, sizeof x);
    __builtin_memcpy(&y, &b, sizeof y);
    return sums + (x >> 16) * (y >> 16) + (x << 16 >> 16) * (y << 16 >> 16);
  }
  static void side_by_side(Shorts a, Shorts b, Shorts (&to)[2]) {
    for (std::size_t i = 0; i < kLanes; ++i) {
      for (std::size_t half = 0; half < 2; ++half) {
        to[half][2 * i] = a[half * kLanes + i];
        to[half][2 * i + 1] = b[half * kLanes + i];
      }
    }
  }
  static Shorts widen(Words n) {
    Shorts all{};
    __builtin_memcpy(&all, &n, sizeof n);
    return all;
  }
  static std::int32_t total(Ints sums) {
    std::int32_t total = 0;
    for (std::size_t i = 0; i < kLanes; ++i) {
      total += sums[i];
    }
    return total;
  }
  static float largest(Floats x) {
    float largest = x[0];
    for (std::size_t i = 1; i < kLanes; ++i) {
      largest = x[i] > largest ? x[i] : largest;
    }
    return largest;
  }
  static Bytes bytes(Eight n) { return __builtin_convertvector(n, Bytes); }
  static Bytes bytes(Words n) { return __builtin_convertvector(n, Bytes); }
  static ShortBytes bytes(Shorts n) { return __builtin_convertvector(n, ShortBytes); }
  static Words shorts(Eight n) { return __builtin_convertvector(n, Words); }
};

// Splits levels into low digits, n = low + rest with |low + ½| < half, and extras; `put` stores
// eight low digits.
template <class Put>
std::size_t split_into(const std::int32_t* levels, std::size_t count, int low_bits,
                       std::int32_t half_range, Extra* extras, Put put) {
  const Eight half = eight(half_range);
  const Eight mask = eight((1 << low_bits) - 1);
  std::size_t found = 0;
  for (std::size_t i = 0; i < count; i += 8) {
    Eight n;
    __builtin_memcpy(&n, levels + i, sizeof n);
    const Eight first = ((n + half) & mask) - half;
    put(i, first);
    const Eight rest = n ^ first;
    std::uint64_t words[4];
    __builtin_memcpy(words, &rest, sizeof words);
    if ((words[0] | words[1] | words[2] | words[3]) == 0) {
      continue;
    }
    for (std::size_t four = 0; four < 2; ++four) {
      std::int32_t left[4];
      for (std::size_t j = 0; j < 4; ++j) {
        left[j] = (levels[i + 4 * four + j] - first[4 * four + j]) >> low_bits;
      }
      for (int shift = low_bits; (left[0] | left[1] | left[2] | left[3]) != 0; shift += 7) {
        Extra extra;
        extra.place = static_cast<std::uint32_t>(i / 4 + four) & 0xffffffU;
        extra.shift = static_cast<std::uint32_t>(shift) & 0xffU;
        for (std::size_t j = 0; j < 4; ++j) {
          const std::int32_t digit = ((left[j] + 64) & 127) - 64;
          extra.digits[j] = static_cast<std::int8_t>(digit);
          left[j] = (left[j] - digit) >> 7;
        }
        extras[found++] = extra;
      }
    }
  }
  return found;
}

// One byte for each level.
template <class V>
inline std::size_t split_bytes(const std::int32_t* levels, std::size_t count, int low_bits,
                               std::int8_t* low, Extra* extras) {
  return split_into(levels, count, low_bits, 1 << (low_bits - 1), extras,
                    [low](std::size_t i, const Eight& first) {
                      const Bytes digits = V::bytes(first);
                      __builtin_memcpy(low + i, &digits, sizeof digits);
                    });
}

// Two bytes for a level are a 16-bit number; of each four, they stand in the order 0, 2, 1, 3.
template <class V>
std::size_t split_words(const std::int32_t* levels, std::size_t count, int low_bits,
                        std::int8_t* low, Extra* extras) {
  if (low_bits != kWide) {
    return split_bytes<V>(levels, count, low_bits, low, extras);
  }
  return split_into(levels, count, kWide, 1 << 15, extras,
                    [low](std::size_t i, const Eight& first) {
                      Words words = V::shorts(first);
                      words = __builtin_shufflevector(words, words, 0, 2, 1, 3, 4, 6, 5, 7);
                      __builtin_memcpy(low + 2 * i, &words, sizeof words);
                    });
}

// Two bytes for a level are two digits of 8 bits: a row of low ones, behind it one of high ones,
// and behind that a bit for each four of high ones that are not all zero.
struct Planes {
  std::int8_t* low;
  std::int8_t* high;
  std::uint64_t* active;

  Planes(std::int8_t* to, std::size_t count)
      : low(to), high(to + count), active(reinterpret_cast<std::uint64_t*>(high + count)) {}
};

// Gathers the bits of fours, from the first on.
class Marker {
 public:
  explicit Marker(std::uint64_t* active) : next_(active) {}
  // Adds those of `count` fours.
  void add(std::uint64_t bits, std::size_t count) {
    word_ |= bits << filled_;
    filled_ += count;
    if (filled_ >= 64) {
      *next_++ = word_;
      filled_ -= 64;
      word_ = filled_ == 0 ? 0 : bits >> (count - filled_);
    }
  }
  void finish() const {
    if (filled_ != 0) {
      *next_ = word_;
    }
  }

 private:
  std::uint64_t* next_;
  std::uint64_t word_ = 0;
  std::size_t filled_ = 0;
};

// Returns false where levels need further digits.
template <class V, bool Wide>
inline bool split_whole(const std::int32_t* levels, std::size_t count, std::int8_t* low) {
  const Planes to(low, count);
  Marker marker(to.active);
  const auto one = [&](auto n, std::size_t i) {
    const auto digits = V::bytes(n);
    const auto rest = (n + 128) >> 8;
    __builtin_memcpy(to.low + i, &digits, sizeof digits);
    if constexpr (Wide) {
      const auto more = V::bytes(rest);
      __builtin_memcpy(to.high + i, &more, sizeof more);
      marker.add(V::fours(more), sizeof more / 4);
      return (rest + 128) >> 8;
    } else {
      return rest;
    }
  };
  Ints beyond{};
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    beyond |= one(load(levels + i), i);
  }
  std::int32_t any = 0;
  if (i < count) {
    Eight n;
    __builtin_memcpy(&n, levels + i, sizeof n);
    const Eight left = one(n, i);
    for (std::size_t j = 0; j < 8; ++j) {
      any |= left[j];
    }
  }
  if constexpr (Wide) {
    marker.finish();
  }
  for (std::size_t j = 0; j < kLanes; ++j) {
    any |= beyond[j];
  }
  return any == 0;
}

template <class V>
std::size_t split_planes(const std::int32_t* levels, std::size_t count, int low_bits,
                         std::int8_t* low, Extra* extras) {
  if (low_bits == 8 && split_whole<V, false>(levels, count, low)) {
    return 0;
  }
  if (low_bits != kWide) {
    return split_bytes<V>(levels, count, low_bits, low, extras);
  }
  if (split_whole<V, true>(levels, count, low)) {
    return 0;
  }
  // Few rows hold levels beyond 16 bits: the planes take what fits, the rest are further digits.
  const Planes to(low, count);
  return split_into(levels, count, kWide, 0x8080, extras, [=](std::size_t i, const Eight& first) {
    const Eight digit = ((first + eight(128)) & eight(255)) - eight(128);
    const Bytes lower = V::bytes(digit);
    const Bytes upper = V::bytes((first - digit) >> 8);
    __builtin_memcpy(to.low + i, &lower, sizeof lower);
    __builtin_memcpy(to.high + i, &upper, sizeof upper);
    to.active[i / 256] |= std::uint64_t{3} << i / 4 % 64;
  });
}

std::int64_t total(const std::int32_t* levels, std::size_t groups, std::size_t group,
                   std::int32_t* sums) {
  std::int64_t magnitude = 0;
  for (std::size_t g = 0; g < groups; ++g) {
    const std::int32_t* n = levels + g * group;
    std::uint32_t sum = 0;
    std::size_t i = 0;
    while (i < group) {  // 1024 magnitudes of up to 2²⁰ fit 32 bits
      const std::size_t end = i + 1024 < group ? i + 1024 : group;
      std::uint32_t part = 0;
      for (; i < end; ++i) {
        sum += static_cast<std::uint32_t>(n[i]);
        part += static_cast<std::uint32_t>(n[i] < 0 ? -n[i] : n[i]);
      }
      magnitude += part;
    }
    sums[g] = static_cast<std::int32_t>(sum);
  }
  return magnitude;
}

// Levels whose Σ n and Σ |n| surely fit 32 bits.
constexpr std::size_t kShortsSummed = 65536;

// Calls many(n, i) for kShorts levels from the i-th on, and few(n, i) for the eights that are left
// at the end of a group; writes Σ n of each group; returns Σ |n|.
template <class V, class Many, class Few>
inline std::int64_t each_short(const std::int16_t* levels, std::size_t groups, std::size_t group,
                               std::int32_t* sums, Many many, Few few) {
  const Shorts ones = Shorts{} + std::int16_t{1};
  std::int64_t magnitude = 0;
  std::size_t i = 0;
  for (std::size_t g = 0; g < groups; ++g) {
    const std::size_t end = (g + 1) * group;
    std::uint32_t own = 0;
    while (i < end) {
      const std::size_t stop = end - i < kShortsSummed ? end : i + kShortsSummed;
      Ints sum{};
      Ints reach{};
      for (; i + kShorts <= stop; i += kShorts) {
        Shorts n;
        __builtin_memcpy(&n, levels + i, sizeof n);
        sum = V::add_products(sum, n, ones);
        reach = V::add_products(reach, n < 0 ? -n : n, ones);
        many(n, i);
      }
      for (; i < stop; i += 8) {
        Words words;
        __builtin_memcpy(&words, levels + i, sizeof words);
        const Shorts n = V::widen(words);
        sum = V::add_products(sum, n, ones);
        reach = V::add_products(reach, n < 0 ? -n : n, ones);
        few(words, i);
      }
      own += static_cast<std::uint32_t>(V::total(sum));
      magnitude += V::total(reach);
    }
    sums[g] = static_cast<std::int32_t>(own);
  }
  return magnitude;
}

template <class V>
std::int64_t split_short_planes(const std::int16_t* levels, std::size_t groups, std::size_t group,
                                std::int8_t* low, std::int32_t* sums) {
  const Planes to(low, groups * group);
  Marker marker(to.active);
  const auto put = [&](auto n, std::size_t i) {
    const auto digits = V::bytes(n);
    const auto more = V::bytes((n + 128) >> 8);
    __builtin_memcpy(to.low + i, &digits, sizeof digits);
    __builtin_memcpy(to.high + i, &more, sizeof more);
    marker.add(V::fours(more), sizeof more / 4);
  };
  const std::int64_t magnitude = each_short<V>(levels, groups, group, sums, put, put);
  marker.finish();
  return magnitude;
}

template <class V>
std::int64_t split_short_words(const std::int16_t* levels, std::size_t groups, std::size_t group,
                               std::int8_t* low, std::int32_t* sums) {
  const auto few = [low](Words n, std::size_t i) {
    n = __builtin_shufflevector(n, n, 0, 2, 1, 3, 4, 6, 5, 7);
    __builtin_memcpy(low + 2 * i, &n, sizeof n);
  };
  const auto many = [&](const Shorts&, std::size_t i) {
    for (std::size_t j = i; j < i + kShorts; j += 8) {
      Words n;
      __builtin_memcpy(&n, levels + j, sizeof n);
      few(n, j);
    }
  };
  return each_short<V>(levels, groups, group, sums, many, few);
}

template <class V>
bool narrow(const std::int32_t* levels, std::size_t count, std::int16_t* to) {
  Ints beyond{};
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Ints n = load(levels + i);
    const HalfShorts half = V::shorts(n);
    __builtin_memcpy(to + i, &half, sizeof half);
    beyond |= (n > all(kTwoDigits)) | (n < all(-kTwoDigits));
  }
  std::int32_t any = 0;
  for (; i < count; ++i) {
    const std::int32_t n = levels[i];
    to[i] = static_cast<std::int16_t>(n);
    any |= n > kTwoDigits || n < -kTwoDigits ? 1 : 0;
  }
  for (std::size_t j = 0; j < kLanes; ++j) {
    any |= beyond[j];
  }
  return any == 0;
}
