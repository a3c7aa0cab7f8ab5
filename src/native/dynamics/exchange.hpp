// How the ranks of a network hear of each other's spikes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sangbo::dynamics {

// Which of how many ranks this is.
struct Slice {
  std::uint32_t rank = 0;
  std::uint32_t ranks = 1;
};

class Exchange {
 public:
  Exchange() = default;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  virtual ~Exchange() = default;

  // Begins to send `words` to all ranks.
  virtual void send(std::span<const std::uint32_t> words) = 0;
  // Waits for what every rank sent: words of each, in their order. Throws where a rank is gone.
  virtual std::vector<std::vector<std::uint32_t>> receive() = 0;
};

}  // namespace sangbo::dynamics
