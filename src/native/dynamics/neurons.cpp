#include "neurons.hpp"

#include "../choice.hpp"

namespace sangbo::dynamics {
namespace {

std::vector<const Kernels*> usable() {
  std::vector<const Kernels*> found;
#if defined(SANGBO_X86)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
    found.push_back(&kAvx512);
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
      __builtin_cpu_supports("bmi2")) {
    found.push_back(&kAvx2);
  }
#endif
  found.push_back(&kPortable);
  return found;
}

}  // namespace

std::vector<std::string> available() { return names_of(usable()); }

const Kernels& choose(const std::string& name) { return chosen(usable(), name); }

const Model& find(const Kernels& kernels, const std::string& name) {
  for (std::size_t i = 0; i < kernels.count; ++i) {
    if (kernels.models[i].name() == name) {
      return kernels.models[i];
    }
  }
  throw Error("expected a neuron model that the engine has, found '" + name + "'");
}

}  // namespace sangbo::dynamics
