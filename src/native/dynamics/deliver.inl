// Adding the rows of spikes to the inputs of a shard. Included once in each file of kernels.

// How many spikes ahead rows are fetched: their places first, then their lines.
constexpr std::size_t kPlaces = 8;
constexpr std::size_t kLines = 3;
constexpr std::ptrdiff_t kAhead = 512;  // bytes of a row; the machine follows from there

// Always inlined: GCC takes a function that only fetches ahead for one without effect, and drops
// calls.
template <class Synapse>
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
      __builtin_prefetch(at);
    }
  }
}

// Calls add(synapse, share) for every synapse of the rows of `spikes`.
template <class Synapse, class Add>
std::uint64_t each(const Delivery& d, const Add& add) {
  std::uint64_t events = 0;
  const Rows& rows = d.rows;
  const std::span<const std::uint32_t> spikes = d.spikes;
  const float* const shares = d.shares;
  const auto* synapses = reinterpret_cast<const Synapse*>(rows.synapses);
  for (std::size_t i = 0; i < spikes.size(); ++i) {
    fetch<Synapse>(d, i);
    const std::size_t row = rows.row(spikes[i], d.phase);
    const std::uint32_t begin = rows.begins[row];
    const std::uint32_t end = rows.begins[row + 1];
    events += end - begin;
    const float share = shares == nullptr ? 1.0F : shares[i];
    const Synapse* const last = synapses + end;
#pragma GCC unroll 8
    for (const Synapse* s = synapses + begin; s != last; ++s) {
      add(*s, share);
    }
  }
  return events;
}

std::uint64_t deliver_compact(const Delivery& d, float* ring) {
  const std::uint32_t base = d.bits.base(d.now);
  const std::uint32_t mask = d.bits.mask();
  const unsigned where = d.bits.where();
  const float unit = d.unit;
  return each<std::uint32_t>(d, [=](std::uint32_t s, float share) {
    ring[(s + base) & mask] +=
        static_cast<float>(static_cast<std::int32_t>(s) >> where) * (unit * share);
  });
}

std::uint64_t deliver_wide(const Delivery& d, float* ring) {
  const std::uint32_t base = d.bits.base(d.now);
  const std::uint32_t mask = d.bits.mask();
  return each<WideSynapse>(d, [=](const WideSynapse& s, float share) {
    ring[(s.where + base) & mask] += s.weight * share;
  });
}

std::uint64_t deliver_integers(const Delivery& d, std::int32_t* ring) {
  const std::uint32_t base = d.bits.base(d.now);
  const std::uint32_t mask = d.bits.mask();
  const unsigned where = d.bits.where();
  const int shift = d.shift;
  if (shift >= 0) {
    return each<std::uint32_t>(d, [=](std::uint32_t s, float) {
      ring[(s + base) & mask] += (static_cast<std::int32_t>(s) >> where) << shift;
    });
  }
  return each<std::uint32_t>(d, [=](std::uint32_t s, float) {
    ring[(s + base) & mask] += (static_cast<std::int32_t>(s) >> where) >> -shift;
  });
}
