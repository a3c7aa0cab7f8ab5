// The very kernels of src/native/kernels/avxvnni.cpp, compiled against emulated intrinsics.
#define SANGBO_INTRINSICS "emulated.hpp"
#define kAvxVnni kEmulatedAvxVnni
#include <cstdint>

#include "kernels/kernels.hpp"

namespace sangbo {
extern const Kernels kEmulatedAvxVnni;
}

#include "kernels/avxvnni.cpp"
