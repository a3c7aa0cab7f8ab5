// Keys, values and states of one sequence.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "buffer.hpp"
#include "kernels/kernels.hpp"
#include "value.hpp"

namespace sangbo {

// How keys and values of one attention operation lie, as levels.
struct KeyShape {
  std::size_t heads;  // key heads
  std::size_t size;   // channels of a head
  int element;        // bytes of a level: 1, 2 or 4

  [[nodiscard]] std::size_t pairs() const { return (size + 1) / 2; }
  [[nodiscard]] std::size_t panels() const { return round_up(size, kPanel) / kPanel; }
  [[nodiscard]] std::size_t bytes() const { return static_cast<std::size_t>(element); }
  // Elements from one head to the next, where there is room for `padded` rows.
  [[nodiscard]] std::size_t key_stride(std::size_t padded) const { return padded * 2 * pairs(); }
  [[nodiscard]] std::size_t value_stride(std::size_t padded) const {
    return padded * kPanel * panels();
  }
};

// Keys and values of the rows of one sequence; layouts as in AttendTask, one head after the other.
struct KeyRows {
  std::byte* keys;
  std::byte* values;
  std::size_t padded;  // rows that there is room for, a multiple of 16
};

// Largest |level| of keys and of values.
struct Largest {
  std::int32_t key;
  std::int32_t value;
};

// Writes the levels of one row, in 16 or in 32 bits.
template <class Level>
Largest write_keys(const KeyShape& shape, const KeyRows& to, std::size_t row, const Level* keys,
                   const Level* values);

// What an attention operation keeps of a sequence.
struct KeptKeys {
  KeyShape shape;
  Domain domain;  // of the keys
};

// What a recurrent operation keeps: the states after each row.
struct KeptStates {
  std::size_t size;  // floats
  Axis axis;
};

// What the caches of a program hold.
struct CacheShape {
  std::vector<KeptKeys> keys;
  std::vector<KeptStates> states;
  std::size_t axes = 0;
  Axis main = 0;
};

class Cache {
 public:
  // Room for `capacity` rows of the main axis; there is as much along other axes as comes.
  Cache(const CacheShape& shape, std::size_t capacity);
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  [[nodiscard]] std::size_t length() const { return lengths_[main_]; }
  [[nodiscard]] std::size_t length(Axis axis) const { return lengths_[axis]; }
  // Makes room for so many rows more of each axis; refuses more than the capacity.
  void reserve(const std::vector<std::size_t>& rows);
  // Takes what was written behind the rows of each axis as held.
  void extend(const std::vector<std::size_t>& rows);
  // Forgets rows of the main axis.
  void truncate(std::size_t length);
  // Bytes of the levels and states held now.
  [[nodiscard]] std::size_t bytes() const;

  struct Keys {
    KeptKeys kept;
    Buffer keys;
    Buffer values;
    std::size_t padded = 0;
    // Bounds of |level| over all that was ever written since the cache was last empty.
    std::atomic<std::int32_t> largest_key{0};
    std::atomic<std::int32_t> largest_value{0};

    [[nodiscard]] KeyRows rows() const { return {keys.data(), values.data(), padded}; }
    // Raises the bounds.
    void reach(const Largest& largest);
  };
  Keys& keys(std::size_t index) { return *keys_[index]; }

  // The state that the next row begins with, and where the states after `row` go.
  void begin(std::size_t index, float* state) const;
  [[nodiscard]] float* state(std::size_t index, std::size_t row);
  // Lets the next row begin with this state, once the run has succeeded.
  void start(std::size_t index, const float* state);

 private:
  struct States {
    KeptStates kept;
    Buffer rows;
    std::size_t room = 0;
    std::vector<float> start;  // the state that row `place` begins with, if any
    std::size_t place = 0;
    std::vector<float> next_start;  // what a run that has not ended yet gave
  };

  std::size_t capacity_;
  Axis main_;
  std::vector<std::size_t> lengths_;  // of each axis
  std::vector<std::unique_ptr<Keys>> keys_;
  std::vector<States> states_;
};

}  // namespace sangbo
