// Plastic synapses of one source, sixteen at a time; plasticity.hpp says what happens to them.
// Included once in each file of kernels, after lanes.inl.

inline bool any(Mask mask) { return bits(mask) != 0; }

struct Synapses {
  Natural where;
  Real weight;
};

inline Synapses apart(const WideSynapse* from) {
  Natural a;
  Natural b;
  __builtin_memcpy(&a, from, sizeof a);
  __builtin_memcpy(&b, from + kLanes / 2, sizeof b);
  return {__builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30),
          as<Real>(__builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27,
                                           29, 31))};
}

inline void together(const Synapses& s, WideSynapse* to) {
  const auto weight = as<Natural>(s.weight);
  const Natural a = __builtin_shufflevector(s.where, weight, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5,
                                            21, 6, 22, 7, 23);
  const Natural b = __builtin_shufflevector(s.where, weight, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28,
                                            13, 29, 14, 30, 15, 31);
  __builtin_memcpy(to, &a, sizeof a);
  __builtin_memcpy(to + kLanes / 2, &b, sizeof b);
}

// One word of each lane, `index` words behind `base`.
inline Natural gather(const void* base, Natural index) {
#if defined(__AVX512F__)
  return as<Natural>(_mm512_i32gather_epi32(as<__m512i>(index), base, 4));
#elif defined(__AVX2__)
  __m256i half[2];
  __builtin_memcpy(half, &index, sizeof half);
  for (__m256i& h : half) {
    h = _mm256_i32gather_epi32(static_cast<const int*>(base), h, 4);
  }
  Natural found;
  __builtin_memcpy(&found, half, sizeof found);
  return found;
#else
  Natural found;
  for (std::size_t i = 0; i < kLanes; ++i) {
    found[i] = static_cast<const std::uint32_t*>(base)[index[i]];
  }
  return found;
#endif
}

// `steps` is not negative.
inline Real decayed(const Decay& decay, Whole steps) {
  const auto last = static_cast<std::int32_t>(decay.size() - 1);
  return as<Real>(gather(decay.data(), as<Natural>(steps < last ? steps : all(last))));
}

// What is done to the synapses of one source.
class Learning {
 public:
  Learning(const Plastic& p, const Sources::Source& source)
      : p_(p),
        history_(p.history.data()),
        from_(static_cast<std::int32_t>(source.done)),
        to_(static_cast<std::int32_t>(p.now)),
        last_(static_cast<std::int32_t>(source.last)),
        trace_(source.trace),
        slow_(p.rule.slow_rise != 0.0F),
        silent_(source.last == 0 && p.rule.loss == 0.0F) {}

  // Where each synapse's target has its history, in words, and its delay.
  void look(Natural where) {
    const Bits bits = p_.bits;
    at_ = (where & ((1U << bits.target) - 1)) * History::kWords;
    delay_ = as<Whole>(where >> bits.target) + 1;
  }

  // Calls change(live, reached, by) for the targets' spikes that reach the synapses after step
  // `from` and up to `to`, in order: which synapses, when, and what the source's trace brings.
  template <class Change>
  void each_reached(const Change& change) const {
    Whole reached[History::kKept];
    std::uint32_t count = 0;
    while (count < History::kKept) {
      reached[count] = reached_by(count);
      if (!any(reached[count] > from_)) {
        break;
      }
      ++count;
    }
    while (!silent_ && count > 0) {
      --count;
      const Mask live = (reached[count] > from_) & (reached[count] <= to_);
      const Whole passed = live ? reached[count] - last_ : Whole{};
      Real by = all(p_.rule.rise);
      if (slow_) {
        by += as<Real>(word(count, History::kSlow)) * p_.rule.slow_rise;
      }
      change(live, reached[count], by * (decayed(p_.rule.plus, passed) * trace_));
    }
  }

  Real risen(Real weight) const {
    const Stdp& rule = p_.rule;
    each_reached([&](Mask live, Whole, Real by) {
      if (rule.scaled_rise) {
        by = by * (1.0F - weight / rule.largest);
      }
      Real changed = weight + by;
      if (rule.loss != 0.0F) {
        changed =
            changed - (rule.scaled_loss ? weight * (rule.loss / rule.largest) : all(rule.loss));
        changed = most(changed, Real{});
      }
      weight = live ? least(changed, all(rule.largest)) : weight;
    });
    return weight;
  }

  // The targets' traces at step `to`.
  Real behind() const {
    Whole reached = reached_by(0);
    Natural trace = word(0, History::kTrace);
    Mask open = reached >= to_;
    for (std::uint32_t k = 1; any(open) && k < History::kKept; ++k) {
      reached = open ? reached_by(k) : reached;
      trace = open ? word(k, History::kTrace) : trace;
      open = reached >= to_;
    }
    return as<Real>(trace) * decayed(p_.rule.minus, to_ - reached);
  }

  // Applies what a spike of the source does, times `by`, at step `to`.
  Real fallen(Real weight, float by) const {
    Real less = behind() * by;
    if (p_.rule.scaled_fall) {
      less = less * (weight / p_.rule.largest);
    }
    return most(weight - less, Real{});
  }

 private:
  [[nodiscard]] Natural word(std::uint32_t spike, std::uint32_t which) const {
    return gather(history_, at_ + (spike * History::kWordsOfSpike + which));
  }
  [[nodiscard]] Whole reached_by(std::uint32_t spike) const {
    return as<Whole>(word(spike, History::kStep)) + delay_;
  }

  const Plastic& p_;
  const std::uint32_t* history_;
  std::int32_t from_;
  std::int32_t to_;
  std::int32_t last_;
  float trace_;
  bool slow_;
  bool silent_;  // nothing happens before its first spike
  Natural at_{};
  Whole delay_{};
};

// Calls change(synapses, how many) for a row, and writes the weights back.
template <class Change>
void each_plastic(const Rows& rows, std::uint32_t source, const Change& change) {
  WideSynapse* s = rows.wide() + rows.begins[source];
  std::size_t left = rows.begins[source + 1] - rows.begins[source];
  for (; left >= kLanes; left -= kLanes, s += kLanes) {
    Synapses found = apart(s);
    change(found, kLanes);
    together(found, s);
  }
  if (left > 0) {
    WideSynapse rest[kLanes] = {};
    __builtin_memcpy(rest, s, left * sizeof *s);
    Synapses found = apart(rest);
    change(found, left);
    together(found, rest);
    __builtin_memcpy(s, rest, left * sizeof *s);
  }
}

std::uint64_t deliver_plastic(const Plastic& p, float* ring) {
  const std::uint32_t base = p.bits.base(p.now);
  const std::uint32_t mask = p.bits.mask();
  const Stdp& rule = p.rule;
  std::uint64_t events = 0;
  for (std::size_t k = 0; k < p.spikes.size(); ++k) {
    if (k + 2 < p.spikes.size()) {
      const auto* ahead =
          reinterpret_cast<const std::byte*>(p.rows.wide() + p.rows.begins[p.spikes[k + 2]]);
      for (std::size_t line = 0; line < 8; ++line) {
        __builtin_prefetch(ahead + line * kLine, 1);
      }
    }
    Sources::Source& source = p.sources.of[p.spikes[k]];
    const std::uint32_t passed = p.now - source.last;
    const float slow = source.last == 0 ? 0.0F : source.slow * rule.slow_plus(passed);
    const float by = rule.fall + rule.slow_fall * slow;
    Learning learning(p, source);
    each_plastic(p.rows, p.spikes[k], [&](Synapses& s, std::size_t count) {
      learning.look(s.where);
      s.weight = learning.fallen(learning.risen(s.weight), by);
      alignas(kLine) std::uint32_t places[kLanes];
      alignas(kLine) float weights[kLanes];
      const Natural place = (s.where + base) & mask;
      __builtin_memcpy(places, &place, sizeof places);
      __builtin_memcpy(weights, &s.weight, sizeof weights);
      for (std::size_t i = 0; i < count; ++i) {
        ring[places[i]] += weights[i];
      }
    });
    events += p.rows.begins[p.spikes[k] + 1] - p.rows.begins[p.spikes[k]];
    source.trace = source.last == 0 ? 1.0F : source.trace * rule.plus(passed) + 1.0F;
    source.slow = slow + 1.0F;
    source.last = p.now;
    source.done = p.now;
  }
  return events;
}

void sweep(const Plastic& p) {
  for (std::uint32_t i = 0; i < p.sources.of.size(); ++i) {
    Sources::Source& source = p.sources.of[i];
    Learning learning(p, source);
    each_plastic(p.rows, i, [&](Synapses& s, std::size_t) {
      learning.look(s.where);
      s.weight = learning.risen(s.weight);
    });
    source.done = p.now;
  }
}
