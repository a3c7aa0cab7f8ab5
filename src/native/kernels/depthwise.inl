// Depthwise convolutions: levels times weights, channel by channel.

inline Ints magnitude_of(Ints n) { return n < 0 ? -n : n; }

// Sixteen channels from `at` on; returns the largest Σ |n| of each lane.
template <bool Shifted, bool Bounded>
inline Ints depthwise_channels(const DepthwiseTask& task, std::size_t at, float* out) {
  Floats y[kParts] = {};
  Ints reach[kParts] = {};
  for (std::size_t g = 0; g < task.groups; ++g) {
    Ints sums[kParts] = {};
    Ints totals[kParts] = {};
    for (std::size_t t = g * task.taps; t < (g + 1) * task.taps; ++t) {
      const std::int32_t* levels = task.levels[t];
      if (levels == nullptr) {
        continue;
      }
      const std::int32_t* weights = task.weights + t * task.padded + at;
      for (std::size_t part = 0; part < kParts; ++part) {
        const Ints n = load(levels + at + part * kLanes);
        sums[part] += n * load(weights + part * kLanes);
        if (!Bounded) {
          reach[part] += magnitude_of(n);
        }
        if (Shifted) {
          totals[part] += n;
        }
      }
    }
    for (std::size_t part = 0; part < kParts; ++part) {
      const std::size_t place = g * task.padded + at + part * kLanes;
      y[part] += __builtin_convertvector(sums[part], Floats) * load(task.scales + place);
      if (Shifted) {
        y[part] += __builtin_convertvector(totals[part], Floats) * load(task.minima + place);
      }
    }
  }
  for (std::size_t part = 0; part < kParts; ++part) {
    y[part] = y[part] * all(task.threshold);
    if (task.bias != nullptr) {
      y[part] += load(task.bias + at + part * kLanes);
    }
    store(out + at + part * kLanes, y[part]);
  }
  Ints most = reach[0];
  for (std::size_t part = 1; part < kParts; ++part) {
    most = reach[part] > most ? reach[part] : most;
  }
  return most;
}

std::uint32_t depthwise(const DepthwiseTask& task, float* out) {
  Ints most{};
  const auto channels = task.minima != nullptr ? depthwise_channels<true, false>
                        : task.bounded         ? depthwise_channels<false, true>
                                               : depthwise_channels<false, false>;
  for (std::size_t at = 0; at < task.padded; at += kParts * kLanes) {
    const Ints reach = channels(task, at, out);
    most = reach > most ? reach : most;
  }
  std::int32_t largest = 0;
  for (std::size_t i = 0; i < kLanes; ++i) {
    largest = most[i] > largest ? most[i] : largest;
  }
  return static_cast<std::uint32_t>(largest);
}
