// Threads that work on one run together and sleep between runs.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace sangbo {

// Where the threads of a run meet. The last one to arrive decides for all whether to go on.
class Barrier {
 public:
  explicit Barrier(unsigned threads) : threads_(threads) {}

  // Returns what `stop` returned to the last thread that arrived.
  template <class Stop>
  bool arrive(const Stop& stop) {
    const std::uint32_t seen = phase_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
      const bool halt = stop();
      arrived_.store(0, std::memory_order_relaxed);
      const std::uint32_t next = ((seen >> 1) + 1) << 1 | (halt ? 1U : 0U);
      phase_.store(next, std::memory_order_release);
      phase_.notify_all();
      return halt;
    }
    return (wait(seen) & 1U) != 0;
  }

 private:
  std::uint32_t wait(std::uint32_t seen) const;

  const unsigned threads_;
  alignas(64) std::atomic<std::uint32_t> arrived_{0};
  alignas(64) std::atomic<std::uint32_t> phase_{0};  // generation and, in bit 0, the decision
};

class Pool {
 public:
  using Body = std::function<void(unsigned thread)>;

  explicit Pool(unsigned threads);
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool();

  [[nodiscard]] unsigned threads() const { return threads_; }

  // Calls body(0) here and body(1), … on the other threads, and waits for all. `body` must not
  // throw. Callers take turns.
  void run(const Body& body);

 private:
  void work(unsigned thread);

  const unsigned threads_;
  std::mutex turn_;
  const Body* body_ = nullptr;
  std::atomic<bool> closing_{false};
  alignas(64) std::atomic<std::uint32_t> generation_{0};
  alignas(64) std::atomic<std::uint32_t> busy_{0};
  std::vector<std::jthread> workers_;
};

}  // namespace sangbo
