// One step of the search; included once for each instruction set, within its namespace.

using Eight = float __attribute__((vector_size(32), aligned(4), may_alias));
using Places = int __attribute__((vector_size(32)));

template <unsigned Fresh>
inline void step(const States& states, float target, float importance, std::uint8_t* chosen) {
  constexpr std::size_t kWays = std::size_t{1} << Fresh;
  const std::size_t shared = states.shared;
  for (std::size_t at = 0; at < shared; at += 8) {
    Eight least = *reinterpret_cast<const Eight*>(states.cost + at);
    Places way{};
    for (std::size_t other = 1; other < kWays; ++other) {
      const Eight cost = *reinterpret_cast<const Eight*>(states.cost + other * shared + at);
      const Places better = cost < least;
      least = better ? cost : least;
      way = better ? Places{} + static_cast<int>(other) : way;
    }
    *reinterpret_cast<Eight*>(states.best + at) = least;
    for (std::size_t lane = 0; lane < 8; ++lane) {
      chosen[at + lane] = static_cast<std::uint8_t>(way[lane]);
    }
  }
  for (std::size_t at = 0; at < shared; ++at) {
    const float best = states.best[at];
    const float* weights = states.weights + at * kWays;
    float* next = states.next + at * kWays;
    if constexpr (kWays >= 8) {
      for (std::size_t way = 0; way < kWays; way += 8) {
        const Eight error = target - *reinterpret_cast<const Eight*>(weights + way);
        *reinterpret_cast<Eight*>(next + way) = best + importance * (error * error);
      }
    } else {
      for (std::size_t way = 0; way < kWays; ++way) {
        const float error = target - weights[way];
        next[way] = best + importance * (error * error);
      }
    }
  }
}

void advance(const States& states, float target, float importance, std::uint8_t* chosen) {
  switch (states.fresh) {
    case 1: return step<1>(states, target, importance, chosen);
    case 2: return step<2>(states, target, importance, chosen);
    case 3: return step<3>(states, target, importance, chosen);
    case 4: return step<4>(states, target, importance, chosen);
    default: return step<5>(states, target, importance, chosen);
  }
}
