// Linear operations on packed weights, for a vector type V that an instruction set provides:
//
//   V::Sums       16 int32 accumulators, one per output of a panel; V::Reals 16 floats
//   V::Weights    64 bytes of a panel; V::Four  4 levels repeated
//   V::Part       what `steps` products are summed in before V::drain adds them to Sums: with
//   16-bit
//                 products it holds a few of them exactly, as the range of the low digits allows
//   V::direct     Part is Sums itself
//   V::rows       rows that share each load of weights
//   V::panels     panels that share each load of levels, in attention
//   V::even, odd  inputs 0 and 2, or 1 and 3, of each output in 16 bits, for levels of 16 bits;
//   only
//                 where products have 16 bits; elsewhere such levels are two planes of 8-bit
//                 digits, and behind them a bit for each four that has high ones

// Costs where products are summed in 32 bits at once, in multiplications: a further digit takes
// some eight times as long.
constexpr DigitCosts kByteCosts = {2, {{8, 1.0}, {kWide, 1.1}}, 8.0};
[[maybe_unused]] const DigitCosts& byte_costs(std::size_t) { return kByteCosts; }

// Rows of bytes `stride` apart.
struct Strided {
  const std::int8_t* first;
  std::size_t stride;

  [[nodiscard]] const std::int8_t* row(int r) const {
    return first + static_cast<std::size_t>(r) * stride;
  }
};

template <class V, int Rows>
struct Cursor {
  const Extra* next[Rows];
  const Extra* end[Rows];

  void begin(const LevelRows& levels, std::size_t row) {
    for (std::size_t r = 0; r < Rows; ++r) {
      next[r] = levels.extras + (row + r) * levels.extras_stride;
      end[r] = next[r] + levels.extra_counts[row + r];
    }
  }
};

// Σ over one four of inputs with digits beside the low ones, for all rows that have them.
template <class V, int Rows, int Bits>
inline void add_extras(Cursor<V, Rows>& cursor, std::size_t end, const std::uint8_t* panel,
                       typename V::Sums* sums) {
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
    while (cursor.next[r] != cursor.end[r] && cursor.next[r]->place < end) {
      const Extra& extra = *cursor.next[r]++;
      const std::size_t place = extra.place;
      const typename V::Weights w =
          Bits == 8 ? V::weights(panel + 64 * place)
                    : V::nibbles(V::weights(panel + 64 * (place / 2)), place % 2 != 0);
      const typename V::Part part = V::multiply_add(V::none(), w, V::four(extra.digits));
      const typename V::Sums sum = V::drain(V::none(), part);
      sums[r] = V::add_shifted(sums[r], sum, extra.shift);
    }
  }
}

// One row waits for each sum before it can add to it: it gets several sums side by side.
template <class V, int Rows>
inline constexpr int kChains = V::direct && Rows <= V::rows / 4   ? 4
                               : V::direct && Rows <= V::rows / 2 ? 2
                                                                  : 1;

// Fours of inputs in a step of sum_group, where products are summed in 32 bits at once.
template <class V, int Rows>
inline constexpr int kDirectSteps = 2 * kChains<V, Rows>;

template <class V, int Rows, int Bits, int Steps>
inline void sum_group(const std::uint8_t* values, const Strided& rows, std::size_t quads,
                      typename V::Sums* sums) {
  const std::int8_t* low[Rows];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
    low[r] = rows.row(r);
  }
  constexpr std::size_t kSteps = Steps;
  constexpr std::size_t kSide = kChains<V, Rows>;
  typename V::Part part[kSide][Rows];
  const auto start = [&] {
#pragma GCC unroll 32
    for (int r = 0; r < Rows; ++r) {
      for (std::size_t c = 0; c < kSide; ++c) {
        part[c][r] = V::none();
      }
    }
  };
  const auto end = [&] {
#pragma GCC unroll 32
    for (int r = 0; r < Rows; ++r) {
      for (std::size_t c = 0; c < kSide; ++c) {
        sums[r] = V::drain(sums[r], part[c][r]);
      }
    }
  };
  const auto one = [&](std::size_t k, std::size_t chain) {
    if constexpr (Bits == 8) {
      const typename V::Weights w = V::weights(values + 64 * k);
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) {
        part[chain][r] = V::multiply_add(part[chain][r], w, V::four(low[r] + 4 * k));
      }
    } else {
      const typename V::Weights both = V::weights(values + 32 * k);
      const typename V::Weights w = V::nibbles(both, false);
      const typename V::Weights u = V::nibbles(both, true);
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) {
        part[chain][r] = V::multiply_add(part[chain][r], w, V::four(low[r] + 4 * k));
        part[chain][r] = V::multiply_add(part[chain][r], u, V::four(low[r] + 4 * k + 4));
      }
    }
  };
  constexpr std::size_t kStride = Bits == 8 ? 1 : 2;
  if (V::direct) {
    start();
  }
  for (std::size_t k = 0; k < quads; k += kSteps) {
    if (!V::direct) {
      start();
    }
    if (quads - k >= kSteps) {
#pragma GCC unroll 16
      for (std::size_t s = 0; s < kSteps; s += kStride) {
        one(k + s, s / kStride % kSide);
      }
    } else {
      for (std::size_t s = k; s < quads; s += kStride) {
        one(s, 0);
      }
    }
    if (!V::direct) {
      end();
    }
  }
  if (V::direct) {
    end();
  }
}

// The same for levels in 16 bits, which are summed in 32 at once.
template <class V, int Rows, int Bits>
inline void sum_wide(const std::uint8_t* values, const Strided& low, std::size_t quads,
                     typename V::Sums* sums) {
  const auto one = [&](const typename V::Weights& w, std::size_t k) {
    const typename V::Weights even = V::even(w);
    const typename V::Weights odd = V::odd(w);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      sums[r] = V::multiply_wide(sums[r], even, V::four(low.row(r) + 8 * k));
      sums[r] = V::multiply_wide(sums[r], odd, V::four(low.row(r) + 8 * k + 4));
    }
  };
  for (std::size_t k = 0; k < quads; k += Bits == 8 ? 1 : 2) {
    const typename V::Weights w = V::weights(values + (Bits == 8 ? 64 : 32) * k);
    if constexpr (Bits == 8) {
      one(w, k);
    } else {
      one(V::nibbles(w, false), k);
      one(V::nibbles(w, true), k + 1);
    }
  }
}

// Calls step(k) for each four k of [first, last) in which one of the rows has high digits.
template <int Rows, class Step>
inline void each_active(const Strided& active, std::size_t first, std::size_t last, Step step) {
  for (std::size_t word = first / 64; 64 * word < last; ++word) {
    std::uint64_t bits = 0;
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      std::uint64_t own;
      __builtin_memcpy(&own, active.row(r) + 8 * word, sizeof own);
      bits |= own;
    }
    if (64 * word < first) {
      bits &= ~std::uint64_t{0} << first % 64;
    }
    if (last - 64 * word < 64) {
      bits &= ~(~std::uint64_t{0} << last % 64);
    }
    for (; bits != 0; bits &= bits - 1) {
      step(64 * word + static_cast<std::size_t>(__builtin_ctzll(bits)));
    }
  }
}

// Adds Σ high digits × weights · 2⁸ of the fours [first, last), most of which have none, once the
// low digits have brought the weights near. `values` and `high` begin at the first four of all.
template <class V, int Rows, int Bits>
inline void sum_high(const std::uint8_t* values, const Strided& high, const Strided& active,
                     std::size_t first, std::size_t last, typename V::Sums* sums) {
  typename V::Sums highs[Rows];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
    highs[r] = V::none();
  }
  each_active<Rows>(active, first, last, [&](std::size_t k) {
    const typename V::Weights w = Bits == 8
                                      ? V::weights(values + 64 * k)
                                      : V::nibbles(V::weights(values + 64 * (k / 2)), k % 2 != 0);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      highs[r] = V::multiply_add(highs[r], w, V::four(high.row(r) + 4 * k));
    }
  });
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
    sums[r] = V::add_shifted(sums[r], highs[r], 8);
  }
}

// Steps are products that are summed in 16 bits; 0 where the levels have 16 bits.
template <class V, int Rows, int Bits, int Steps>
void linear_tile(const LinearTask& task, std::size_t panel, std::size_t row) {
  const LevelRows& levels = task.levels;
  const std::size_t fours = task.groups * task.quads;
  const std::uint8_t* values = task.values + panel * fours * (Bits == 8 ? 64 : 32);
  const std::int8_t* low = levels.low + row * levels.low_stride;
  Cursor<V, Rows> cursor{};
  typename V::Reals y[Rows];
  std::uint32_t extras = 0;
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
    extras |= levels.extra_counts[row + static_cast<std::size_t>(r)];
    y[r] = V::all(0.0F);
  }
  if (extras != 0) {
    cursor.begin(levels, row);
  }
  for (std::size_t g = 0; g < task.groups; ++g) {
    typename V::Sums sums[Rows];
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      sums[r] = V::none();
    }
    const std::uint8_t* from = values + g * task.quads * (Bits == 8 ? 64 : 32);
    const Strided rows{low + (Steps == 0 && !V::direct ? 8 : 4) * g * task.quads,
                       levels.low_stride};
    if constexpr (Steps == 0 && !V::direct) {
      sum_wide<V, Rows, Bits>(from, rows, task.quads, sums);
    } else if constexpr (Steps == 0) {
      const std::size_t first = g * task.quads;
      sum_group<V, Rows, Bits, kDirectSteps<V, Rows>>(from, rows, task.quads, sums);
      sum_high<V, Rows, Bits>(values, Strided{low + 4 * fours, levels.low_stride},
                              Strided{low + 8 * fours, levels.low_stride}, first,
                              first + task.quads, sums);
    } else {
      sum_group<V, Rows, Bits, Steps>(from, rows, task.quads, sums);
    }
    if (extras != 0) {
      add_extras<V, Rows, Bits>(cursor, (g + 1) * task.quads, values, sums);
    }
    const std::size_t at = (panel * task.groups + g) * kPanel;
    const typename V::Reals scale = V::reals(task.scales, at, task.half);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const std::size_t sum_at = (row + static_cast<std::size_t>(r)) * levels.sums_stride + g;
      const std::int32_t total = levels.sums[sum_at];
      if constexpr (Bits == 8 && V::offset != 0) {
        sums[r] = V::subtract(sums[r], static_cast<std::uint32_t>(total) * V::offset);
      }
      y[r] = V::plus(y[r], V::times(V::to_reals(sums[r]), scale));
      if (task.minima != nullptr) {
        const typename V::Reals minimum = V::reals(task.minima, at, task.half);
        y[r] = V::plus(y[r], V::times(V::all(static_cast<float>(total)), minimum));
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
    typename V::Reals result = V::times(y[r], V::all(task.threshold));
    if (task.bias != nullptr) {
      result = V::plus(result, V::reals(task.bias, panel * kPanel, false));
    }
    V::write(task.out + (row + static_cast<std::size_t>(r)) * task.out_stride + panel * kPanel,
             result);
  }
}

using LinearTile = void (*)(const LinearTask&, std::size_t, std::size_t);

template <class V, int Rows>
LinearTile choose_steps(const LinearTask& task) {
  if constexpr (V::direct) {
    constexpr int kSteps = kDirectSteps<V, Rows>;
    if (task.levels.low_bits == kWide) {
      return task.bits == 4 ? linear_tile<V, Rows, 4, 0> : linear_tile<V, Rows, 8, 0>;
    }
    return task.bits == 4 ? linear_tile<V, Rows, 4, kSteps> : linear_tile<V, Rows, 8, kSteps>;
  } else if (task.levels.low_bits == kWide) {
    return task.bits == 4 ? linear_tile<V, Rows, 4, 0> : linear_tile<V, Rows, 8, 0>;
  } else if (task.bits == 4) {  // 16 products of up to 2·15·64 fit 16 bits
    return task.quads % 16 == 0 ? linear_tile<V, Rows, 4, 16> : linear_tile<V, Rows, 4, 8>;
  } else {
    switch (task.levels.low_bits) {
      case 5: return linear_tile<V, Rows, 8, 4>;
      case 6: return linear_tile<V, Rows, 8, 2>;
      default: return linear_tile<V, Rows, 8, 1>;
    }
  }
}

template <class V, int Rows>
LinearTile choose_tile(const LinearTask& task, std::size_t rows) {
  if constexpr (Rows == 1) {
    return choose_steps<V, 1>(task);
  } else {
    return rows >= Rows ? choose_steps<V, Rows>(task) : choose_tile<V, Rows - 1>(task, rows);
  }
}

template <class V>
void linear(const LinearTask& task, std::size_t first_panel, std::size_t last_panel,
            std::size_t first_row, std::size_t last_row) {
  const std::size_t rest = (last_row - first_row) % V::rows;
  const LinearTile whole = choose_tile<V, V::rows>(task, V::rows);
  const LinearTile part = rest == 0 ? nullptr : choose_tile<V, V::rows>(task, rest);
  for (std::size_t panel = first_panel; panel < last_panel; ++panel) {
    std::size_t row = first_row;
    for (; row + V::rows <= last_row; row += V::rows) {
      whole(task, panel, row);
    }
    if (part != nullptr) {
      part(task, panel, row);
    }
  }
}
