#include "neurons.hpp"

#include <array>
#include <iterator>

#include <immintrin.h>

#include "random.hpp"

namespace sangbo::dynamics {
namespace {

// In this order: each uses what stands before it.
#include "lanes.inl"

#include "drives.inl"

#include "neurons.inl"

}  // namespace

const Kernels kAvx512 = {"avx512", models, poisson, noise};

}  // namespace sangbo::dynamics
