// Which kernels this machine can run.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernels.hpp"

namespace sangbo {

// Names of the kernels that this machine can run, the fastest first.
std::vector<std::string> available_kernels();

// The kernels called `name`, or the fastest where it is empty; throws Error where this machine
// cannot run them.
const Kernels& choose_kernels(const std::string& name);

}  // namespace sangbo
