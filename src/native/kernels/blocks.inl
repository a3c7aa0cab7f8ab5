// Linear operations of many rows on 8-bit weights: blocks of 8 rows × 3 panels, whose 24 sums stay
// in registers while each load of weights serves 8 rows and each load of levels 3 panels.

constexpr std::size_t kBlockRows = Avx512Vnni::rows;
constexpr std::size_t kBlockPanels = 3;
constexpr std::size_t kLeastQuads = 32;  // in smaller groups, what follows their sums takes longer
constexpr std::size_t kMostQuads = 8192;

using BlockSums = std::int32_t[kBlockPanels][kBlockRows][kPanel];

// Fours of inputs with high digits, in order.
struct Active {
  std::size_t count;
  std::uint16_t at[kMostQuads];
};

struct Block {
  const std::uint8_t* weights[kBlockPanels];
  const std::int8_t* low[kBlockRows];
  const std::int8_t* high[kBlockRows];
};

inline void add_four(const std::uint8_t* const* weights, const std::int8_t* const* digits,
                     std::size_t k, __m512i (*sums)[kBlockRows]) {
  __m512i w[kBlockPanels];
#pragma GCC unroll 3
  for (std::size_t p = 0; p < kBlockPanels; ++p) {
    w[p] = Avx512Vnni::weights(weights[p] + 64 * k);
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kBlockRows; ++r) {
    const __m512i n = Avx512Vnni::four(digits[r] + 4 * k);
#pragma GCC unroll 3
    for (std::size_t p = 0; p < kBlockPanels; ++p) {
      sums[p][r] = Avx512Vnni::multiply_add(sums[p][r], w[p], n);
    }
  }
}

// Adds the products of `count` fours to `to`: of those listed in `at`, or else of the first. Each a
// function of its own with nothing beside its loop: else the compiler keeps the sums in memory.
template <bool Listed>
[[gnu::noinline]] void add_fours(const std::uint8_t* const* weights,
                                 const std::int8_t* const* digits, const std::uint16_t* at,
                                 std::size_t count, BlockSums& to) {
  __m512i sums[kBlockPanels][kBlockRows];
#pragma GCC unroll 3
  for (std::size_t p = 0; p < kBlockPanels; ++p) {
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kBlockRows; ++r) {
      sums[p][r] = _mm512_loadu_si512(to[p][r]);
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    add_four(weights, digits, Listed ? at[i] : i, sums);
  }
#pragma GCC unroll 3
  for (std::size_t p = 0; p < kBlockPanels; ++p) {
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kBlockRows; ++r) {
      Avx512Vnni::write(to[p][r], sums[p][r]);
    }
  }
}

// High digits are worth 2⁸ as much as low ones.
inline void shift_sums(BlockSums& sums) {
  for (auto& panel : sums) {
    for (auto& row : panel) {
      _mm512_storeu_si512(row, _mm512_slli_epi32(_mm512_loadu_si512(row), 8));
    }
  }
}

// Adds the further digits of a block's rows, those of the fours [first, last).
inline void add_further(const LinearTask& task, const Block& block, std::size_t row,
                        std::size_t first, std::size_t last, BlockSums& sums) {
  for (std::size_t r = 0; r < kBlockRows; ++r) {
    const Extra* extra = task.levels.extras + (row + r) * task.levels.extras_stride;
    const Extra* end = extra + task.levels.extra_counts[row + r];
    for (; extra != end && extra->place < last; ++extra) {
      if (extra->place < first) {
        continue;
      }
      for (std::size_t p = 0; p < kBlockPanels; ++p) {
        const __m512i w = Avx512Vnni::weights(block.weights[p] + 64 * (extra->place - first));
        const __m512i more =
            Avx512Vnni::multiply_add(Avx512Vnni::none(), w, Avx512Vnni::four(extra->digits));
        std::int32_t* to = sums[p][r];
        Avx512Vnni::write(to, Avx512Vnni::add_shifted(_mm512_loadu_si512(to), more, extra->shift));
      }
    }
  }
}

// Adds the reals of a group's sums to `out`, in the order of docs/exactness.md.
inline void scale_block(const LinearTask& task, std::size_t panel, std::size_t row,
                        std::size_t group, const BlockSums& sums) {
  const __m512 threshold = Avx512Vnni::all(task.threshold);
  for (std::size_t p = 0; p < kBlockPanels; ++p) {
    const std::size_t at = ((panel + p) * task.groups + group) * kPanel;
    const __m512 scale = Avx512Vnni::reals(task.scales, at, task.half);
    for (std::size_t r = 0; r < kBlockRows; ++r) {
      float* out = task.out + (row + r) * task.out_stride + (panel + p) * kPanel;
      const std::int32_t total = task.levels.sums[(row + r) * task.levels.sums_stride + group];
      const __m512i sum = Avx512Vnni::subtract(
          _mm512_loadu_si512(sums[p][r]), static_cast<std::uint32_t>(total) * Avx512Vnni::offset);
      __m512 y = group == 0 ? Avx512Vnni::all(0.0F) : _mm512_loadu_ps(out);
      y = Avx512Vnni::plus(y, Avx512Vnni::times(Avx512Vnni::to_reals(sum), scale));
      if (task.minima != nullptr) {
        const __m512 minimum = Avx512Vnni::reals(task.minima, at, task.half);
        const __m512 count = Avx512Vnni::all(static_cast<float>(total));
        y = Avx512Vnni::plus(y, Avx512Vnni::times(count, minimum));
      }
      if (group + 1 == task.groups) {
        y = Avx512Vnni::times(y, threshold);
        if (task.bias != nullptr) {
          y = Avx512Vnni::plus(y, Avx512Vnni::reals(task.bias, (panel + p) * kPanel, false));
        }
      }
      Avx512Vnni::write(out, y);
    }
  }
}

// One group of inputs of 8 rows, for all panels: few fours have high digits, and which is found
// once.
inline void linear_rows(const LinearTask& task, std::size_t first_panel, std::size_t last_panel,
                        std::size_t row, std::size_t group, Active& active) {
  const LevelRows& levels = task.levels;
  const std::size_t fours = task.groups * task.quads;
  const std::size_t first = group * task.quads;
  Block block{};
  const Strided marks{levels.low + row * levels.low_stride + 8 * fours, levels.low_stride};
  bool further = false;
  for (std::size_t r = 0; r < kBlockRows; ++r) {
    const std::int8_t* low = levels.low + (row + r) * levels.low_stride;
    block.low[r] = low + 4 * first;
    block.high[r] = block.low[r] + 4 * fours;
    further = further || levels.extra_counts[row + r] != 0;
  }
  active.count = 0;
  if (levels.low_bits == kWide) {
    each_active<kBlockRows>(marks, first, first + task.quads, [&](std::size_t k) {
      active.at[active.count++] = static_cast<std::uint16_t>(k - first);
    });
  }
  alignas(64) BlockSums sums;
  for (std::size_t panel = first_panel; panel < last_panel; panel += kBlockPanels) {
    for (std::size_t p = 0; p < kBlockPanels; ++p) {
      block.weights[p] = task.values + ((panel + p) * fours + first) * 64;
    }
    __builtin_memset(sums, 0, sizeof sums);
    if (active.count != 0) {
      add_fours<true>(block.weights, block.high, active.at, active.count, sums);
      shift_sums(sums);
    }
    add_fours<false>(block.weights, block.low, nullptr, task.quads, sums);
    if (further) {
      add_further(task, block, row, first, first + task.quads, sums);
    }
    scale_block(task, panel, row, group, sums);
  }
}

void linear_blocks(const LinearTask& task, std::size_t first_panel, std::size_t last_panel,
                   std::size_t first_row, std::size_t last_row) {
  const bool fits = task.bits == 8 && task.quads >= kLeastQuads && task.quads <= kMostQuads;
  const std::size_t rows = fits ? (last_row - first_row) / kBlockRows * kBlockRows : 0;
  const std::size_t row_end = first_row + rows;
  if (rows != 0) {
    const std::size_t panels = (last_panel - first_panel) / kBlockPanels * kBlockPanels;
    Active active;
    for (std::size_t row = first_row; row < row_end; row += kBlockRows) {
      for (std::size_t group = 0; group < task.groups; ++group) {
        linear_rows(task, first_panel, first_panel + panels, row, group, active);
      }
    }
    linear<Avx512Vnni>(task, first_panel + panels, last_panel, first_row, row_end);
  }
  linear<Avx512Vnni>(task, first_panel, last_panel, row_end, last_row);
}
