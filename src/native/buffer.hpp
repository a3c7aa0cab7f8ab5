// Memory that is aligned (to cache lines at least), starts as zeros, and is only resident once
// touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace sangbo {

inline constexpr std::size_t kLine = 64;

constexpr std::size_t round_up(std::size_t x, std::size_t to) { return (x + to - 1) / to * to; }

class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t bytes, std::size_t alignment = kLine)
      : memory_(std::calloc(bytes + alignment, 1)), bytes_(bytes) {
    if (memory_ == nullptr) {
      throw std::bad_alloc();
    }
    const auto at = reinterpret_cast<std::uintptr_t>(memory_.get());
    data_ = static_cast<std::byte*>(memory_.get()) + (round_up(at, alignment) - at);
  }

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  template <class T>
  [[nodiscard]] T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  std::unique_ptr<void, Free> memory_;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace sangbo
