// Choosing among kernels, of any kind, that are compiled once for each instruction set.
#pragma once

#include <string>
#include <vector>

#include "error.hpp"

namespace sangbo {

template <class Kernels>
std::vector<std::string> names_of(const std::vector<const Kernels*>& usable) {
  std::vector<std::string> names;
  for (const Kernels* kernels : usable) {
    names.emplace_back(kernels->name);
  }
  return names;
}

// The kernels called `name`, or the first where it is empty; throws Error where there are none.
template <class Kernels>
const Kernels& chosen(const std::vector<const Kernels*>& usable, const std::string& name) {
  std::string names;
  for (const Kernels* kernels : usable) {
    if (name.empty() || name == kernels->name) {
      return *kernels;
    }
    names += names.empty() ? "" : ", ";
    names += kernels->name;
  }
  throw Error("expected an instruction set that this machine has (" + names + "), found '" + name +
              "'");
}

}  // namespace sangbo
