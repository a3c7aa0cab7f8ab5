#include "isa.hpp"

#include "choice.hpp"

#if defined(SANGBO_X86)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(SANGBO_NEON) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace sangbo {
namespace {

#if defined(SANGBO_X86)
bool has_avx_vnni() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & (1U << 4)) != 0;
}

// Tiles are large, so the system gives their registers only to processes that ask.
bool has_amx() {
#if defined(__linux__) && defined(SYS_arch_prctl)
  constexpr long kRequest = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  const bool has = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & (1U << 24)) != 0 &&
                   (d & (1U << 25)) != 0;
  return has && syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
#else
  return false;
#endif
}

bool has_f16c() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & (1U << 29)) != 0;
}
#endif

#if defined(SANGBO_X86)
bool counts_slices() {
  return __builtin_cpu_supports("avx512vbmi2") != 0 &&
         __builtin_cpu_supports("avx512vpopcntdq") != 0 && __builtin_cpu_supports("popcnt") != 0;
}

// The first processors with AVX-512 VNNI do not count ones in registers; all later ones do.
const Kernels& counting_slices() {
  static const Kernels kernels = [] {
    Kernels all = kAvx512Vnni;
    all.histogram = slice_histogram;
    return all;
  }();
  return kernels;
}
#endif

std::vector<const Kernels*> usable() {
  std::vector<const Kernels*> found;
#if defined(SANGBO_X86)
  // The compiler's runtime also asks the system whether it saves these registers.
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && has_f16c();
  if (avx2 && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    if (has_amx() && counts_slices()) {
      found.push_back(&kAmx);
    }
    found.push_back(counts_slices() ? &counting_slices() : &kAvx512Vnni);
  }
  if (avx2 && has_avx_vnni()) {
    found.push_back(&kAvxVnni);
  }
  if (avx2) {
    found.push_back(&kAvx2);
  }
#elif defined(SANGBO_NEON)
#if defined(__linux__)
  const bool dot = (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
  const bool dot = true;  // every Apple processor that runs this has it
#endif
  if (dot) {
    found.push_back(&kNeonDotprod);
  }
#endif
  found.push_back(&kPortable);
  return found;
}

}  // namespace

std::vector<std::string> available_kernels() { return names_of(usable()); }

const Kernels& choose_kernels(const std::string& name) { return chosen(usable(), name); }

}  // namespace sangbo
