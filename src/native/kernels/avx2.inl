// What AVX2 kernels share, with and without AVX-VNNI: two registers of 8 outputs make a panel.

struct Halves {
  static constexpr std::size_t rows = 4;
  static constexpr std::size_t panels = 1;
  static constexpr std::uint32_t offset = 128;
  struct Sums {
    __m256i v[2];
  };
  struct Reals {
    __m256 v[2];
  };
  using Weights = Sums;
  using Narrow = Sums;
  using Four = __m256i;

  static Sums none() { return {{_mm256_setzero_si256(), _mm256_setzero_si256()}}; }
  static Weights weights(const std::uint8_t* p) {
    const auto* q = reinterpret_cast<const __m256i*>(p);
    return {{_mm256_loadu_si256(q), _mm256_loadu_si256(q + 1)}};
  }
  static Weights nibbles(const Weights& w, bool high) {
    const __m256i mask = _mm256_set1_epi8(15);
    if (high) {
      return {{_mm256_and_si256(_mm256_srli_epi16(w.v[0], 4), mask),
               _mm256_and_si256(_mm256_srli_epi16(w.v[1], 4), mask)}};
    }
    return {{_mm256_and_si256(w.v[0], mask), _mm256_and_si256(w.v[1], mask)}};
  }
  static Four four(const std::int8_t* p) {
    std::int32_t word;
    __builtin_memcpy(&word, p, sizeof word);
    return _mm256_set1_epi32(word);
  }
  static Sums add_shifted(const Sums& sums, const Sums& more, std::uint32_t shift) {
    const __m128i count = _mm_cvtsi32_si128(static_cast<int>(shift));
    return {{_mm256_add_epi32(sums.v[0], _mm256_sll_epi32(more.v[0], count)),
             _mm256_add_epi32(sums.v[1], _mm256_sll_epi32(more.v[1], count))}};
  }
  static Sums subtract(const Sums& sums, std::uint32_t x) {
    const __m256i v = _mm256_set1_epi32(static_cast<int>(x));
    return {{_mm256_sub_epi32(sums.v[0], v), _mm256_sub_epi32(sums.v[1], v)}};
  }
  static std::uint64_t fours(ShortBytes bytes) {
    const __m128i zero = _mm_cmpeq_epi32(reinterpret_cast<__m128i>(bytes), _mm_setzero_si128());
    return static_cast<std::uint64_t>(_mm_movemask_ps(_mm_castsi128_ps(zero)) ^ 15);
  }
  static std::uint64_t fours(Bytes bytes) {
    ShortBytes all{};
    __builtin_memcpy(&all, &bytes, sizeof bytes);
    return fours(all);
  }
  static Ints add_products(Ints sums, Shorts a, Shorts b) {
    return sums + reinterpret_cast<Ints>(_mm256_madd_epi16(reinterpret_cast<__m256i>(a),
                                                           reinterpret_cast<__m256i>(b)));
  }
  static void side_by_side(Shorts a, Shorts b, Shorts (&to)[2]) {
    const auto x = reinterpret_cast<__m256i>(a);
    const auto y = reinterpret_cast<__m256i>(b);
    const __m256i low = _mm256_unpacklo_epi16(x, y);  // of each half
    const __m256i high = _mm256_unpackhi_epi16(x, y);
    to[0] = reinterpret_cast<Shorts>(_mm256_permute2x128_si256(low, high, 0x20));
    to[1] = reinterpret_cast<Shorts>(_mm256_permute2x128_si256(low, high, 0x31));
  }
  static Shorts widen(Words n) {
    return reinterpret_cast<Shorts>(_mm256_zextsi128_si256(reinterpret_cast<__m128i>(n)));
  }
  static std::int32_t total(Ints sums) {
    const auto v = reinterpret_cast<__m256i>(sums);
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
  }
  static float largest(Floats x) {
    const auto v = reinterpret_cast<__m256>(x);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  static Bytes bytes(Eight n) { return bytes(shorts(n)); }
  static Bytes bytes(Words n) {
    const __m128i packed =
        _mm_shuffle_epi8(reinterpret_cast<__m128i>(n),
                         _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, -1, -1, -1, -1, -1, -1, -1, -1));
    Bytes half;
    __builtin_memcpy(&half, &packed, sizeof half);
    return half;
  }
  static ShortBytes bytes(Shorts n) {
    const __m256i low = _mm256_and_si256(reinterpret_cast<__m256i>(n), _mm256_set1_epi16(255));
    const __m256i packed = _mm256_packus_epi16(low, low);  // of each half, twice
    return reinterpret_cast<ShortBytes>(
        _mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08)));
  }
  static Words shorts(Eight n) {
    const __m256i low = _mm256_and_si256(reinterpret_cast<__m256i>(n), _mm256_set1_epi32(65535));
    const __m256i packed = _mm256_packus_epi32(low, low);
    return reinterpret_cast<Words>(_mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08)));
  }
  static Reals reals(const void* p, std::size_t at, bool half) {
    if (half) {
      const auto* q = reinterpret_cast<const __m128i*>(static_cast<const std::uint16_t*>(p) + at);
      return {{_mm256_cvtph_ps(_mm_loadu_si128(q)), _mm256_cvtph_ps(_mm_loadu_si128(q + 1))}};
    }
    const auto* q = static_cast<const float*>(p) + at;
    return {{_mm256_loadu_ps(q), _mm256_loadu_ps(q + 8)}};
  }
  static Reals to_reals(const Sums& sums) {
    return {{_mm256_cvtepi32_ps(sums.v[0]), _mm256_cvtepi32_ps(sums.v[1])}};
  }
  static Reals all(float x) { return {{_mm256_set1_ps(x), _mm256_set1_ps(x)}}; }
  static Reals times(const Reals& a, const Reals& b) {
    return {{_mm256_mul_ps(a.v[0], b.v[0]), _mm256_mul_ps(a.v[1], b.v[1])}};
  }
  static Reals plus(const Reals& a, const Reals& b) {
    return {{_mm256_add_ps(a.v[0], b.v[0]), _mm256_add_ps(a.v[1], b.v[1])}};
  }
  static Weights even(const Weights& w) {
    const __m256i mask = _mm256_set1_epi16(255);
    return {{_mm256_and_si256(w.v[0], mask), _mm256_and_si256(w.v[1], mask)}};
  }
  static Weights odd(const Weights& w) {
    return {{_mm256_srli_epi16(w.v[0], 8), _mm256_srli_epi16(w.v[1], 8)}};
  }
  // |sum of a pair| ≤ 2·255·2¹⁵ fits 32 bits.
  static Sums multiply_wide(const Sums& sums, const Weights& w, Four n) {
    return {{_mm256_add_epi32(sums.v[0], _mm256_madd_epi16(w.v[0], n)),
             _mm256_add_epi32(sums.v[1], _mm256_madd_epi16(w.v[1], n))}};
  }
  static void write(float* p, const Reals& y) {
    _mm256_storeu_ps(p, y.v[0]);
    _mm256_storeu_ps(p + 8, y.v[1]);
  }
  static void write(std::int32_t* p, const Sums& sums) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), sums.v[0]);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), sums.v[1]);
  }
  static Narrow pairs(const std::int8_t* p) {
    const auto* q = reinterpret_cast<const __m128i*>(p);
    return {
        {_mm256_cvtepi8_epi16(_mm_loadu_si128(q)), _mm256_cvtepi8_epi16(_mm_loadu_si128(q + 1))}};
  }
  static Narrow pairs(const std::int16_t* p) {
    return weights(reinterpret_cast<const std::uint8_t*>(p));
  }
  static __m256i pair(const std::int16_t* p) {
    std::int32_t word;
    __builtin_memcpy(&word, p, sizeof word);
    return _mm256_set1_epi32(word);
  }
};
