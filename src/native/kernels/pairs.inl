// Histograms by tables: small magnitudes in pairs, larger ones one by one.

// Equal neighbours would wait for each other's store, so every magnitude has two places; small ones
// are counted in pairs, which halves the stores.
struct Pairs {
  static constexpr std::size_t kBound = 64;  // magnitudes that are counted two at a time
  static constexpr std::size_t kChunk = 64;

  std::uint16_t tables[2][kBound * kBound] = {};

  // Counts a chunk whose magnitudes are below kBound.
  void count(const std::uint16_t* next) {
    constexpr std::uint64_t kPlace = kBound * kBound - 1;
    constexpr int kShift = 10;  // 16 less the bits of a magnitude
    for (std::size_t i = 0; i < kChunk; i += 4) {
      std::uint64_t four;
      __builtin_memcpy(&four, next + i, sizeof four);
      const std::uint64_t places = four | four >> kShift;  // of the first pair, and 32 bits above
      ++tables[0][places & kPlace];
      ++tables[1][places >> 32 & kPlace];
    }
  }

  void merge(std::uint64_t* counts) const {
    std::uint32_t first[kBound] = {};
    for (std::size_t b = 0; b < kBound; ++b) {
      std::uint32_t second = 0;
      for (std::size_t a = 0; a < kBound; ++a) {
        const std::size_t place = b * kBound + a;
        const std::uint32_t times = std::uint32_t{tables[0][place]} + tables[1][place];
        first[a] += times;
        second += times;
      }
      counts[b] += second;
    }
    for (std::size_t a = 0; a < kBound; ++a) {
      counts[a] += first[a];
    }
  }
};

// Copies 64 magnitudes, those above `bound` as `bound`, and lists the latter in `above`, which has
// room for 128; returns how many.
[[maybe_unused]] std::size_t clip(const std::uint16_t* from, std::uint16_t bound,
                                  std::uint16_t* copy, std::uint16_t* above) {
  std::size_t found = 0;
  for (std::size_t i = 0; i < 64; ++i) {
    copy[i] = from[i] < bound ? from[i] : bound;
  }
  for (std::size_t i = 0; i < 64; ++i) {
    above[found] = from[i];
    found += from[i] > bound ? 1U : 0U;
  }
  return found;
}

// As histogram.
template <std::size_t (*kClip)(const std::uint16_t*, std::uint16_t, std::uint16_t*, std::uint16_t*)>
std::size_t pair_histogram(const std::uint16_t* from, std::size_t count, std::uint64_t* counts,
                           std::uint16_t* above) {
  static_assert(kMostCounted / 4 <= 0xffff, "a place of a pair counts all");
  std::size_t listed = 0;
  const auto each = [&](const std::uint16_t* next, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
      if (next[i] < kTabled) {
        ++counts[next[i]];
      } else {
        above[listed++] = next[i];
      }
    }
  };
  constexpr std::size_t kChunk = Pairs::kChunk;
  Pairs pairs;
  std::uint64_t clipped = 0;  // larger magnitudes, which pairs count as kBound − 1
  const std::uint16_t* const end = from + count / kChunk * kChunk;
  for (; from < end; from += kChunk) {
    std::uint32_t any = 0;
    for (std::size_t i = 0; i < kChunk; ++i) {
      any |= from[i];
    }
    if (any == 0) {
      counts[0] += kChunk;
    } else if (any < Pairs::kBound) {
      pairs.count(from);
    } else {
      alignas(64) std::uint16_t low[kChunk];
      alignas(64) std::uint16_t over[2 * kChunk];
      const std::size_t found = kClip(from, Pairs::kBound - 1, low, over);
      if (found > kChunk / 2) {
        each(from, kChunk);
      } else {
        pairs.count(low);
        clipped += found;
        each(over, found);
      }
    }
  }
  each(from, count % kChunk);
  pairs.merge(counts);
  counts[Pairs::kBound - 1] -= clipped;  // these were counted by themselves
  return listed;
}
