// What tests of kernels share.
#pragma once

#include <bit>
#include <cstdint>
#include <random>

#include "kernels/kernels.hpp"

inline std::mt19937 generator(7);

inline std::int32_t integer(std::int32_t low, std::int32_t high) {
  return std::uniform_int_distribution<std::int32_t>(low, high)(generator);
}

inline float real(float low, float high) {
  return std::uniform_real_distribution<float>(low, high)(generator);
}

inline bool same(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

// Kernels of reals and depthwise convolutions (test_rows.cpp).
void test_rows(const sangbo::Kernels& kernels);
