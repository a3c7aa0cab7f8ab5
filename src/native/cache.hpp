// Keys and values of one sequence, as levels.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "buffer.hpp"
#include "kernels/kernels.hpp"

namespace sangbo {

// What one attention operation keeps of each position.
struct CacheShape {
  std::size_t heads;  // key heads
  std::size_t size;   // channels of a head
  int element;        // bytes of a level: 1, 2 or 4

  [[nodiscard]] std::size_t pairs() const { return (size + 1) / 2; }
  [[nodiscard]] std::size_t panels() const { return round_up(size, kPanel) / kPanel; }
};

class Cache {
 public:
  Cache(const std::vector<CacheShape>& shapes, std::size_t capacity);
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  [[nodiscard]] std::size_t length() const { return length_; }
  void extend(std::size_t rows) { length_ += rows; }
  void truncate(std::size_t length);
  // Bytes that hold levels of the positions held now.
  [[nodiscard]] std::size_t bytes() const;

  // One attention's keys and values; layouts as in AttendTask, one head after the other.
  struct Layer {
    CacheShape shape;
    Buffer keys;
    Buffer values;
    // Bounds of |level| over all that was ever written since the cache was last empty.
    std::atomic<std::int32_t> largest_key{0};
    std::atomic<std::int32_t> largest_value{0};
  };
  Layer& layer(std::size_t index) { return *layers_[index]; }
  // Elements from one head to the next.
  [[nodiscard]] std::size_t key_stride(const CacheShape& s) const {
    return padded_ * 2 * s.pairs();
  }
  [[nodiscard]] std::size_t value_stride(const CacheShape& s) const {
    return padded_ * kPanel * s.panels();
  }
  [[nodiscard]] std::size_t padded() const { return padded_; }

  // Writes the levels of one row at `position`.
  void write(std::size_t layer, std::size_t position, const std::int32_t* keys,
             const std::int32_t* values);

 private:
  std::size_t capacity_;
  std::size_t padded_;
  std::size_t length_ = 0;
  std::vector<std::unique_ptr<Layer>> layers_;
};

}  // namespace sangbo
