// Weights that are not stored but generated; docs/weights.md tells why.
//
// A generator has a state of L bits. For every weight it takes in k fresh bits,
//   s ← ((s << k) | fresh) mod 2^L,
// stirs a copy of the state with shifts, additions and exclusive ors, and adds up its four bytes: a
// number that looks drawn from a normal distribution of mean 0. A block of weights is a seed (the
// state before its first weight), a coefficient that scales its numbers to 8 bits, and the fresh
// bits.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace sangbo::compress {

inline constexpr unsigned kLeastState = 8, kMostState = 16;
inline constexpr unsigned kMostFresh = 6;
inline constexpr unsigned kLargestCoefficient = 255;

// The number of a state, −510…510.
inline int generated(std::uint32_t state) {
  std::uint32_t x = state * 0x00010001U + 0x9E37U;
  x += x << 7U;
  x ^= x >> 13U;
  x += x << 5U;
  x += x << 3U;
  x ^= x >> 17U;
  x += x << 11U;
  x ^= x >> 15U;
  const std::uint32_t sum = (x & 255U) + ((x >> 8U) & 255U) + ((x >> 16U) & 255U) + (x >> 24U);
  return static_cast<int>(sum) - 510;
}

// The weight that a number becomes: times coefficient/256, rounded, within ±127.
inline int scaled(int number, unsigned coefficient) {
  const int rounded = (number * static_cast<int>(coefficient) + 128) >> 8;
  return std::clamp(rounded, -127, 127);
}

// Fresh bits of weight `place` of a block whose weights take quarters/4 bits on average.
inline unsigned fresh_bits(std::size_t place, unsigned quarters) {
  return static_cast<unsigned>((place + 1) * quarters / 4 - place * quarters / 4);
}

// Bytes of a block: its seed and the fresh bits of `count` weights.
inline std::size_t block_bytes(std::size_t count, unsigned length, unsigned quarters) {
  return (length + count * quarters / 4 + 7) / 8;
}

}  // namespace sangbo::compress
