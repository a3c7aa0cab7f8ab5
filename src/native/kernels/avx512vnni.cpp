// AVX-512 with VNNI: one register holds a panel.
#include "kernels.hpp"

#include <array>

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

#include "clip.inl"

#include "pairs.inl"

#include "avx512.inl"

#include "blocks.inl"

}  // namespace

const Kernels kAvx512Vnni = {
    "avx512-vnni",
    byte_costs,
    Avx512Vnni::offset,
    true,
    linear_blocks,
    attend<Avx512Vnni>,
    depthwise<Avx512Vnni>,
    settle,
    split_planes<Avx512Vnni>,
    total,
    split_short_planes<Avx512Vnni>,
    narrow<Avx512Vnni>,
    magnitudes<std::int32_t>,
    magnitudes<std::int16_t>,
    pair_histogram<shuffle_clip>,
    kRowKernels,
};

}  // namespace sangbo
