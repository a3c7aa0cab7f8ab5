// Depthwise convolutions: levels times weights, channel by channel.

inline Ints magnitude_of(Ints n) { return n < 0 ? -n : n; }

// Sixteen channels from `at` on; returns the largest Σ |n| of each of eight.
template <bool Shifted, bool Bounded>
inline Ints depthwise_channels(const DepthwiseTask& task, std::size_t at, float* out) {
  Floats y[2] = {};
  Ints reach[2] = {};
  for (std::size_t g = 0; g < task.groups; ++g) {
    Ints sums[2] = {};
    Ints totals[2] = {};
    for (std::size_t t = g * task.taps; t < (g + 1) * task.taps; ++t) {
      const std::int32_t* levels = task.levels[t];
      if (levels == nullptr) {
        continue;
      }
      const std::int32_t* weights = task.weights + t * task.padded + at;
      for (std::size_t half = 0; half < 2; ++half) {
        const Ints n = load(levels + at + half * kLanes);
        sums[half] += n * load(weights + half * kLanes);
        if (!Bounded) {
          reach[half] += magnitude_of(n);
        }
        if (Shifted) {
          totals[half] += n;
        }
      }
    }
    for (std::size_t half = 0; half < 2; ++half) {
      const std::size_t place = g * task.padded + at + half * kLanes;
      y[half] += __builtin_convertvector(sums[half], Floats) * load(task.scales + place);
      if (Shifted) {
        y[half] += __builtin_convertvector(totals[half], Floats) * load(task.minima + place);
      }
    }
  }
  for (std::size_t half = 0; half < 2; ++half) {
    y[half] = y[half] * all(task.threshold);
    if (task.bias != nullptr) {
      y[half] += load(task.bias + at + half * kLanes);
    }
    store(out + at + half * kLanes, y[half]);
  }
  return reach[0] > reach[1] ? reach[0] : reach[1];
}

std::uint32_t depthwise(const DepthwiseTask& task, float* out) {
  Ints most{};
  const auto channels = task.minima != nullptr ? depthwise_channels<true, false>
                        : task.bounded         ? depthwise_channels<false, true>
                                               : depthwise_channels<false, false>;
  for (std::size_t at = 0; at < task.padded; at += 2 * kLanes) {
    const Ints reach = channels(task, at, out);
    most = reach > most ? reach : most;
  }
  std::int32_t largest = 0;
  for (std::size_t i = 0; i < kLanes; ++i) {
    largest = most[i] > largest ? most[i] : largest;
  }
  return static_cast<std::uint32_t>(largest);
}
