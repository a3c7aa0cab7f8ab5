// Adding the rows of spikes to the inputs of a shard. Included once in each file of kernels.

// How many spikes ahead rows are fetched: their places first, then their lines.
constexpr std::size_t kPlaces = 16;
constexpr std::size_t kLines = 4;
constexpr std::ptrdiff_t kAhead = 512;  // bytes of a row; the machine follows from there

// Always inlined: GCC takes a function that only fetches ahead for one without effect, and drops
// calls. `kOnce`: what is fetched is not wanted again soon, and leaves the caches to the ring.
template <class Synapse, bool kOnce>
[[gnu::always_inline]] inline void fetch(const Delivery& d, std::size_t i) {
  const Rows& rows = d.rows;
  if (i + kPlaces < d.spikes.size()) {
    __builtin_prefetch(&rows.begins[rows.row(d.spikes[i + kPlaces], d.phase)]);
  }
  if (i + kLines < d.spikes.size()) {
    const std::size_t row = rows.row(d.spikes[i + kLines], d.phase);
    const std::byte* at = rows.synapses + rows.begins[row] * sizeof(Synapse);
    const std::byte* end = rows.synapses + rows.begins[row + 1] * sizeof(Synapse);
    end = end - at > kAhead ? at + kAhead : end;
    for (; at < end; at += kLine) {
      __builtin_prefetch(at, 0, kOnce ? 0 : 3);
    }
  }
}

// Calls add(first, last, share) for the row of every spike, and returns how many synapses that was.
template <class Synapse, bool kOnce, class Add>
std::uint64_t each(const Delivery& d, const Add& add) {
  std::uint64_t events = 0;
  const Rows& rows = d.rows;
  const std::span<const std::uint32_t> spikes = d.spikes;
  const float* const shares = d.shares;
  const auto* synapses = reinterpret_cast<const Synapse*>(rows.synapses);
  for (std::size_t i = 0; i < spikes.size(); ++i) {
    fetch<Synapse, kOnce>(d, i);
    const std::size_t row = rows.row(spikes[i], d.phase);
    const std::uint32_t begin = rows.begins[row];
    const std::uint32_t end = rows.begins[row + 1];
    events += end - begin;
    add(synapses + begin, synapses + end, shares == nullptr ? 1.0F : shares[i]);
  }
  return events;
}

// Calls add(synapse, share) for every synapse of the rows of `spikes`.
template <class Synapse, class Add>
std::uint64_t each_synapse(const Delivery& d, const Add& add) {
  const auto row = [&](const Synapse* s, const Synapse* last, float share) {
#pragma GCC unroll 8
    for (; s != last; ++s) {
      add(*s, share);
    }
  };
  // Where delays are cut into phases the network is larger than any cache.
  return d.rows.phases > 1 ? each<Synapse, true>(d, row) : each<Synapse, false>(d, row);
}

std::uint64_t deliver_compact(const Delivery& d, float* ring) {
  const std::uint32_t base = d.bits.base(d.now);
  const std::uint32_t mask = d.bits.mask();
  const unsigned where = d.bits.where();
  const float unit = d.unit;
  return each_synapse<std::uint32_t>(d, [=](std::uint32_t s, float share) {
    ring[(s + base) & mask] +=
        static_cast<float>(static_cast<std::int32_t>(s) >> where) * (unit * share);
  });
}

std::uint64_t deliver_wide(const Delivery& d, float* ring) {
  const std::uint32_t base = d.bits.base(d.now);
  const std::uint32_t mask = d.bits.mask();
  return each_synapse<WideSynapse>(d, [=](const WideSynapse& s, float share) {
    ring[(s.where + base) & mask] += s.weight * share;
  });
}

// Places and weights of sixteen synapses are worked out in vectors, then added one by one.
template <class Weigh>
std::uint64_t add_integers(const Delivery& d, std::int32_t* ring, const Weigh& weigh) {
  const std::uint32_t base = d.bits.base(d.now);
  const std::uint32_t mask = d.bits.mask();
  const unsigned where = d.bits.where();
  const auto row = [=](const std::uint32_t* s, const std::uint32_t* last, float) {
    for (; last - s >= static_cast<std::ptrdiff_t>(kLanes); s += kLanes) {
      Natural words;
      __builtin_memcpy(&words, s, sizeof words);
      alignas(kLine) std::uint32_t places[kLanes];
      alignas(kLine) std::int32_t weights[kLanes];
      const Natural place = (words + base) & mask;
      const Whole weight = weigh(as<Whole>(words) >> where);
      __builtin_memcpy(places, &place, sizeof places);
      __builtin_memcpy(weights, &weight, sizeof weights);
#pragma GCC unroll 16
      for (std::size_t i = 0; i < kLanes; ++i) {
        ring[places[i]] += weights[i];
      }
    }
#pragma GCC unroll 1
    for (; s != last; ++s) {
      ring[(*s + base) & mask] += weigh(static_cast<std::int32_t>(*s) >> where);
    }
  };
  return d.rows.phases > 1 ? each<std::uint32_t, true>(d, row) : each<std::uint32_t, false>(d, row);
}

std::uint64_t deliver_integers(const Delivery& d, std::int32_t* ring) {
  const int shift = d.shift;
  if (shift == 0) {
    return add_integers(d, ring, [](auto w) { return w; });
  }
  if (shift > 0) {
    return add_integers(d, ring, [=](auto w) { return w << shift; });
  }
  return add_integers(d, ring, [=](auto w) { return w >> -shift; });
}
