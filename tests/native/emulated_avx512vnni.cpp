// The very kernels of src/native/kernels/avx512vnni.cpp, compiled against emulated intrinsics.
#define SANGBO_INTRINSICS "emulated.hpp"
#define kAvx512Vnni kEmulatedAvx512Vnni
#include <cstdint>

#include "kernels/kernels.hpp"

namespace sangbo {
extern const Kernels kEmulatedAvx512Vnni;
}

#include "kernels/avx512vnni.cpp"
