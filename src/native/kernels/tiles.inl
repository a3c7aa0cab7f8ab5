// Linear operations in tiles. Tiles 0 to 3 hold sums of 2×2 blocks of 16 rows × 16 outputs, 4 and 5
// levels of 16 rows, 6 and 7 weights of a panel.

constexpr std::size_t kTile = 16;            // rows of a tile
constexpr std::size_t kFewRows = 8;          // not worth a tile
constexpr std::size_t kShallow = 8;          // fours of inputs that are not worth a tile
constexpr std::size_t kUnpacked = 32 << 10;  // bytes of a panel that are unpacked at a time

// The compiler does not know that tiles read memory.
inline void publish() { asm volatile("" ::: "memory"); }

// `depth` fours of inputs for `rows` rows, the first 16 and the rest.
inline void configure(std::size_t rows, std::size_t depth) {
  struct alignas(64) {
    std::uint8_t palette = 1;
    std::uint8_t start = 0;
    std::uint8_t reserved[14] = {};
    std::uint16_t bytes[16] = {};
    std::uint8_t rows[16] = {};
  } config;
  const std::size_t upper = rows < kTile ? rows : kTile;
  const std::size_t lower = rows > kTile ? rows - kTile : upper;
  const std::size_t tiles[8][2] = {{upper, 64}, {upper, 64},        {lower, 64},
                                   {lower, 64}, {upper, 4 * depth}, {lower, 4 * depth},
                                   {depth, 64}, {depth, 64}};
  for (std::size_t t = 0; t < 8; ++t) {
    config.rows[t] = static_cast<std::uint8_t>(tiles[t][0]);
    config.bytes[t] = static_cast<std::uint16_t>(tiles[t][1]);
  }
  publish();
  _tile_loadconfig(&config);
}

// Up to 32 rows and 2 panels of a linear operation.
struct TileBlock {
  const LinearTask& task;
  std::size_t depth;   // fours of inputs in a tile
  std::size_t row;     // the first
  std::size_t rows;    // 1 … 32
  std::size_t panel;   // the first
  std::size_t panels;  // 1 or 2
  const Extra* next[2 * kTile];
  const Extra* end[2 * kTile];
  bool extras;

  [[nodiscard]] bool two_rows() const { return rows > kTile; }
  [[nodiscard]] bool two_panels() const { return panels == 2; }
};

using TileSums = std::int32_t[4][kTile][kPanel];  // as the tiles that they were in
using TileReals = float[4][kTile][kPanel];

inline void store_sums(const TileBlock& b, TileSums& sums) {
  constexpr std::size_t kStride = kPanel * sizeof(std::int32_t);
  _tile_stored(0, sums[0], kStride);
  if (b.two_panels()) {
    _tile_stored(1, sums[1], kStride);
  }
  if (b.two_rows()) {
    _tile_stored(2, sums[2], kStride);
    if (b.two_panels()) {
      _tile_stored(3, sums[3], kStride);
    }
  }
}

// Σ low digits × weights over `steps` tiles.
inline void sum_low(const TileBlock& b, const std::int8_t* levels,
                    const std::uint8_t* const* weights, std::size_t steps, TileSums& sums) {
  const std::size_t stride = b.task.levels.low_stride;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (std::size_t s = 0; s < steps; ++s) {
    const std::int8_t* from = levels + 4 * b.depth * s;
    const std::size_t at = 64 * b.depth * s;
    _tile_loadd(4, from, stride);
    _tile_loadd(6, weights[0] + at, 64);
    _tile_dpbsud(0, 4, 6);
    if (b.two_panels()) {
      _tile_loadd(7, weights[1] + at, 64);
      _tile_dpbsud(1, 4, 7);
    }
    if (b.two_rows()) {
      _tile_loadd(5, from + kTile * stride, stride);
      _tile_dpbsud(2, 5, 6);
      if (b.two_panels()) {
        _tile_dpbsud(3, 5, 7);
      }
    }
  }
  store_sums(b, sums);
}

inline bool any_digit(const std::int8_t* from, std::size_t stride, std::size_t rows,
                      std::size_t depth) {
  using Bits = std::uint64_t __attribute__((vector_size(64)));
  Bits any{};
  for (std::size_t r = 0; r < rows; ++r) {
    Bits row{};
    if (depth == kTile) {
      __builtin_memcpy(&row, from + r * stride, sizeof row);
    } else {
      __builtin_memcpy(&row, from + r * stride, 4 * depth);
    }
    any |= row;
  }
  std::uint64_t bits = 0;
  for (int i = 0; i < 8; ++i) {
    bits |= any[i];
  }
  return bits != 0;
}

// The same for high digits; tiles without any are left out. Returns whether there were some.
inline bool sum_high(const TileBlock& b, const std::int8_t* levels,
                     const std::uint8_t* const* weights, std::size_t steps, TileSums& sums) {
  const std::size_t stride = b.task.levels.low_stride;
  const std::size_t upper_rows = b.two_rows() ? kTile : b.rows;
  bool found = false;
  for (std::size_t s = 0; s < steps; ++s) {
    const std::int8_t* from = levels + 4 * b.depth * s;
    const std::size_t at = 64 * b.depth * s;
    const bool upper = any_digit(from, stride, upper_rows, b.depth);
    const bool lower =
        b.two_rows() && any_digit(from + kTile * stride, stride, b.rows - kTile, b.depth);
    if (!upper && !lower) {
      continue;
    }
    if (!found) {
      found = true;
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
    }
    _tile_loadd(6, weights[0] + at, 64);
    if (b.two_panels()) {
      _tile_loadd(7, weights[1] + at, 64);
    }
    if (upper) {
      _tile_loadd(4, from, stride);
      _tile_dpbsud(0, 4, 6);
      if (b.two_panels()) {
        _tile_dpbsud(1, 4, 7);
      }
    }
    if (lower) {
      _tile_loadd(5, from + kTile * stride, stride);
      _tile_dpbsud(2, 5, 6);
      if (b.two_panels()) {
        _tile_dpbsud(3, 5, 7);
      }
    }
  }
  if (found) {
    store_sums(b, sums);
  }
  return found;
}

// Adds the further digits of fours before `end`.
template <int Bits>
void add_further(TileBlock& b, std::size_t end, TileSums& sums) {
  const std::size_t fours = b.task.groups * b.task.quads;
  for (std::size_t r = 0; r < b.rows; ++r) {
    for (; b.next[r] != b.end[r] && b.next[r]->place < end; ++b.next[r]) {
      const Extra& extra = *b.next[r];
      const std::size_t place = extra.place;
      for (std::size_t p = 0; p < b.panels; ++p) {
        const std::uint8_t* panel = b.task.values + (b.panel + p) * fours * (Bits == 8 ? 64 : 32);
        const __m512i w = Bits == 8
                              ? Avx512Vnni::weights(panel + 64 * place)
                              : Avx512Vnni::nibbles(Avx512Vnni::weights(panel + 64 * (place / 2)),
                                                    place % 2 != 0);
        const __m512i more =
            Avx512Vnni::multiply_add(Avx512Vnni::none(), w, Avx512Vnni::four(extra.digits));
        std::int32_t* to = sums[r / kTile * 2 + p][r % kTile];
        Avx512Vnni::write(to, Avx512Vnni::add_shifted(_mm512_loadu_si512(to), more, extra.shift));
      }
    }
  }
}

// y + reals of the sums of one group, in the order of docs/exactness.md.
template <int Bits>
void scale_sums(const TileBlock& b, std::size_t group, const TileSums& sums, const TileSums* high,
                TileReals& y) {
  const LinearTask& task = b.task;
  for (std::size_t p = 0; p < b.panels; ++p) {
    const std::size_t at = ((b.panel + p) * task.groups + group) * kPanel;
    const __m512 scale = Avx512Vnni::reals(task.scales, at, task.half);
    const __m512 minimum =
        task.minima == nullptr ? scale : Avx512Vnni::reals(task.minima, at, task.half);
    for (std::size_t r = 0; r < b.rows; ++r) {
      const std::size_t tile = r / kTile * 2 + p;
      __m512i sum = _mm512_loadu_si512(sums[tile][r % kTile]);
      if (high != nullptr) {
        sum = Avx512Vnni::add_shifted(sum, _mm512_loadu_si512((*high)[tile][r % kTile]), 8);
      }
      const std::int32_t total = task.levels.sums[(b.row + r) * task.levels.sums_stride + group];
      if constexpr (Bits == 8) {
        sum = Avx512Vnni::subtract(sum, static_cast<std::uint32_t>(total) * Avx512Vnni::offset);
      }
      float* to = y[tile][r % kTile];
      __m512 real = Avx512Vnni::plus(_mm512_loadu_ps(to),
                                     Avx512Vnni::times(Avx512Vnni::to_reals(sum), scale));
      if (task.minima != nullptr) {
        const __m512 count = Avx512Vnni::all(static_cast<float>(total));
        real = Avx512Vnni::plus(real, Avx512Vnni::times(count, minimum));
      }
      Avx512Vnni::write(to, real);
    }
  }
}

// Between `out` and y: `first` starts a row's sums, `last` ends them.
inline void start_reals(const TileBlock& b, bool first, TileReals& y) {
  for (std::size_t r = 0; r < b.rows; ++r) {
    for (std::size_t p = 0; p < b.panels; ++p) {
      const float* from = b.task.out + (b.row + r) * b.task.out_stride + (b.panel + p) * kPanel;
      Avx512Vnni::write(y[r / kTile * 2 + p][r % kTile],
                        first ? Avx512Vnni::all(0.0F) : _mm512_loadu_ps(from));
    }
  }
}

inline void write_reals(const TileBlock& b, bool last, const TileReals& y) {
  for (std::size_t p = 0; p < b.panels; ++p) {
    const std::size_t at = (b.panel + p) * kPanel;
    const __m512 bias =
        b.task.bias == nullptr ? Avx512Vnni::all(0.0F) : Avx512Vnni::reals(b.task.bias, at, false);
    for (std::size_t r = 0; r < b.rows; ++r) {
      __m512 real = _mm512_loadu_ps(y[r / kTile * 2 + p][r % kTile]);
      if (last) {
        real = Avx512Vnni::times(real, Avx512Vnni::all(b.task.threshold));
        if (b.task.bias != nullptr) {
          real = Avx512Vnni::plus(real, bias);
        }
      }
      Avx512Vnni::write(b.task.out + (b.row + r) * b.task.out_stride + at, real);
    }
  }
}

// Groups [first, last) of a block, whose weights from the first group on are `weights`.
template <int Bits>
void sum_block(TileBlock& b, const std::uint8_t* const* weights, std::size_t first,
               std::size_t last) {
  const LinearTask& task = b.task;
  alignas(64) TileSums sums;
  alignas(64) TileSums high;
  alignas(64) TileReals y;
  const std::int8_t* levels = task.levels.low + b.row * task.levels.low_stride;
  start_reals(b, first == 0, y);
  for (std::size_t g = first; g < last; ++g) {
    const std::int8_t* from = levels + 4 * task.quads * g;
    const std::size_t at = 64 * task.quads * (g - first);
    const std::uint8_t* panels[2] = {weights[0] + at, weights[b.panels - 1] + at};
    const std::size_t steps = task.quads / b.depth;
    sum_low(b, from, panels, steps, sums);
    const bool wide = task.levels.low_bits == kWide &&
                      sum_high(b, from + 4 * task.groups * task.quads, panels, steps, high);
    if (b.extras) {
      add_further<Bits>(b, (g + 1) * task.quads, sums);
    }
    scale_sums<Bits>(b, g, sums, wide ? &high : nullptr, y);
  }
  write_reals(b, last == task.groups, y);
}

inline void unpack(const std::uint8_t* nibbles, std::size_t quads, std::uint8_t* to) {
  for (std::size_t k = 0; k < quads; k += 2) {
    const __m512i both = _mm512_loadu_si512(nibbles + 32 * k);
    _mm512_storeu_si512(to + 64 * k, Avx512Vnni::nibbles(both, false));
    _mm512_storeu_si512(to + 64 * k + 64, Avx512Vnni::nibbles(both, true));
  }
}

template <int Bits>
void linear_panels(const LinearTask& task, std::size_t depth, std::size_t first_panel,
                   std::size_t last_panel, std::size_t first_row, std::size_t last_row) {
  alignas(64) std::uint8_t unpacked[2][Bits == 4 ? kUnpacked : 1];
  const std::size_t panel_bytes = task.groups * task.quads * (Bits == 8 ? 64 : 32);
  const std::size_t chunk = Bits == 8 ? task.groups : kUnpacked / (64 * task.quads);
  std::size_t configured = 0;
  for (std::size_t panel = first_panel; panel < last_panel; panel += 2) {
    const std::size_t panels = last_panel - panel < 2 ? 1 : 2;
    for (std::size_t group = 0; group < task.groups; group += chunk) {
      const std::size_t end = task.groups - group < chunk ? task.groups : group + chunk;
      const std::uint8_t* weights[2];
      for (std::size_t p = 0; p < panels; ++p) {
        weights[p] = task.values + (panel + p) * panel_bytes;
        if constexpr (Bits == 4) {
          unpack(weights[p] + 32 * task.quads * group, task.quads * (end - group), unpacked[p]);
          weights[p] = unpacked[p];
        }
      }
      publish();
      for (std::size_t row = first_row; row < last_row; row += 2 * kTile) {
        const std::size_t rows = last_row - row < 2 * kTile ? last_row - row : 2 * kTile;
        if (rows != configured) {
          configure(rows, depth);
          configured = rows;
        }
        TileBlock block{task, depth, row, rows, panel, panels, {}, {}, false};
        for (std::size_t r = 0; r < rows; ++r) {
          block.next[r] = task.levels.extras + (row + r) * task.levels.extras_stride;
          block.end[r] = block.next[r] + task.levels.extra_counts[row + r];
          while (block.next[r] != block.end[r] && block.next[r]->place < task.quads * group) {
            ++block.next[r];
          }
          block.extras = block.extras || block.next[r] != block.end[r];
        }
        sum_block<Bits>(block, weights, group, end);
      }
    }
  }
  _tile_release();
}

void linear_tiles(const LinearTask& task, std::size_t first_panel, std::size_t last_panel,
                  std::size_t first_row, std::size_t last_row) {
  std::size_t depth = kTile < task.quads ? kTile : task.quads;
  while (task.quads % depth != 0) {
    --depth;
  }
  const bool fits = task.bits == 8 || 64 * task.quads <= kUnpacked;
  if (last_row - first_row <= kFewRows || depth < kShallow || !fits) {
    linear<Avx512Vnni>(task, first_panel, last_panel, first_row, last_row);
  } else if (task.bits == 8) {
    linear_panels<8>(task, depth, first_panel, last_panel, first_row, last_row);
  } else {
    linear_panels<4>(task, depth, first_panel, last_panel, first_row, last_row);
  }
}
