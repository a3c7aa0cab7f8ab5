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

using TileSums = std::int32_t[4][kTile][kPanel];  // as the tiles that they were in

// One group of inputs of up to 32 rows and 2 panels.
struct TileBlock {
  std::size_t row;     // the first
  std::size_t rows;    // 1 … 32
  std::size_t panel;   // the first
  std::size_t panels;  // 1 or 2
  std::size_t group;

  [[nodiscard]] bool two_rows() const { return rows > kTile; }
  [[nodiscard]] bool two_panels() const { return panels == 2; }
};

// Sums of a block that wait until they are scaled, some rows at a time while tiles multiply the
// next block: neither waits for the other then.
template <int Bits>
class WaitingSums {
 public:
  explicit WaitingSums(const LinearTask& task)
      : task_(task), threshold_(Avx512Vnni::all(task.threshold)) {}

  // Takes the sums of the free buffers, which become those to scale.
  void take(const TileBlock& block, bool wide) {
    block_ = block;
    wide_ = wide;
    next_ = 0;
    current_ ^= 1;
    for (std::size_t p = 0; p < block.panels; ++p) {
      const std::size_t panel = block.panel + p;
      const std::size_t at = (panel * task_.groups + block.group) * kPanel;
      scale_[p] = Avx512Vnni::reals(task_.scales, at, task_.half);
      if (task_.minima != nullptr) {
        minimum_[p] = Avx512Vnni::reals(task_.minima, at, task_.half);
      }
      if (task_.bias != nullptr) {
        bias_[p] = Avx512Vnni::reals(task_.bias, panel * kPanel, false);
      }
    }
  }
  [[nodiscard]] TileSums& free_sums() { return sums_[current_ ^ 1]; }
  [[nodiscard]] TileSums& free_high() { return high_[current_ ^ 1]; }

  // Adds the reals of up to `count` rows to `out`, in the order of docs/exactness.md.
  void scale(std::size_t count) {
    const std::size_t end = block_.rows - next_ < count ? block_.rows : next_ + count;
    for (; next_ < end; ++next_) {
      const std::size_t row = block_.row + next_;
      const std::int32_t total = task_.levels.sums[row * task_.levels.sums_stride + block_.group];
      float* out = task_.out + row * task_.out_stride + block_.panel * kPanel;
      for (std::size_t p = 0; p < block_.panels; ++p) {
        scale_panel(p, total, out + p * kPanel);
      }
    }
  }
  void finish() { scale(block_.rows); }

 private:
  void scale_panel(std::size_t p, std::int32_t total, float* out) const {
    const std::size_t tile = next_ / kTile * 2 + p;
    __m512i sum = _mm512_loadu_si512(sums_[current_][tile][next_ % kTile]);
    if (wide_) {
      const __m512i high = _mm512_loadu_si512(high_[current_][tile][next_ % kTile]);
      sum = Avx512Vnni::add_shifted(sum, high, 8);
    }
    if constexpr (Bits == 8) {
      sum = Avx512Vnni::subtract(sum, static_cast<std::uint32_t>(total) * Avx512Vnni::offset);
    }
    __m512 y = block_.group == 0 ? Avx512Vnni::all(0.0F) : _mm512_loadu_ps(out);
    y = Avx512Vnni::plus(y, Avx512Vnni::times(Avx512Vnni::to_reals(sum), scale_[p]));
    if (task_.minima != nullptr) {
      const __m512 count = Avx512Vnni::all(static_cast<float>(total));
      y = Avx512Vnni::plus(y, Avx512Vnni::times(count, minimum_[p]));
    }
    if (block_.group + 1 == task_.groups) {
      y = Avx512Vnni::times(y, threshold_);
      y = task_.bias == nullptr ? y : Avx512Vnni::plus(y, bias_[p]);
    }
    Avx512Vnni::write(out, y);
  }

  const LinearTask& task_;
  __m512 threshold_;
  __m512 scale_[2];
  __m512 minimum_[2];
  __m512 bias_[2];
  TileBlock block_{};
  std::size_t next_ = 0;
  std::size_t current_ = 0;
  bool wide_ = false;
  alignas(64) TileSums sums_[2];
  alignas(64) TileSums high_[2];
};

inline void zero_sums() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

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

// A linear operation with weights of Bits bits, unpacked to bytes.
template <int Bits>
class TileLinear {
 public:
  TileLinear(const LinearTask& task, std::size_t depth)
      : task_(task), depth_(depth), steps_(task.quads / depth), waiting_(task) {}

  // Groups [first, last) of a block, whose weights from the first group on are `weights`.
  void block(TileBlock b, const std::uint8_t* const* weights, std::size_t first, std::size_t last) {
    const std::int8_t* levels = task_.levels.low + b.row * task_.levels.low_stride;
    seek(b, first * task_.quads);
    for (b.group = first; b.group < last; ++b.group) {
      const std::int8_t* low = levels + 4 * task_.quads * b.group;
      const std::size_t at = 64 * task_.quads * (b.group - first);
      const std::uint8_t* panels[2] = {weights[0] + at, weights[b.panels - 1] + at};
      sum_low(b, low, panels);
      const bool wide = task_.levels.low_bits == kWide &&
                        sum_high(b, low + 4 * task_.groups * task_.quads, panels);
      if (extras_) {
        add_further(b);
      }
      waiting_.finish();
      waiting_.take(b, wide);
    }
  }
  void finish() { waiting_.finish(); }

 private:
  // Σ low digits × weights.
  void sum_low(const TileBlock& b, const std::int8_t* levels, const std::uint8_t* const* weights) {
    const std::size_t stride = task_.levels.low_stride;
    const std::size_t rows = (2 * kTile + steps_ - 1) / steps_;  // that wait, in each step
    zero_sums();
    for (std::size_t s = 0; s < steps_; ++s) {
      const std::int8_t* from = levels + 4 * depth_ * s;
      const std::size_t at = 64 * depth_ * s;
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
      waiting_.scale(rows);
    }
    store_sums(b, waiting_.free_sums());
  }

  // The same for high digits; tiles without any are left out. Returns whether there were some.
  bool sum_high(const TileBlock& b, const std::int8_t* levels, const std::uint8_t* const* weights) {
    const std::size_t stride = task_.levels.low_stride;
    const std::size_t upper_rows = b.two_rows() ? kTile : b.rows;
    bool found = false;
    for (std::size_t s = 0; s < steps_; ++s) {
      const std::int8_t* from = levels + 4 * depth_ * s;
      const std::size_t at = 64 * depth_ * s;
      const bool upper = any_digit(from, stride, upper_rows, depth_);
      const bool lower =
          b.two_rows() && any_digit(from + kTile * stride, stride, b.rows - kTile, depth_);
      if (!upper && !lower) {
        continue;
      }
      if (!found) {
        found = true;
        zero_sums();
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
      store_sums(b, waiting_.free_high());
    }
    return found;
  }

  // Finds the rows' further digits from `place` on.
  void seek(const TileBlock& b, std::size_t place) {
    const LevelRows& levels = task_.levels;
    extras_ = false;
    for (std::size_t r = 0; r < b.rows; ++r) {
      if (levels.extra_counts[b.row + r] != 0) {
        extras_ = true;
      }
    }
    for (std::size_t r = 0; extras_ && r < b.rows; ++r) {
      next_[r] = levels.extras + (b.row + r) * levels.extras_stride;
      end_[r] = next_[r] + levels.extra_counts[b.row + r];
      while (next_[r] != end_[r] && next_[r]->place < place) {
        ++next_[r];
      }
    }
  }

  // Adds the further digits of a block's group.
  void add_further(const TileBlock& b) {
    const std::size_t end = (b.group + 1) * task_.quads;
    TileSums& sums = waiting_.free_sums();
    for (std::size_t r = 0; r < b.rows; ++r) {
      for (; next_[r] != end_[r] && next_[r]->place < end; ++next_[r]) {
        for (std::size_t p = 0; p < b.panels; ++p) {
          add_digit(*next_[r], b.panel + p, sums[r / kTile * 2 + p][r % kTile]);
        }
      }
    }
  }

  void add_digit(const Extra& extra, std::size_t panel, std::int32_t* to) const {
    const std::size_t place = extra.place;
    const std::uint8_t* values =
        task_.values + panel * task_.groups * task_.quads * (Bits == 8 ? 64 : 32);
    const __m512i w =
        Bits == 8
            ? Avx512Vnni::weights(values + 64 * place)
            : Avx512Vnni::nibbles(Avx512Vnni::weights(values + 64 * (place / 2)), place % 2 != 0);
    const __m512i more =
        Avx512Vnni::multiply_add(Avx512Vnni::none(), w, Avx512Vnni::four(extra.digits));
    Avx512Vnni::write(to, Avx512Vnni::add_shifted(_mm512_loadu_si512(to), more, extra.shift));
  }

  const LinearTask& task_;
  std::size_t depth_;  // fours of inputs in a tile
  std::size_t steps_;  // tiles of a group
  WaitingSums<Bits> waiting_;
  const Extra* next_[2 * kTile];
  const Extra* end_[2 * kTile];
  bool extras_ = false;
};

inline void unpack(const std::uint8_t* nibbles, std::size_t quads, std::uint8_t* to) {
  for (std::size_t k = 0; k < quads; k += 2) {
    const __m512i both = _mm512_loadu_si512(nibbles + 32 * k);
    _mm512_storeu_si512(to + 64 * k, Avx512Vnni::nibbles(both, false));
    _mm512_storeu_si512(to + 64 * k + 64, Avx512Vnni::nibbles(both, true));
  }
}

inline std::size_t rows_from(std::size_t row, std::size_t last) {
  return last - row < 2 * kTile ? last - row : 2 * kTile;
}

// Weights of 8 bits come from further away than the levels of a block of rows.
inline void linear_bytes(const LinearTask& task, std::size_t depth, std::size_t first_panel,
                         std::size_t last_panel, std::size_t first_row, std::size_t last_row) {
  const std::size_t panel_bytes = 64 * task.groups * task.quads;
  TileLinear<8> linear(task, depth);
  for (std::size_t row = first_row; row < last_row; row += 2 * kTile) {
    const std::size_t rows = rows_from(row, last_row);
    configure(rows, depth);
    for (std::size_t panel = first_panel; panel < last_panel; panel += 2) {
      const std::size_t panels = last_panel - panel < 2 ? 1 : 2;
      const std::uint8_t* from = task.values + panel * panel_bytes;
      const std::uint8_t* weights[2] = {from, from + (panels - 1) * panel_bytes};
      linear.block({row, rows, panel, panels, 0}, weights, 0, task.groups);
    }
  }
  linear.finish();
}

// Weights of 4 bits are unpacked once for all rows.
inline void linear_nibbles(const LinearTask& task, std::size_t depth, std::size_t first_panel,
                           std::size_t last_panel, std::size_t first_row, std::size_t last_row) {
  alignas(64) std::uint8_t unpacked[2][kUnpacked];
  const std::uint8_t* weights[2] = {unpacked[0], unpacked[1]};
  const std::size_t panel_bytes = 32 * task.groups * task.quads;
  const std::size_t chunk = kUnpacked / (64 * task.quads);
  std::size_t configured = 0;
  TileLinear<4> linear(task, depth);
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
        linear.block({row, rows, panel, panels, group}, weights, group, end);
      }
    }
  }
  linear.finish();
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
