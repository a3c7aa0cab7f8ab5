// Clipping of magnitudes where bytes of a register can be shuffled (SSSE3 and what has it).

// For each set of eight 16-bit lanes the bytes that move it to the front, and its size.
struct Fronts {
  std::array<std::array<std::uint8_t, 16>, 256> bytes{};
  std::array<std::uint8_t, 256> sizes{};

  constexpr Fronts() {
    for (std::size_t set = 0; set < 256; ++set) {
      std::size_t next = 0;
      for (std::size_t lane = 0; lane < 8; ++lane) {
        if ((set >> lane & 1U) != 0) {
          bytes[set][next++] = static_cast<std::uint8_t>(2 * lane);
          bytes[set][next++] = static_cast<std::uint8_t>(2 * lane + 1);
        }
      }
      sizes[set] = static_cast<std::uint8_t>(next / 2);
    }
  }
};
alignas(64) constexpr Fronts kFronts;

// As clip, eight at a time and without looking at each.
std::size_t shuffle_clip(const std::uint16_t* from, std::uint16_t bound, std::uint16_t* copy,
                         std::uint16_t* above) {
  const __m128i most = _mm_set1_epi16(static_cast<std::int16_t>(bound));
  std::size_t found = 0;
  for (std::size_t i = 0; i < 64; i += 8) {
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
    const __m128i low = _mm_min_epu16(v, most);
    const __m128i kept = _mm_packs_epi16(_mm_cmpeq_epi16(low, v), _mm_setzero_si128());
    const auto larger = static_cast<std::size_t>(_mm_movemask_epi8(kept) & 255) ^ 255U;
    const auto* front = reinterpret_cast<const __m128i*>(kFronts.bytes[larger].data());
    _mm_storeu_si128(reinterpret_cast<__m128i*>(copy + i), low);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(above + found),
                     _mm_shuffle_epi8(v, _mm_load_si128(front)));
    found += kFronts.sizes[larger];
  }
  return found;
}
