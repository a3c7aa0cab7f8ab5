// Attention on cached levels: exact products, probabilities as levels; see docs/exactness.md.
//
// V::Pairs are 2 levels of 16 positions or channels side by side; V::pair is 2 levels repeated.

template <class V, int Rows, int Panels, class Element, class Level>
inline void pair_product(const Element* packed, std::size_t stride, const Level* const* rows,
                         std::size_t pairs, typename V::Sums (*sums)[Rows]) {
  for (int p = 0; p < Panels; ++p) {
    for (int r = 0; r < Rows; ++r) {
      sums[p][r] = V::none();
    }
  }
  for (std::size_t k = 0; k < pairs; ++k) {
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) {
      const auto w = V::pairs(packed + static_cast<std::size_t>(p) * stride + 32 * k);
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) {
        sums[p][r] = V::multiply_pairs(sums[p][r], w, rows[r] + 2 * k);
      }
    }
  }
}

// Calls step(panel, sums of its rows) for `panels` panels, several of which share each load of
// levels.
template <class V, int Rows, class Element, class Level, class Step>
inline void each_panel(const Element* packed, std::size_t stride, const Level* const* rows,
                       std::size_t pairs, std::size_t panels, Step step) {
  std::size_t panel = 0;
  for (; panel + V::panels <= panels; panel += V::panels) {
    typename V::Sums sums[V::panels][Rows];
    pair_product<V, Rows, V::panels>(packed + panel * stride, stride, rows, pairs, sums);
    for (std::size_t p = 0; p < V::panels; ++p) {
      step(panel + p, sums[p]);
    }
  }
  for (; panel < panels; ++panel) {
    typename V::Sums sums[1][Rows];
    pair_product<V, Rows, 1>(packed + panel * stride, stride, rows, pairs, sums);
    step(panel, sums[0]);
  }
}

template <class V>
inline void put_levels(std::int16_t* p, Ints n) {
  const HalfShorts half = V::shorts(n);
  __builtin_memcpy(p, &half, sizeof half);
}
template <class V>
inline void put_levels(std::int32_t* p, Ints n) {
  store(p, n);
}

// Probabilities whose levels, up to 2²⁰, surely add up within 32 bits.
constexpr std::size_t kSummed = 1024;

// Levels of the probabilities of one row, zeros up to `padded`; returns their sum.
template <class V, class Level>
inline std::int64_t probabilities(const AttendTask& task, const std::int32_t* scores,
                                  const float* bias, std::size_t visible, std::size_t padded,
                                  float* work, Level* levels) {
  const Floats scale = all(task.scale);
  const Floats none = all(-__builtin_inff());
  const auto seen = [visible](std::size_t from) {
    return lanes() < all(static_cast<std::int32_t>(visible) - static_cast<std::int32_t>(from));
  };
  Floats top = none;
  for (std::size_t i = 0; i < padded; i += kLanes) {
    Floats s = __builtin_convertvector(load(scores + i), Floats) * scale;
    s = bias == nullptr ? s : s + load(bias + i);
    s = i + kLanes > visible ? (seen(i) ? s : none) : s;
    store(work + i, s);
    top = s > top ? s : top;
  }
  const Floats m = all(V::largest(top));
  const Floats highest = all(static_cast<float>(task.highest));
  Ints sums{};
  std::int64_t total = 0;
  for (std::size_t from = 0; from < padded; from += kLanes) {
    const Floats e = exponential(load(work + from) - m);
    const Floats u = e * all(task.inverse) + all(0.5F);  // above 0: what is cut off is the floor
    Ints n = __builtin_convertvector(u > highest ? highest : u, Ints);
    n = from + kLanes > visible ? n & seen(from) : n;
    sums += n;
    if (from % kSummed == kSummed - kLanes) {
      total += V::total(sums);
      sums = Ints{};
    }
    put_levels<V>(levels + from, n);
  }
  return total + V::total(sums);
}

template <class V, int Rows, class Element, class Level>
void attend_rows(AttendTask& task) {
  std::size_t visible = 0;
  const Level* rows[Rows];
  for (int r = 0; r < Rows; ++r) {
    visible = task.visible[r] > visible ? task.visible[r] : visible;
    rows[r] = static_cast<const Level*>(task.queries[r]);
  }
  const std::size_t padded = (visible + 15) / 16 * 16;
  const std::size_t pairs = (task.size + 1) / 2;
  const auto* keys = static_cast<const Element*>(task.keys);
  each_panel<V, Rows>(
      keys, 2 * kPanel * pairs, rows, pairs, padded / kPanel,
      [&](std::size_t panel, const typename V::Sums* sums) {
        for (int r = 0; r < Rows; ++r) {
          V::write(task.scores + static_cast<std::size_t>(r) * task.stride + panel * kPanel,
                   sums[r]);
        }
      });
  for (int r = 0; r < Rows; ++r) {
    const std::size_t at = static_cast<std::size_t>(r) * task.stride;
    auto* levels = static_cast<Level*>(task.probabilities) + at;
    // The scores' own memory holds the reals: each eight is read before it is written.
    auto* work = reinterpret_cast<float*>(task.scores + at);
    task.sums[r] = probabilities<V>(task, task.scores + at, task.biases[r], task.visible[r], padded,
                                    work, levels);
    rows[r] = levels;
  }
  const auto* values = static_cast<const Element*>(task.values);
  const auto write = [&](std::size_t panel, const typename V::Sums* sums) {
    const std::size_t c = panel * kPanel;
    for (int r = 0; r < Rows; ++r) {
      const float divisor = task.threshold / static_cast<float>(task.sums[r]);
      const typename V::Reals y = V::times(V::to_reals(sums[r]), V::all(divisor));
      if (c + kPanel <= task.size) {
        V::write(task.out[r] + c, y);
      } else {
        float last[kPanel];
        V::write(last, y);
        for (std::size_t i = c; i < task.size; ++i) {
          task.out[r][i] = last[i - c];
        }
      }
    }
  };
  each_panel<V, Rows>(values, task.values_stride, rows, padded / 2, (task.size + 15) / kPanel,
                      write);
}

template <class V, class Element, class Level>
void attend_as(AttendTask& task) {
  switch (task.rows) {
    case 1: return attend_rows<V, 1, Element, Level>(task);
    case 2: return attend_rows<V, 2, Element, Level>(task);
    case 3: return attend_rows<V, 3, Element, Level>(task);
    default: return attend_rows<V, 4, Element, Level>(task);
  }
}

// Levels beyond 16 bits: exact, and not worth a kernel for each instruction set.
struct Wide : PlainDigits {
  static constexpr std::size_t panels = 1;
  struct Sums {
    std::uint32_t v[kPanel];
  };
  struct Reals {
    float v[kPanel];
  };
  struct Pairs {
    std::uint32_t v[2 * kPanel];
  };
  static Sums none() { return {}; }
  template <class Element>
  static Pairs pairs(const Element* p) {
    Pairs w;
    for (std::size_t i = 0; i < 2 * kPanel; ++i) {
      w.v[i] = static_cast<std::uint32_t>(static_cast<std::int32_t>(p[i]));
    }
    return w;
  }
  static Sums multiply_pairs(Sums sums, const Pairs& w, const std::int32_t* pair) {
    const auto a = static_cast<std::uint32_t>(pair[0]);
    const auto b = static_cast<std::uint32_t>(pair[1]);
    for (std::size_t i = 0; i < kPanel; ++i) {
      sums.v[i] += w.v[2 * i] * a + w.v[2 * i + 1] * b;
    }
    return sums;
  }
  static Reals to_reals(const Sums& sums) {
    Reals y;
    for (std::size_t i = 0; i < kPanel; ++i) {
      y.v[i] = static_cast<float>(static_cast<std::int32_t>(sums.v[i]));
    }
    return y;
  }
  static Reals all(float x) {
    Reals y;
    for (float& v : y.v) {
      v = x;
    }
    return y;
  }
  static Reals times(Reals a, const Reals& b) {
    for (std::size_t i = 0; i < kPanel; ++i) {
      a.v[i] *= b.v[i];
    }
    return a;
  }
  static void write(float* p, const Reals& y) { __builtin_memcpy(p, &y, sizeof y); }
  static void write(std::int32_t* p, const Sums& sums) { __builtin_memcpy(p, &sums, sizeof sums); }
};

template <class V>
void attend(AttendTask& task) {
  switch (task.element) {
    case 1:
      return task.wide ? attend_as<Wide, std::int8_t, std::int32_t>(task)
                       : attend_as<V, std::int8_t, std::int16_t>(task);
    case 2:
      return task.wide ? attend_as<Wide, std::int16_t, std::int32_t>(task)
                       : attend_as<V, std::int16_t, std::int16_t>(task);
    default: return attend_as<Wide, std::int32_t, std::int32_t>(task);
  }
}
