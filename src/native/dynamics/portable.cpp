#include "neurons.hpp"

#include <array>

#include "cables.hpp"
#include "plasticity.hpp"
#include "random.hpp"
#include "synapses.hpp"

namespace sangbo::dynamics {
namespace {

// In this order: each uses what stands before it.
#include "lanes.inl"

#include "drives.inl"

#include "deliver.inl"

#include "plasticity.inl"

#include "reward.inl"

#include "neurons.inl"

#include "cables.inl"

}  // namespace

const Kernels kPortable = {"portable",
                           kModels,
                           sizeof kModels / sizeof *kModels,
                           poisson,
                           noise,
                           advance_cells,
                           deliver_compact,
                           deliver_wide,
                           deliver_integers,
                           deliver_plastic,
                           sweep,
                           deliver_rewarded,
                           pay};

}  // namespace sangbo::dynamics
