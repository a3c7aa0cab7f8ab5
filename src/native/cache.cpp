#include "cache.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace sangbo {
namespace {

void raise_to(std::atomic<std::int32_t>& bound, std::int32_t value) {
  std::int32_t seen = bound.load(std::memory_order_relaxed);
  while (seen < value && !bound.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

template <class Element>
void write_row(const Cache& cache, Cache::Layer& layer, std::size_t position,
               const std::int32_t* keys, const std::int32_t* values) {
  const CacheShape& shape = layer.shape;
  const std::size_t pairs = shape.pairs();
  std::int32_t largest_key = 0;
  std::int32_t largest_value = 0;
  for (std::size_t h = 0; h < shape.heads; ++h) {
    const std::int32_t* k = keys + h * shape.size;
    const std::int32_t* v = values + h * shape.size;
    Element* to = layer.keys.as<Element>() + h * cache.key_stride(shape) +
                  position / kPanel * (2 * kPanel * pairs) + position % kPanel * 2;
    Element* mix = layer.values.as<Element>() + h * cache.value_stride(shape) +
                   position / 2 * (2 * kPanel) + position % 2;
    for (std::size_t c = 0; c < shape.size; ++c) {
      to[c / 2 * (2 * kPanel) + c % 2] = static_cast<Element>(k[c]);
      mix[c / kPanel * (cache.padded() * kPanel) + c % kPanel * 2] = static_cast<Element>(v[c]);
      largest_key = std::max(largest_key, std::abs(k[c]));
      largest_value = std::max(largest_value, std::abs(v[c]));
    }
  }
  raise_to(layer.largest_key, largest_key);
  raise_to(layer.largest_value, largest_value);
}

std::size_t product(std::size_t a, std::size_t b) {
  std::size_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) {
    throw std::bad_alloc();
  }
  return result;
}

}  // namespace

Cache::Cache(const std::vector<CacheShape>& shapes, std::size_t capacity)
    : capacity_(capacity), padded_(round_up(capacity, kPanel)) {
  if (padded_ < capacity) {
    throw std::bad_alloc();
  }
  for (const CacheShape& shape : shapes) {
    auto layer = std::make_unique<Layer>();
    layer->shape = shape;
    const auto element = static_cast<std::size_t>(shape.element);
    layer->keys = Buffer(product(shape.heads * 2 * shape.pairs() * element, padded_));
    layer->values = Buffer(product(shape.heads * kPanel * shape.panels() * element, padded_));
    layers_.push_back(std::move(layer));
  }
}

void Cache::truncate(std::size_t length) {
  length_ = length;
  if (length == 0) {
    for (const auto& layer : layers_) {
      layer->largest_key.store(0, std::memory_order_relaxed);
      layer->largest_value.store(0, std::memory_order_relaxed);
    }
  }
}

std::size_t Cache::bytes() const {
  std::size_t total = 0;
  for (const auto& layer : layers_) {
    const CacheShape& s = layer->shape;
    total += length_ * s.heads * s.size * 2 * static_cast<std::size_t>(s.element);
  }
  return total;
}

void Cache::write(std::size_t layer, std::size_t position, const std::int32_t* keys,
                  const std::int32_t* values) {
  Layer& at = *layers_[layer];
  switch (at.shape.element) {
    case 1: return write_row<std::int8_t>(*this, at, position, keys, values);
    case 2: return write_row<std::int16_t>(*this, at, position, keys, values);
    default: return write_row<std::int32_t>(*this, at, position, keys, values);
  }
}

}  // namespace sangbo
