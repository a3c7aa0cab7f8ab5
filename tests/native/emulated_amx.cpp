// The very kernels of src/native/kernels/amx.cpp, compiled against emulated intrinsics.
#define SANGBO_INTRINSICS "emulated_amx.hpp"
#define kAmx kEmulatedAmx
#define slice_histogram emulated_slice_histogram
#include <cstdint>

#include "kernels/kernels.hpp"

namespace sangbo {
extern const Kernels kEmulatedAmx;
}

#include "kernels/amx.cpp"
