#include "arena.hpp"

#include <algorithm>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace sangbo {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kPiece = std::size_t{32} << 20;

Buffer piece(std::size_t bytes) {
  Buffer buffer(round_up(bytes, kHugePage), kHugePage);
#if defined(__linux__)
  // Advice only: where the system refuses, small pages serve.
  static_cast<void>(madvise(buffer.data(), buffer.bytes(), MADV_HUGEPAGE));
#endif
  return buffer;
}

}  // namespace

std::span<std::byte> Arena::take(std::size_t bytes) {
  const std::size_t size = round_up(bytes, kLine);
  if (pieces_.empty() || pieces_.back().bytes() - used_ < size) {
    pieces_.push_back(piece(std::max(size, kPiece)));
    used_ = 0;
  }
  std::byte* at = pieces_.back().data() + used_;
  used_ += size;
  return {at, bytes};
}

}  // namespace sangbo
