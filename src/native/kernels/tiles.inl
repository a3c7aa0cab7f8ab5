// Linear operations in tiles. Tiles 0 to 3 hold sums of 2×2 blocks of 16 rows × 16 outputs, 4 and 5
// levels of 16 rows, 6 and 7 weights of a panel.

constexpr std::size_t kTile = 16;     // rows of a tile
constexpr std::size_t kFewRows = 8;   // not worth a tile
constexpr std::size_t kShallow = 12;  // with fewer fours of inputs, tiles wait for themselves
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

inline void add_high(const TileBlock& b, const TileSums& high, TileSums& sums) {
  for (std::size_t r = 0; r < b.rows; ++r) {
    for (std::size_t p = 0; p < b.panels; ++p) {
      const std::size_t tile = r / kTile * 2 + p;
      const __m512i more = _mm512_loadu_si512(high[tile][r % kTile]);
      std::int32_t* to = sums[tile][r % kTile];
      Avx512Vnni::write(to, Avx512Vnni::add_shifted(_mm512_loadu_si512(to), more, 8));
    }
  }
}

// Adds the reals of the sums of a group to the rows of `out`, in the order of docs/exactness.md.
template <int Bits>
void scale_sums(const TileBlock& b, std::size_t group, const TileSums& sums) {
  const LinearTask& task = b.task;
  const bool last = group + 1 == task.groups;
  for (std::size_t p = 0; p < b.panels; ++p) {
    const std::size_t panel = b.panel + p;
    const std::size_t at = (panel * task.groups + group) * kPanel;
    const __m512 scale = Avx512Vnni::reals(task.scales, at, task.half);
    const __m512 minimum =
        task.minima == nullptr ? scale : Avx512Vnni::reals(task.minima, at, task.half);
    const __m512 threshold = Avx512Vnni::all(task.threshold);
    const __m512 bias =
        task.bias == nullptr ? threshold : Avx512Vnni::reals(task.bias, panel * kPanel, false);
    for (std::size_t r = 0; r < b.rows; ++r) {
      const std::int32_t total = task.levels.sums[(b.row + r) * task.levels.sums_stride + group];
      float* out = task.out + (b.row + r) * task.out_stride + panel * kPanel;
      __m512i sum = _mm512_loadu_si512(sums[r / kTile * 2 + p][r % kTile]);
      if constexpr (Bits == 8) {
        sum = Avx512Vnni::subtract(sum, static_cast<std::uint32_t>(total) * Avx512Vnni::offset);
      }
      __m512 y = group == 0 ? Avx512Vnni::all(0.0F) : _mm512_loadu_ps(out);
      y = Avx512Vnni::plus(y, Avx512Vnni::times(Avx512Vnni::to_reals(sum), scale));
      if (task.minima != nullptr) {
        const __m512 count = Avx512Vnni::all(static_cast<float>(total));
        y = Avx512Vnni::plus(y, Avx512Vnni::times(count, minimum));
      }
      if (last) {
        y = Avx512Vnni::times(y, threshold);
        y = task.bias == nullptr ? y : Avx512Vnni::plus(y, bias);
      }
      Avx512Vnni::write(out, y);
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
  const std::int8_t* levels = task.levels.low + b.row * task.levels.low_stride;
  const std::size_t steps = task.quads / b.depth;
  for (std::size_t group = first; group < last; ++group) {
    const std::int8_t* from = levels + 4 * task.quads * group;
    const std::size_t at = 64 * task.quads * (group - first);
    const std::uint8_t* panels[2] = {weights[0] + at, weights[b.panels - 1] + at};
    sum_low(b, from, panels, steps, sums);
    if (task.levels.low_bits == kWide &&
        sum_high(b, from + 4 * task.groups * task.quads, panels, steps, high)) {
      add_high(b, high, sums);
    }
    if (b.extras) {
      add_further<Bits>(b, (group + 1) * task.quads, sums);
    }
    scale_sums<Bits>(b, group, sums);
  }
}

inline void unpack(const std::uint8_t* nibbles, std::size_t quads, std::uint8_t* to) {
  for (std::size_t k = 0; k < quads; k += 2) {
    const __m512i both = _mm512_loadu_si512(nibbles + 32 * k);
    _mm512_storeu_si512(to + 64 * k, Avx512Vnni::nibbles(both, false));
    _mm512_storeu_si512(to + 64 * k + 64, Avx512Vnni::nibbles(both, true));
  }
}

// The rows' further digits from `place` on.
inline void seek(TileBlock& b, std::size_t place) {
  const LevelRows& levels = b.task.levels;
  b.extras = false;
  for (std::size_t r = 0; r < b.rows; ++r) {
    b.next[r] = levels.extras + (b.row + r) * levels.extras_stride;
    b.end[r] = b.next[r] + levels.extra_counts[b.row + r];
    while (b.next[r] != b.end[r] && b.next[r]->place < place) {
      ++b.next[r];
    }
    b.extras = b.extras || b.next[r] != b.end[r];
  }
}

inline std::size_t rows_from(std::size_t row, std::size_t last) {
  return last - row < 2 * kTile ? last - row : 2 * kTile;
}

// Weights of 8 bits come from further away than the levels of a block of rows.
inline void linear_bytes(const LinearTask& task, std::size_t depth, std::size_t first_panel,
                         std::size_t last_panel, std::size_t first_row, std::size_t last_row) {
  const std::size_t panel_bytes = 64 * task.groups * task.quads;
  for (std::size_t row = first_row; row < last_row; row += 2 * kTile) {
    const std::size_t rows = rows_from(row, last_row);
    configure(rows, depth);
    for (std::size_t panel = first_panel; panel < last_panel; panel += 2) {
      const std::size_t panels = last_panel - panel < 2 ? 1 : 2;
      TileBlock block{task, depth, row, rows, panel, panels, {}, {}, false};
      seek(block, 0);
      const std::uint8_t* from = task.values + panel * panel_bytes;
      const std::uint8_t* weights[2] = {from, from + (panels - 1) * panel_bytes};
      sum_block<8>(block, weights, 0, task.groups);
    }
  }
}

// Weights of 4 bits are unpacked once for all rows.
inline void linear_nibbles(const LinearTask& task, std::size_t depth, std::size_t first_panel,
                           std::size_t last_panel, std::size_t first_row, std::size_t last_row) {
  alignas(64) std::uint8_t unpacked[2][kUnpacked];
  const std::uint8_t* weights[2] = {unpacked[0], unpacked[1]};
  const std::size_t panel_bytes = 32 * task.groups * task.quads;
  const std::size_t chunk = kUnpacked / (64 * task.quads);
  std::size_t configured = 0;
  for (std::size_t panel = first_panel; panel < last_panel; panel += 2) {
    const std::size_t panels = last_panel - panel < 2 ? 1 : 2;
    for (std::size_t group = 0; group < task.groups; group += chunk) {
      const std::size_t end = task.groups - group < chunk ? task.groups : group + chunk;
      for (std::size_t p = 0; p < panels; ++p) {
        unpack(task.values + (panel + p) * panel_bytes + 32 * task.quads * group,
               task.quads * (end - group), unpacked[p]);
      }
      publish();
      for (std::size_t row = first_row; row < last_row; row += 2 * kTile) {
        const std::size_t rows = rows_from(row, last_row);
        if (rows != configured) {
          configure(rows, depth);
          configured = rows;
        }
        TileBlock block{task, depth, row, rows, panel, panels, {}, {}, false};
        seek(block, task.quads * group);
        sum_block<4>(block, weights, group, end);
      }
    }
  }
}

// Fours of inputs in a tile, or 0 where tiles are not worth it for groups of so many.
inline std::size_t tile_depth(std::size_t quads) {
  std::size_t depth = kTile < quads ? kTile : quads;
  while (quads % depth != 0) {
    --depth;
  }
  return depth < kShallow ? 0 : depth;
}

void linear_tiles(const LinearTask& task, std::size_t first_panel, std::size_t last_panel,
                  std::size_t first_row, std::size_t last_row) {
  const std::size_t depth = tile_depth(task.quads);
  const bool fits = task.bits == 8 || 64 * task.quads <= kUnpacked;
  if (last_row - first_row <= kFewRows || depth == 0 || !fits) {
    linear<Avx512Vnni>(task, first_panel, last_panel, first_row, last_row);
    return;
  }
  const auto tiles = task.bits == 8 ? linear_bytes : linear_nibbles;
  tiles(task, depth, first_panel, last_panel, first_row, last_row);
  _tile_release();
}

// A multiplication of tiles takes a sixteenth of the time for each four, a further digit as long.
constexpr DigitCosts kTileCosts = {2, {{8, 1.0}, {kWide, 2.0}}, 80.0};

const DigitCosts& tile_costs(std::size_t quads) {
  return tile_depth(quads) == 0 ? kByteCosts : kTileCosts;
}
