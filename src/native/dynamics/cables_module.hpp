// What Python sees of cells of many compartments.
#pragma once

#include <nanobind/nanobind.h>

#include "network.hpp"

namespace sangbo::dynamics {

void bind_cells(nanobind::module_& module, nanobind::class_<Network>& network);

}  // namespace sangbo::dynamics
