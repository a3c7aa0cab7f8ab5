// AMX beside AVX-512 VNNI: a tile multiplies 16 rows of levels with a panel, 64 inputs at a time. A
// panel's weights lie as a tile wants them.
#include "kernels.hpp"

#if defined(SANGBO_INTRINSICS)  // tests may emulate them
#include SANGBO_INTRINSICS
#else
#include <immintrin.h>
#endif

namespace sangbo {
namespace {

constexpr std::size_t kLanes = 16;

// In this order: each uses what stands before it.
#include "reals.inl"

#include "activations.inl"

#include "cells.inl"

#include "rows.inl"

#include "digits.inl"

#include "depthwise.inl"

#include "linear.inl"

#include "attention.inl"

#include "avx512.inl"

#include "tiles.inl"

}  // namespace

const Kernels kAmx = {
    "amx",
    tile_costs,
    Avx512Vnni::offset,
    true,
    linear_tiles,
    attend<Avx512Vnni>,
    depthwise<Avx512Vnni>,
    settle,
    split_planes<Avx512Vnni>,
    total,
    split_short_planes<Avx512Vnni>,
    narrow<Avx512Vnni>,
    magnitudes<std::int32_t>,
    magnitudes<std::int16_t>,
    slice_histogram,
    kRowKernels,
};

}  // namespace sangbo
