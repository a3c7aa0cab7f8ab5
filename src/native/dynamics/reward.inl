// Synapses that a modulator changes, sixteen at a time; plasticity.hpp says how. Included once in
// each file of kernels, after plasticity.inl.

// Calls change(synapses, marks, steps, how many) for a row, and writes all back.
template <class Change>
void each_marked(const Rewarded& r, std::uint32_t source, const Change& change) {
  const Rows& rows = r.plastic.rows;
  for (std::size_t at = rows.begins[source]; at < rows.begins[source + 1]; at += kLanes) {
    const std::size_t left = rows.begins[source + 1] - at;
    const std::size_t count = left < kLanes ? left : kLanes;
    WideSynapse row[kLanes] = {};
    Real value{};
    Natural step{};
    __builtin_memcpy(row, rows.wide() + at, count * sizeof *row);
    __builtin_memcpy(&value, r.marks.values.as<float>() + at, count * sizeof(float));
    __builtin_memcpy(&step, r.marks.steps.as<std::uint32_t>() + at, count * sizeof(std::uint32_t));
    Synapses found = apart(row);
    change(found, value, step, count);
    together(found, row);
    __builtin_memcpy(rows.wide() + at, row, count * sizeof *row);
    __builtin_memcpy(r.marks.values.as<float>() + at, &value, count * sizeof(float));
    __builtin_memcpy(r.marks.steps.as<std::uint32_t>() + at, &step, count * sizeof(std::uint32_t));
  }
}

inline Real faded(const Rewarded& r, Real value, Natural since, Whole until) {
  return value * decayed(r.reward.fade, until - as<Whole>(since));
}

// Applies what the targets' spikes did to marks; those that came when nothing was left of the
// source's trace did nothing, not even to rounding.
inline void mark_risen(const Rewarded& r, const Learning& learning, Real& value, Natural& step) {
  learning.each_reached([&](Mask live, Whole reached, Real by) {
    live = live & (by != 0.0F);
    const Real changed = faded(r, value, step, live ? reached : as<Whole>(step)) + by;
    value = live ? changed : value;
    step = live ? as<Natural>(reached) : step;
  });
}

std::uint64_t deliver_rewarded(const Rewarded& r, float* ring) {
  const Plastic& p = r.plastic;
  const std::uint32_t base = p.bits.base(p.now);
  const std::uint32_t mask = p.bits.mask();
  std::uint64_t events = 0;
  for (const std::uint32_t i : p.spikes) {
    Sources::Source& source = p.sources.of[i];
    Learning learning(p, source);
    each_marked(r, i, [&](Synapses& s, Real& value, Natural& step, std::size_t count) {
      learning.look(s.where);
      mark_risen(r, learning, value, step);
      value = faded(r, value, step, all(static_cast<std::int32_t>(p.now)));
      value = value - learning.behind() * p.rule.fall;
      step = Natural{} + p.now;
      for (std::size_t k = 0; k < count; ++k) {
        ring[(s.where[k] + base) & mask] += s.weight[k];
      }
    });
    events += p.rows.begins[i + 1] - p.rows.begins[i];
    source.trace = source.last == 0 ? 1.0F : source.trace * p.rule.plus(p.now - source.last) + 1.0F;
    source.last = p.now;
    source.done = p.now;
  }
  return events;
}

void pay(const Rewarded& r, float amount) {
  const Plastic& p = r.plastic;
  for (std::uint32_t i = 0; i < p.sources.of.size(); ++i) {
    Sources::Source& source = p.sources.of[i];
    if (source.last == 0) {
      continue;  // nothing is marked
    }
    const bool over = source.done - source.last >= p.rule.plus.size();  // for its trace
    if (over && amount == 0.0F) {
      continue;
    }
    Learning learning(p, source);
    each_marked(r, i, [&](Synapses& s, Real& value, Natural& step, std::size_t) {
      if (!over) {
        learning.look(s.where);
        mark_risen(r, learning, value, step);
      }
      if (amount != 0.0F) {
        const Real mark = faded(r, value, step, all(static_cast<std::int32_t>(p.now)));
        s.weight =
            least(most(s.weight + mark * amount, all(r.reward.least)), all(r.reward.largest));
      }
    });
    source.done = p.now;
  }
}
