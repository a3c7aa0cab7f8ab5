// Intrinsics that AMX kernels take.
#pragma once

#include "emulated.hpp"
#include "emulated_tiles.hpp"
