#include "generated.hpp"

#include <algorithm>
#include <string>

#include "../error.hpp"
#include "generator.hpp"
#include "search.hpp"

namespace sangbo::compress {

namespace {

void check(unsigned length, unsigned quarters) {
  if (length < kLeastState || length > kMostState) {
    throw Error("expected a state of 8 to 16 bits, found " + std::to_string(length));
  }
  if (quarters < 4 || quarters > 4 * kMostFresh - 4 || (quarters + 3) / 4 + 3 > length) {
    throw Error("expected 1 to 5 bits for a weight, and 3 more in a state, found " +
                std::to_string(quarters) + " quarters in " + std::to_string(length));
  }
}

// Bits of a block, lowest first.
class Bits {
 public:
  explicit Bits(const std::uint8_t* bytes) : bytes_(bytes) {}

  std::uint32_t take(unsigned count) {
    std::uint32_t found = 0;
    for (unsigned bit = 0; bit < count; ++bit, ++place_) {
      found |= ((bytes_[place_ / 8] >> (place_ % 8)) & 1U) << bit;
    }
    return found;
  }

 private:
  const std::uint8_t* bytes_;
  std::size_t place_ = 0;
};

void put(std::uint8_t* bytes, std::size_t place, std::uint32_t value, unsigned count) {
  for (unsigned bit = 0; bit < count; ++bit, ++place) {
    if (((value >> bit) & 1U) != 0) {
      bytes[place / 8] |= static_cast<std::uint8_t>(1U << (place % 8));
    }
  }
}

}  // namespace

void generate(const Block& block, unsigned length, unsigned quarters, std::int8_t* weights) {
  check(length, quarters);
  const std::uint32_t mask = (1U << length) - 1U;
  Bits bits(block.bytes);
  std::uint32_t state = bits.take(length);
  for (std::size_t place = 0; place < block.count; ++place) {
    const unsigned fresh = fresh_bits(place, quarters);
    state = ((state << fresh) | bits.take(fresh)) & mask;
    weights[place] = static_cast<std::int8_t>(scaled(generated(state), block.coefficient));
  }
}

namespace {

Advance* fastest_advance() {
#ifdef SANGBO_X86
  if (__builtin_cpu_supports("avx2")) {
    return &avx2::advance;
  }
#endif
  return &portable::advance;
}

}  // namespace

Search::Search(unsigned length, unsigned quarters)
    : length_(length), quarters_(quarters), advance_(fastest_advance()) {
  check(length, quarters);
  for (auto* values : {&weights_, &cost_, &next_, &best_}) {
    values->resize(std::size_t{1} << length);
  }
}

std::size_t Search::block_bytes(std::size_t count) const {
  return compress::block_bytes(count, length_, quarters_);
}

void Search::generate(const Block& block, std::int8_t* weights) const {
  compress::generate(block, length_, quarters_, weights);
}

double Search::find(const float* target, const float* importance, std::size_t count,
                    unsigned coefficient, std::uint8_t* bytes) {
  const std::size_t states = std::size_t{1} << length_;
  for (std::uint32_t state = 0; state < states; ++state) {
    weights_[state] = static_cast<float>(scaled(generated(state), coefficient));
  }
  std::fill(cost_.begin(), cost_.end(), 0.0F);
  // Where the way into each state is kept, weight by weight.
  std::vector<std::size_t> starts(count + 1, 0);
  for (std::size_t place = 0; place < count; ++place) {
    starts[place + 1] = starts[place] + (states >> fresh_bits(place, quarters_));
  }
  chosen_.resize(std::max(chosen_.size(), starts[count]));
  for (std::size_t place = 0; place < count; ++place) {
    const unsigned fresh = fresh_bits(place, quarters_);
    advance_({weights_.data(), cost_.data(), next_.data(), best_.data(), states >> fresh, fresh},
             target[place], importance[place], chosen_.data() + starts[place]);
    cost_.swap(next_);
  }
  const auto cheapest = std::min_element(cost_.begin(), cost_.end());
  const double least = *cheapest;
  auto state = static_cast<std::uint32_t>(cheapest - cost_.begin());
  std::fill(bytes, bytes + block_bytes(count), std::uint8_t{0});
  std::size_t end = length_ + count * quarters_ / 4;
  for (std::size_t place = count; place-- > 0;) {
    const unsigned fresh = fresh_bits(place, quarters_);
    end -= fresh;
    put(bytes, end, state & ((1U << fresh) - 1U), fresh);
    const std::uint32_t shared = state >> fresh;
    const std::uint32_t way = chosen_[starts[place] + shared];
    state = (way << (length_ - fresh)) | shared;
  }
  put(bytes, 0, state, length_);
  return least;
}

}  // namespace sangbo::compress
