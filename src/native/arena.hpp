// Memory for weights: handed out in order from a few large pieces that huge pages can back.
// Weights are read from end to end for every token; with small pages each 4 KiB of them costs a
// walk of the page tables, which is dearest on a virtual machine.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "buffer.hpp"

namespace sangbo {

class Arena {
 public:
  // Zeros, aligned to a cache line; they live as long as the arena.
  std::span<std::byte> take(std::size_t bytes);

 private:
  std::vector<Buffer> pieces_;
  std::size_t used_ = 0;  // of the last piece
};

}  // namespace sangbo
