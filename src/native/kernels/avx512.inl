// What AVX-512 kernels share: one register holds a panel.

struct Avx512Vnni {
  static constexpr std::size_t rows = 8;
  static constexpr std::size_t panels = 4;
  static constexpr bool direct = true;
  static constexpr std::uint32_t offset = 128;
  using Sums = __m512i;
  using Part = __m512i;
  using Weights = __m512i;
  using Four = __m512i;
  using Reals = __m512;

  static Sums none() { return _mm512_setzero_si512(); }
  static Weights weights(const std::uint8_t* p) { return _mm512_loadu_si512(p); }
  static Weights nibbles(Weights w, bool high) {
    return _mm512_and_si512(high ? _mm512_srli_epi16(w, 4) : w, _mm512_set1_epi8(15));
  }
  static Four four(const std::int8_t* p) {
    std::int32_t word;
    __builtin_memcpy(&word, p, sizeof word);
    return _mm512_set1_epi32(word);
  }
  static Part multiply_add(Part part, Weights w, Four n) { return _mm512_dpbusd_epi32(part, w, n); }
  static Sums drain(Sums sums, Part part) { return _mm512_add_epi32(sums, part); }
  static Sums add_shifted(Sums sums, Sums more, std::uint32_t shift) {
    const __m128i count = _mm_cvtsi32_si128(static_cast<int>(shift));
    return _mm512_add_epi32(sums, _mm512_sll_epi32(more, count));
  }
  static Sums subtract(Sums sums, std::uint32_t x) {
    return _mm512_sub_epi32(sums, _mm512_set1_epi32(static_cast<int>(x)));
  }
  static std::uint64_t fours(ShortBytes bytes) {
    const auto v = reinterpret_cast<__m256i>(bytes);
    return _mm256_test_epi32_mask(v, v);
  }
  static std::uint64_t fours(LaneBytes bytes) {
    const auto v = reinterpret_cast<__m128i>(bytes);
    return _mm_test_epi32_mask(v, v);
  }
  static std::uint64_t fours(Bytes bytes) { return PlainDigits::fours(bytes); }
  static Ints add_products(Ints sums, Shorts a, Shorts b) {
    return reinterpret_cast<Ints>(_mm512_dpwssd_epi32(reinterpret_cast<__m512i>(sums),
                                                      reinterpret_cast<__m512i>(a),
                                                      reinterpret_cast<__m512i>(b)));
  }
  static void side_by_side(Shorts a, Shorts b, Shorts (&to)[2]) {
    const Shorts first = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                          8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
    for (std::size_t half = 0; half < 2; ++half) {
      const Shorts places = first + static_cast<std::int16_t>(half * kLanes);
      to[half] = reinterpret_cast<Shorts>(
          _mm512_permutex2var_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(places),
                                    reinterpret_cast<__m512i>(b)));
    }
  }
  static Shorts widen(Words n) {
    return reinterpret_cast<Shorts>(_mm512_zextsi128_si512(reinterpret_cast<__m128i>(n)));
  }
  static std::int32_t total(Ints sums) {
    return _mm512_reduce_add_epi32(reinterpret_cast<__m512i>(sums));
  }
  static float largest(Floats x) { return _mm512_reduce_max_ps(reinterpret_cast<__m512>(x)); }
  static LaneBytes bytes(Ints n) {
    return reinterpret_cast<LaneBytes>(_mm512_cvtepi32_epi8(reinterpret_cast<__m512i>(n)));
  }
  static ShortBytes bytes(Shorts n) {
    return reinterpret_cast<ShortBytes>(_mm512_cvtepi16_epi8(reinterpret_cast<__m512i>(n)));
  }
  static Bytes bytes(Eight n) {
    return first_half(_mm256_cvtepi32_epi8(reinterpret_cast<__m256i>(n)));
  }
  static Bytes bytes(Words n) {
    return first_half(_mm_cvtepi16_epi8(reinterpret_cast<__m128i>(n)));
  }
  static HalfShorts shorts(Ints n) {
    return reinterpret_cast<HalfShorts>(_mm512_cvtepi32_epi16(reinterpret_cast<__m512i>(n)));
  }
  static Reals reals(const void* p, std::size_t at, bool half) {
    if (half) {
      const auto* q = static_cast<const std::uint16_t*>(p) + at;
      return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(q)));
    }
    return _mm512_loadu_ps(static_cast<const float*>(p) + at);
  }
  static Bytes first_half(__m128i both) {
    Bytes half;
    __builtin_memcpy(&half, &both, sizeof half);
    return half;
  }
  static Reals to_reals(Sums sums) { return _mm512_cvtepi32_ps(sums); }
  static Reals all(float x) { return _mm512_set1_ps(x); }
  static Reals times(Reals a, Reals b) { return _mm512_mul_ps(a, b); }
  static Reals plus(Reals a, Reals b) { return _mm512_add_ps(a, b); }
  static void write(float* p, Reals y) { _mm512_storeu_ps(p, y); }
  static void write(std::int32_t* p, Sums sums) { _mm512_storeu_si512(p, sums); }
  static __m512i pairs(const std::int8_t* p) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static __m512i pairs(const std::int16_t* p) { return _mm512_loadu_si512(p); }
  static Sums multiply_pairs(Sums sums, __m512i w, const std::int16_t* p) {
    std::int32_t word;
    __builtin_memcpy(&word, p, sizeof word);
    return _mm512_dpwssd_epi32(sums, w, _mm512_set1_epi32(word));
  }
};
