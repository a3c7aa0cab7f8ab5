// One step of the search for generated weights, for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sangbo::compress {

// All states, and those that share all but their `fresh` oldest bits.
struct States {
  const float* weights;  // of each state
  const float* cost;     // of the cheapest way into it
  float* next;           // the same one weight later
  float* best;           // room for `shared` costs
  std::size_t shared;
  unsigned fresh;
};

// One weight: the cheapest way into every state. States that share all but their oldest bits lead
// to the same states; the cheapest of them is found once for all and written to chosen[shared].
using Advance = void(const States& states, float target, float importance, std::uint8_t* chosen);

namespace portable {
Advance advance;
}
namespace avx2 {
Advance advance;
}

}  // namespace sangbo::compress
