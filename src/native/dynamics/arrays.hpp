// NumPy arrays on their way from Python and to it.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <memory>
#include <vector>

namespace sangbo::dynamics {

template <class T>
using Given =
    nanobind::ndarray<const T, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;

template <class T>
std::vector<T> taken(const Given<T>& array) {
  return {array.data(), array.data() + array.shape(0)};
}

// A NumPy array that owns what the vector held.
template <class T>
nanobind::ndarray<nanobind::numpy, T, nanobind::ndim<1>> given(std::vector<T> values) {
  auto held = std::make_unique<std::vector<T>>(std::move(values));
  T* data = held->data();
  const std::size_t size = held->size();
  const nanobind::capsule owner(held.release(),
                                [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  return {data, {size}, owner};
}

}  // namespace sangbo::dynamics
