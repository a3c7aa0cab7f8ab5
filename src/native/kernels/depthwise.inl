// Depthwise convolutions: levels of 16 bits times weights, channel by channel, two taps at a time.

template <class V, bool Shifted>
inline void depthwise_channels(const DepthwiseTask& task, std::size_t at, float* out) {
  const bool whole = at + kLanes < task.channels;  // whether there is a second half
  Floats y[2] = {};
  for (std::size_t g = 0; g < task.groups; ++g) {
    Ints sums[2] = {};
    Ints totals[2] = {};
    for (std::size_t p = g * task.pairs; p < (g + 1) * task.pairs; ++p) {
      Shorts first;
      Shorts second;
      __builtin_memcpy(&first, task.levels[2 * p] + at, sizeof first);
      __builtin_memcpy(&second, task.levels[2 * p + 1] + at, sizeof second);
      Shorts pairs[2];
      V::side_by_side(first, second, pairs);
      for (std::size_t half = 0; half < 2; ++half) {
        Shorts w;
        __builtin_memcpy(&w, task.weights + (p * task.width + at + half * kLanes) * 2, sizeof w);
        sums[half] = V::add_products(sums[half], pairs[half], w);
        if (Shifted) {
          totals[half] = V::add_products(totals[half], pairs[half], Shorts{} + std::int16_t{1});
        }
      }
    }
    for (std::size_t half = 0; half < 2; ++half) {
      const std::size_t place = g * task.width + at + half * kLanes;
      y[half] += __builtin_convertvector(sums[half], Floats) * load(task.scales + place);
      if (Shifted) {
        y[half] += __builtin_convertvector(totals[half], Floats) * load(task.minima + place);
      }
    }
  }
  for (std::size_t half = 0; half < (whole ? 2 : 1); ++half) {
    Floats result = y[half] * all(task.threshold);
    if (task.bias != nullptr) {
      result += load(task.bias + at + half * kLanes);
    }
    store(out + at + half * kLanes, result);
  }
}

template <class V>
void depthwise(const DepthwiseTask& task, float* out) {
  const auto channels =
      task.minima == nullptr ? depthwise_channels<V, false> : depthwise_channels<V, true>;
  for (std::size_t at = 0; at < task.channels; at += kShorts) {
    channels(task, at, out);
  }
}
