#include "cache.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include "error.hpp"

namespace sangbo {
namespace {

void raise_to(std::atomic<std::int32_t>& bound, std::int32_t value) {
  std::int32_t seen = bound.load(std::memory_order_relaxed);
  while (seen < value && !bound.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

template <class Element, class Level>
Largest write_row(const KeyShape& shape, const KeyRows& rows, std::size_t row, const Level* keys,
                  const Level* values) {
  const std::size_t pairs = shape.pairs();
  for (std::size_t h = 0; h < shape.heads; ++h) {
    const Level* k = keys + h * shape.size;
    const Level* v = values + h * shape.size;
    Element* to = reinterpret_cast<Element*>(rows.keys) + h * shape.key_stride(rows.padded) +
                  row / kPanel * (2 * kPanel * pairs) + row % kPanel * 2;
    Element* mix = reinterpret_cast<Element*>(rows.values) + h * shape.value_stride(rows.padded) +
                   row / 2 * (2 * kPanel) + row % 2;
    for (std::size_t c = 0; c < shape.size; c += 2) {
      const Element pair[2] = {static_cast<Element>(k[c]),
                               static_cast<Element>(c + 1 < shape.size ? k[c + 1] : 0)};
      std::memcpy(to + c * kPanel, pair, sizeof pair);
    }
    for (std::size_t c = 0; c < shape.size; c += kPanel) {
      const std::size_t count = std::min(kPanel, shape.size - c);
      for (std::size_t i = 0; i < count; ++i) {
        mix[c * rows.padded + 2 * i] = static_cast<Element>(v[c + i]);
      }
    }
  }
  const auto largest_of = [&](const Level* levels) {
    Level largest = 0;
    Level smallest = 0;
    for (std::size_t c = 0; c < shape.heads * shape.size; ++c) {
      largest = std::max(largest, levels[c]);
      smallest = std::min(smallest, levels[c]);
    }
    return std::max<std::int32_t>(largest, -smallest);
  };
  return {largest_of(keys), largest_of(values)};
}

std::size_t product(std::size_t a, std::size_t b) {
  std::size_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) {
    throw std::bad_alloc();
  }
  return result;
}

std::size_t padded_rows(std::size_t rows) {
  const std::size_t padded = round_up(rows, kPanel);
  if (padded < rows) {
    throw std::bad_alloc();
  }
  return padded;
}

// `heads` stretches of memory moved apart: from `before` to `after` bytes each.
Buffer spread(const Buffer& from, std::size_t heads, std::size_t before, std::size_t after) {
  Buffer to(product(heads, after));
  for (std::size_t h = 0; h < heads && before > 0; ++h) {
    std::memcpy(to.data() + h * after, from.data() + h * before, before);
  }
  return to;
}

void make_room(Cache::Keys& at, std::size_t rows) {
  const std::size_t padded = padded_rows(rows);
  if (padded <= at.padded) {
    return;
  }
  const KeyShape& s = at.kept.shape;
  const auto bytes = [&s](std::size_t elements) { return product(elements, s.bytes()); };
  const std::size_t key = bytes(product(2 * s.pairs(), padded));
  at.keys = spread(at.keys, s.heads, bytes(s.key_stride(at.padded)), key);
  // Within a head, each panel of channels holds all rows.
  const std::size_t value = bytes(product(kPanel, padded));
  at.values = spread(at.values, s.heads * s.panels(), bytes(kPanel * at.padded), value);
  at.padded = padded;
}

}  // namespace

template <class Level>
Largest write_keys(const KeyShape& shape, const KeyRows& to, std::size_t row, const Level* keys,
                   const Level* values) {
  switch (shape.element) {
    case 1: return write_row<std::int8_t>(shape, to, row, keys, values);
    case 2: return write_row<std::int16_t>(shape, to, row, keys, values);
    default: return write_row<std::int32_t>(shape, to, row, keys, values);
  }
}

template Largest write_keys(const KeyShape&, const KeyRows&, std::size_t, const std::int16_t*,
                            const std::int16_t*);
template Largest write_keys(const KeyShape&, const KeyRows&, std::size_t, const std::int32_t*,
                            const std::int32_t*);

Cache::Cache(const CacheShape& shape, std::size_t capacity)
    : capacity_(capacity), main_(shape.main), lengths_(std::max<std::size_t>(shape.axes, 1)) {
  padded_rows(capacity);
  for (const KeptKeys& kept : shape.keys) {
    auto keys = std::make_unique<Keys>();
    keys->kept = kept;
    if (kept.domain.axis == main_) {
      make_room(*keys, product(capacity, kept.domain.each));
    }
    keys_.push_back(std::move(keys));
  }
  for (const KeptStates& kept : shape.states) {
    States& states = states_.emplace_back();
    states.kept = kept;
    if (kept.axis == main_) {
      states.rows = Buffer(product(capacity, kept.size * sizeof(float)));
      states.room = capacity;
    }
  }
}

void Cache::reserve(const std::vector<std::size_t>& rows) {
  if (rows[main_] > capacity_ - lengths_[main_]) {
    throw Error("expected at most " + std::to_string(capacity_) + " rows in a sequence, found " +
                std::to_string(lengths_[main_] + rows[main_]));
  }
  for (const auto& keys : keys_) {
    const Axis axis = keys->kept.domain.axis;
    make_room(*keys, (lengths_[axis] + rows[axis]) * keys->kept.domain.each);
  }
  for (States& states : states_) {
    const std::size_t wanted = lengths_[states.kept.axis] + rows[states.kept.axis];
    if (wanted > states.room) {
      const std::size_t row = states.kept.size * sizeof(float);
      const std::size_t room = std::max(wanted, 2 * states.room);
      states.rows = spread(states.rows, 1, states.room * row, product(room, row));
      states.room = room;
    }
    states.next_start.clear();
  }
}

void Cache::extend(const std::vector<std::size_t>& rows) {
  for (States& states : states_) {
    if (!states.next_start.empty()) {
      states.start = std::move(states.next_start);
      states.place = lengths_[states.kept.axis];
      states.next_start.clear();
    }
  }
  for (Axis axis = 0; axis < lengths_.size(); ++axis) {
    lengths_[axis] += rows[axis];
  }
}

void Cache::truncate(std::size_t length) {
  lengths_[main_] = length;
  for (const auto& keys : keys_) {
    if (length == 0 && keys->kept.domain.axis == main_) {
      keys->largest_key.store(0, std::memory_order_relaxed);
      keys->largest_value.store(0, std::memory_order_relaxed);
    }
  }
  for (States& states : states_) {
    if (states.kept.axis == main_ && states.place > length) {
      states.start.clear();
    }
  }
}

std::size_t Cache::bytes() const {
  std::size_t total = 0;
  for (const auto& keys : keys_) {
    const KeyShape& s = keys->kept.shape;
    const Domain& domain = keys->kept.domain;
    total += lengths_[domain.axis] * domain.each * s.heads * s.size * 2 * s.bytes();
  }
  for (const States& states : states_) {
    total += lengths_[states.kept.axis] * states.kept.size * sizeof(float);
  }
  return total;
}

void Cache::Keys::reach(const Largest& largest) {
  raise_to(largest_key, largest.key);
  raise_to(largest_value, largest.value);
}

void Cache::begin(std::size_t index, float* state) const {
  const States& states = states_[index];
  const std::size_t length = lengths_[states.kept.axis];
  const std::size_t size = states.kept.size;
  if (!states.next_start.empty()) {
    std::copy_n(states.next_start.data(), size, state);
  } else if (!states.start.empty() && states.place == length) {
    std::copy_n(states.start.data(), size, state);
  } else if (length == 0) {
    std::fill_n(state, size, 0.0F);
  } else {
    std::copy_n(states.rows.as<float>() + (length - 1) * size, size, state);
  }
}

float* Cache::state(std::size_t index, std::size_t row) {
  return states_[index].rows.as<float>() + row * states_[index].kept.size;
}

void Cache::start(std::size_t index, const float* state) {
  States& states = states_[index];
  states.next_start.assign(state, state + states.kept.size);
}

}  // namespace sangbo
