// One step of cells of many compartments. Included once in each file of kernels, after lanes.inl.

using Double = double __attribute__((vector_size(64)));
using Long = std::int64_t __attribute__((vector_size(64)));

inline Double load_double(const double* p) {
  Double v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
inline void store_double(double* p, Double v) { __builtin_memcpy(p, &v, sizeof v); }

// How much of a reaction one series takes, and how long that is: what is left out is below 1e-12.
constexpr double kPart = 0.5;
constexpr std::uint32_t kOrders = 10;

// mM; what additions round leaves less.
constexpr double kNothing = 1e-12;

// Added to what decays, so that it never gets so small that machines are slow with it.
constexpr double kTiny = 1e-150;

// What a row of a block is: one cell, or kDoubles.
template <std::size_t kWidth>
struct Row {
  using Type = Double;
  static Double load(const double* p) { return load_double(p); }
  static void store(double* p, Double v) { store_double(p, v); }
  static Double spread(const double* p, std::size_t at) { return Double{} + p[at / kDoubles]; }
};
template <>
struct Row<1> {
  using Type = double;
  static double load(const double* p) { return *p; }
  static void store(double* p, double v) { *p = v; }
  static Double spread(const double* p, std::size_t at) { return load_double(p + at); }
};

// e^x to 4e-13, clamped at ±700.
inline Double exponential(Double x) {
  constexpr double kRound = 0x1.8p52;  // what is added leaves whole numbers in the low bits
  const Double most = Double{} + 700.0;
  const Double low = x < -most ? -most : x;
  const Double b = low > most ? most : low;
  const Double shifted = b * 1.4426950408889634 + kRound;
  const Double k = shifted - kRound;
  const Double r = (b - k * 0x1.62e42fefap-1) - k * 0x1.cf79abc9e3b3ap-40;
  Double p = r * (1.0 / 3628800.0) + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  return p * as<Double>((as<Long>(shifted) + 1023) << 52);
}

template <Course kCourse>
inline Double rate(const Rate& r, Double v) {
  const Double x = (v - r.middle) * r.slope;
  if constexpr (kCourse == Course::kExponential) {
    return exponential(x) * r.amplitude;
  } else if constexpr (kCourse == Course::kSigmoid) {
    return r.amplitude / (exponential(-x) + 1.0);
  } else {
    const Double size = x < 0.0 ? -x : x;
    // x/(1 − e^−x) near 0, to 1e-13.
    const Double series = 1.0 + x * 0.5 + x * x * (1.0 / 12.0) - x * x * x * x * (1.0 / 720.0);
    const Double y = size < 0.01 ? series : x / (1.0 - exponential(-x));
    return y * r.amplitude;
  }
}

// Lets a gate relax for a step at V; exact while V stands.
template <Course kForward, Course kBackward>
void relax(const Gate& gate, const double* v, double* x, std::size_t count, double step) {
  for (std::size_t i = 0; i < count; i += kDoubles) {
    const Double u = load_double(v + i);
    const Double forward = rate<kForward>(gate.forward, u);
    const Double sum = forward + rate<kBackward>(gate.backward, u);
    const Double end = forward / sum;
    store_double(x + i, end + (load_double(x + i) - end) * exponential(sum * -step));
  }
}
template <Course kForward>
void relax(const Gate& gate, const double* v, double* x, std::size_t count, double step) {
  switch (gate.backward.course) {
    case Course::kExponential:
      return relax<kForward, Course::kExponential>(gate, v, x, count, step);
    case Course::kSigmoid: return relax<kForward, Course::kSigmoid>(gate, v, x, count, step);
    case Course::kLinear: return relax<kForward, Course::kLinear>(gate, v, x, count, step);
  }
}
inline void relax(const Gate& gate, const double* v, double* x, std::size_t count, double step) {
  switch (gate.forward.course) {
    case Course::kExponential: return relax<Course::kExponential>(gate, v, x, count, step);
    case Course::kSigmoid: return relax<Course::kSigmoid>(gate, v, x, count, step);
    case Course::kLinear: return relax<Course::kLinear>(gate, v, x, count, step);
  }
}

// One block of cells: rows of kWidth.
template <std::size_t kWidth>
struct Block {
  using R = Row<kWidth>;
  using T = typename R::Type;

  const CellView& cell;
  double* states;
  double* diagonal;  // then its inverse
  double* right;     // then V at the solution
  double* shared;    // of a channel: V, or conductances
  const CellAdvance& advance;
  std::uint32_t first;  // cell

  static T row(const double* p, std::size_t at) { return R::load(p + at * kWidth); }
  static void put(double* p, std::size_t at, T v) { R::store(p + at * kWidth, v); }
  static void add(double* p, std::size_t at, T v) { put(p, at, row(p, at) + v); }

  void begin() const {
    for (std::size_t i = 0; i < cell.nodes; ++i) {
      put(diagonal, i, T{} + cell.diagonal[i]);
      put(right, i, row(states, i) * cell.inertia[i] + cell.leak[i]);
    }
  }

  void conduct(const Channel& channel) const {
    for (std::size_t i = 0; i < channel.count * kWidth; i += kDoubles) {
      Double g = R::spread(channel.conductance, i);
      for (std::size_t k = 0; k < channel.gate_count; ++k) {
        const Gate& gate = channel.gates[k];
        const Double x = load_double(states + gate.at * kWidth + i);
        Double power = x;
        for (std::uint32_t n = 1; n < gate.power; ++n) {
          power *= x;
        }
        g *= power;
      }
      store_double(shared + i, g);
    }
    for (std::size_t k = 0; k < channel.count; ++k) {
      const std::size_t node = channel.nodes[k];
      const T g = row(shared, k);
      add(diagonal, node, g);
      add(right, node, g * channel.reversal);
    }
  }

  void relax_gates(const Channel& channel) const {
    const double* v = states + channel.nodes[0] * kWidth;
    if (!channel.adjacent) {
      for (std::size_t k = 0; k < channel.count; ++k) {
        put(shared, k, row(states, channel.nodes[k]));
      }
      v = shared;
    }
    for (std::size_t k = 0; k < channel.gate_count; ++k) {
      const Gate& gate = channel.gates[k];
      relax(gate, v, states + gate.at * kWidth, channel.count * kWidth, cell.step);
    }
  }

  // `arriving`: of the row's cells, in this step.
  void act(const Site& site, std::uint32_t index, T arriving) const {
    if (site.vesicles != nullptr && largest(arriving) > 0) {
      arriving = release(*site.vesicles, site.at + site.rows() - Vesicles::kRows, index, arriving);
    }
    if (site.rows() == 0) {
      add(right, site.node, arriving);
      return;
    }
    T g{};
    if (site.scheme != nullptr) {
      g = bind(*site.scheme, site.at, arriving);
    }
    for (std::size_t k = 0; k < site.exponentials; ++k) {
      const T half = row(states, site.at + k) * site.decay[k];
      g += half * site.gain[k];
      put(states, site.at + k, half * site.decay[k] + arriving + kTiny);
    }
    if (site.block > 0) {
      const std::size_t before = site.at + site.rows();
      const T v = row(states, site.node);
      const T ahead = v * 1.5 - row(states, before) * 0.5;
      put(states, before, v);
      g /= unblocked(ahead * -site.slope) * site.block + 1.0;
    }
    add(diagonal, site.node, g);
    add(right, site.node, g * site.reversal);
  }

  // What vesicles let through of what arrives.
  T release(const Vesicles& v, std::size_t at, std::uint32_t index, T arriving) const {
    const double now = static_cast<double>(advance.step + 1) * cell.step;
    for (std::size_t i = 0; i < kWidth; ++i) {
      const double weight = lane(arriving, i);
      if (!(weight > 0)) {
        continue;
      }
      double* held = states + at * kWidth + i;
      double& there = held[0];
      double& u = held[kWidth];
      double& last = held[2 * kWidth];
      const double wait = now - last;
      const double back = last < 0 ? 0 : 1.0 - one(-wait / v.recovery);
      const double kept = last < 0 || v.facilitation == 0 ? 0 : u * one(-wait / v.facilitation);
      u = kept + v.use * (1.0 - kept);
      last = now;
      double gone = 0;
      if (v.quantal) {
        std::uint32_t words[2 * Vesicles::kMost];
        draw(first + static_cast<std::uint32_t>(i), index, words);
        there += below(words, v.count - there, back);
        gone = below(words + Vesicles::kMost, there, u);
      } else {
        there += (v.count - there) * back;
        gone = there * u;
      }
      there -= gone;
      set_lane(arriving, i, weight * gone / v.count);
    }
    return arriving;
  }
  // Words of a site of a cell in this step.
  void draw(std::uint32_t which, std::uint32_t site, std::uint32_t* to) const {
    constexpr Natural kIndex = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const Draws draws = philox(kIndex | site << 4, which, static_cast<std::uint32_t>(advance.step),
                               static_cast<std::uint32_t>(Purpose::kRelease) | advance.stream << 8,
                               advance.seed ^ advance.step >> 32);
    __builtin_memcpy(to, draws.word, sizeof draws.word);
  }
  // How many of `count` words are below the probability `p`.
  static double below(const std::uint32_t* words, double count, double p) {
    double found = 0;
    for (std::uint32_t k = 0; k < count; ++k) {
      found += words[k] * 0x1p-32 < p ? 1.0 : 0.0;
    }
    return found;
  }
  static double one(double x) { return exponential(Double{} + x)[0]; }
  static double lane(Double x, std::size_t i) { return x[i]; }
  static double lane(double x, std::size_t) { return x; }
  static void set_lane(Double& x, std::size_t i, double v) { x[i] = v; }
  static void set_lane(double& x, std::size_t, double v) { x = v; }

  // Takes a scheme's states over a step; its conductance in the middle.
  T bind(const Scheme& scheme, std::size_t at, T arriving) const {
    const std::size_t n = scheme.states;
    const std::size_t cleft = at + n;
    const T transmitter = row(states, cleft);
    T p[Scheme::kStates];
    for (std::size_t k = 0; k < n; ++k) {
      p[k] = row(states, at + k);
    }
    react(scheme, transmitter, p);
    T open{};
    for (std::size_t k = 0; k < n; ++k) {
      open += p[k] * scheme.share[k];
    }
    if (scheme.power > 0) {
      T much = open;
      for (std::uint32_t k = 1; k < scheme.power; ++k) {
        much *= open;
      }
      open = much / (much + scheme.half);
    }
    react(scheme, transmitter, p);
    for (std::size_t k = 0; k < n; ++k) {
      put(states, at + k, p[k] + kTiny);
    }
    // What came `pulse` steps ago is gone.
    const std::size_t slot = cleft + 1 + advance.step % scheme.pulse;
    const T more = arriving * scheme.amount;
    const T left = transmitter + more - row(states, slot);
    put(states, cleft, left > kNothing ? left : T{});
    put(states, slot, more);
    return open * scheme.conductance;
  }

  // Half a step: p = e^(free + T·bound) p, by Taylor's series in parts of which each is short.
  static void react(const Scheme& scheme, T transmitter, T* p) {
    const std::size_t n = scheme.states;
    T sum[Scheme::kStates];
    const double most = largest(transmitter);
    if (most == 0) {
      product(scheme.decay, n, p, sum);
      for (std::size_t k = 0; k < n; ++k) {
        p[k] = sum[k];
      }
      return;
    }
    const double size = scheme.size + most * scheme.bound_size;
    const auto parts = static_cast<std::uint32_t>(size / kPart) + 1;
    const double part = 1.0 / parts;
    T term[Scheme::kStates];
    T free[Scheme::kStates];
    T bound[Scheme::kStates];
    for (std::uint32_t i = 0; i < parts; ++i) {
      for (std::size_t k = 0; k < n; ++k) {
        term[k] = sum[k] = p[k];
      }
      for (std::uint32_t order = 1; order <= kOrders; ++order) {
        product(scheme.free, n, term, free);
        product(scheme.bound, n, term, bound);
        const double factor = part / order;
        for (std::size_t k = 0; k < n; ++k) {
          term[k] = (free[k] + transmitter * bound[k]) * factor;
          sum[k] += term[k];
        }
      }
      for (std::size_t k = 0; k < n; ++k) {
        p[k] = sum[k];
      }
    }
  }
  static void product(const double* matrix, std::size_t n, const T* p, T* to) {
    for (std::size_t r = 0; r < n; ++r) {
      T total{};
      for (std::size_t c = 0; c < n; ++c) {
        total += p[c] * matrix[r * n + c];
      }
      to[r] = total;
    }
  }
  static double largest(Double x) {
    double most = 0;
    for (std::size_t i = 0; i < kDoubles; ++i) {
      most = x[i] > most ? x[i] : most;
    }
    return most;
  }
  static double largest(double x) { return x > 0 ? x : 0; }

  static Double unblocked(Double x) { return exponential(x); }
  static double unblocked(double x) { return one(x); }

  // Hines's elimination; leaves V at the solution in `right`.
  void solve() const {
    for (std::size_t i = cell.nodes - 1; i > 0; --i) {
      const std::size_t parent = cell.parents[i];
      const T inverse = 1.0 / row(diagonal, i);
      const T share = inverse * cell.axial[i];
      put(diagonal, i, inverse);
      put(diagonal, parent, row(diagonal, parent) - share * cell.axial[i]);
      put(right, parent, row(right, parent) + share * row(right, i));
    }
    put(right, 0, row(right, 0) / row(diagonal, 0));
    for (std::size_t i = 1; i < cell.nodes; ++i) {
      const T from = row(right, cell.parents[i]) * cell.axial[i];
      put(right, i, (row(right, i) + from) * row(diagonal, i));
    }
  }

  // Moves V on, and returns what is not 0 where it is no longer finite.
  T move() const {
    T bad{};
    for (std::size_t i = 0; i < cell.nodes; ++i) {
      const T at = row(right, i);
      const T v = cell.middle ? at * 2.0 - row(states, i) : at;
      put(states, i, v);
      bad += v - v;
    }
    return bad;
  }
};

inline Double arrived(float* input, Double) {
  float held[kDoubles];
  __builtin_memcpy(held, input, sizeof held);
  Double v{};
  for (std::size_t i = 0; i < kDoubles; ++i) {
    v[i] = double{held[i]};
    input[i] = 0;
  }
  return v;
}
inline double arrived(float* input, double) {
  const double v = double{*input};
  *input = 0;
  return v;
}

inline std::uint32_t crossed(Double before, Double now, double threshold) {
  std::uint32_t found = 0;
  for (std::uint32_t i = 0; i < kDoubles; ++i) {
    found |= static_cast<std::uint32_t>(before[i] < threshold && now[i] >= threshold) << i;
  }
  return found;
}
inline std::uint32_t crossed(double before, double now, double threshold) {
  return static_cast<std::uint32_t>(before < threshold && now >= threshold);
}
inline bool finite(Double sum) {
  double all = 0;
  for (std::size_t i = 0; i < kDoubles; ++i) {
    all += sum[i];
  }
  return all == 0;
}
inline bool finite(double sum) { return sum == 0; }

template <std::size_t kWidth>
bool advance_blocks(const CellAdvance& a) {
  const CellView& cell = *a.cell;
  using B = Block<kWidth>;
  using T = typename B::T;
  const std::size_t room = (round_up(cell.nodes, kDoubles) + kDoubles) * kWidth;
  bool good = true;
  for (std::size_t at = 0; at < a.count; at += kWidth) {
    const B block{cell,
                  a.states + at / kWidth * cell.block,
                  a.scratch,
                  a.scratch + room,
                  a.scratch + 2 * room,
                  a,
                  a.first + static_cast<std::uint32_t>(at)};
    block.begin();
    for (std::size_t k = 0; k < cell.channel_count; ++k) {
      block.conduct(cell.channels[k]);
    }
    for (std::size_t k = 0; k < cell.site_count; ++k) {
      const bool reached = a.inputs[k] != nullptr;
      if (reached) {
        block.act(cell.sites[k], static_cast<std::uint32_t>(k), arrived(a.inputs[k] + at, T{}));
      }
    }
    block.solve();
    const T before = B::row(block.states, cell.detector);
    good = finite(block.move()) && good;
    for (std::size_t k = 0; k < cell.channel_count; ++k) {
      block.relax_gates(cell.channels[k]);
    }
    const std::uint32_t fired =
        crossed(before, B::row(block.states, cell.detector), cell.threshold);
    a.fired[at / kLanes] = static_cast<std::uint16_t>(
        (at % kLanes == 0 ? 0U : a.fired[at / kLanes]) | fired << at % kLanes);
  }
  return good;
}

bool advance_cells(const CellAdvance& a) {
  return a.width == 1 ? advance_blocks<1>(a) : advance_blocks<kDoubles>(a);
}
