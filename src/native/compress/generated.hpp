// Finds the seeds of generated weights, and makes the weights again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "search.hpp"

namespace sangbo::compress {

// What one block of weights is made of.
struct Block {
  const std::uint8_t* bytes;  // block_bytes(count, length, quarters)
  std::size_t count;
  unsigned coefficient;
};

// Makes the weights of one block again.
void generate(const Block& block, unsigned length, unsigned quarters, std::int8_t* weights);

// A seed and fresh bits such that Σ importance·(target − weight)² is least: Viterbi's search over
// all states, whose cost is 2^length·count. Writes the block's bytes.
class Search {
 public:
  Search(unsigned length, unsigned quarters);

  [[nodiscard]] std::size_t block_bytes(std::size_t count) const;

  // Makes the weights of a block again.
  void generate(const Block& block, std::int8_t* weights) const;

  // Returns the sum.
  double find(const float* target, const float* importance, std::size_t count, unsigned coefficient,
              std::uint8_t* bytes);

 private:
  unsigned length_, quarters_;
  Advance* advance_;
  std::vector<float> weights_, cost_, next_, best_;
  std::vector<std::uint8_t> chosen_;
};

}  // namespace sangbo::compress
