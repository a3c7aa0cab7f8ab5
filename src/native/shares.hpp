// How threads share out the items of a job.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <vector>

namespace sangbo {

// Each thread begins with its own share of the items, the same part of every job: what one job
// wrote is still in the cache of the core that reads it in the next. Afterwards it helps others.
class Shares {
 public:
  Shares(std::size_t jobs, unsigned threads) : threads_(threads), taken_(jobs * threads) {}

  // Calls work(first, last) for up to `grain` items at a time until nobody has any left.
  template <class Work>
  void take(std::size_t job, unsigned thread, std::size_t items, std::size_t grain, Work work) {
    const std::size_t grains = (items + grain - 1) / grain;
    for (std::size_t i = 0; i < threads_; ++i) {
      const std::size_t share = (thread + i) % threads_;
      const std::size_t begin = grains * share / threads_;
      const std::size_t end = grains * (share + 1) / threads_;
      std::atomic<std::size_t>& taken = taken_[job * threads_ + share].grains;
      for (std::size_t at = begin + taken.fetch_add(1, std::memory_order_relaxed); at < end;
           at = begin + taken.fetch_add(1, std::memory_order_relaxed)) {
        work(at * grain, std::min(items, (at + 1) * grain));
      }
    }
  }

 private:
  // Its own line of the cache: the thread whose share it is counts there all the time.
  struct alignas(64) Taken {
    std::atomic<std::size_t> grains{0};
  };

  std::size_t threads_;
  std::vector<Taken> taken_;  // [job][share]
};

}  // namespace sangbo
