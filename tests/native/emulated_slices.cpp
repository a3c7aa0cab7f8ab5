// The very histogram of src/native/kernels/slices.cpp, compiled against emulated intrinsics.
#define SANGBO_INTRINSICS "emulated_slices.hpp"
#define slice_histogram emulated_slice_histogram
#include "kernels/slices.cpp"
