// How Python builds a program; see module.cpp.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "program.hpp"

namespace sangbo {

using Array = nanobind::ndarray<nanobind::ro, nanobind::c_contig, nanobind::device::cpu>;

void bind_building(nanobind::class_<Program>& program);

}  // namespace sangbo
