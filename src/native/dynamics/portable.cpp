#include "neurons.hpp"

#include <array>
#include <iterator>

#include "random.hpp"

namespace sangbo::dynamics {
namespace {

// In this order: each uses what stands before it.
#include "lanes.inl"

#include "drives.inl"

#include "neurons.inl"

}  // namespace

const Kernels kPortable = {"portable", models, poisson, noise};

}  // namespace sangbo::dynamics
