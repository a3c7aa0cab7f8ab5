#include "pool.hpp"

#include <chrono>

namespace sangbo {
namespace {

constexpr auto kSpin = std::chrono::microseconds(40);

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// The value of `word` once it is no longer `seen`: a short spin, then sleep.
std::uint32_t await(const std::atomic<std::uint32_t>& word, std::uint32_t seen) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 64; ++i) {
      const std::uint32_t now = word.load(std::memory_order_acquire);
      if (now != seen) {
        return now;
      }
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  std::uint32_t now = word.load(std::memory_order_acquire);
  while (now == seen) {
    word.wait(seen, std::memory_order_acquire);
    now = word.load(std::memory_order_acquire);
  }
  return now;
}

}  // namespace

std::uint32_t Barrier::wait(std::uint32_t seen) const { return await(phase_, seen); }

Pool::Pool(unsigned threads) : threads_(threads) {
  workers_.reserve(threads);
  for (unsigned t = 1; t < threads; ++t) {
    workers_.emplace_back([this, t] { work(t); });
  }
}

Pool::~Pool() {
  closing_.store(true, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
}

void Pool::run(const Body& body) {
  const std::lock_guard lock(turn_);
  body_ = &body;
  busy_.store(threads_ - 1, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  body(0);
  std::uint32_t left = busy_.load(std::memory_order_acquire);
  while (left != 0) {
    left = await(busy_, left);
  }
}

void Pool::work(unsigned thread) {
  std::uint32_t seen = 0;
  while (true) {
    seen = await(generation_, seen);
    if (closing_.load(std::memory_order_relaxed)) {
      return;
    }
    (*body_)(thread);
    if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      busy_.notify_all();
    }
  }
}

}  // namespace sangbo
