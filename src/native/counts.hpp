// Histograms of the magnitudes of levels, filled while a program runs.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/kernels.hpp"

namespace sangbo {

// Counts of magnitudes that are too large for a table: open addressing, at most half full.
class SparseCounts {
 public:
  // `times` is 1 or more.
  void add(std::uint32_t magnitude, std::uint64_t times) {
    if (2 * (used_ + 1) > slots_.size()) {
      grow();
    }
    Slot& slot = find(magnitude);
    used_ += slot.times == 0 ? 1U : 0U;
    slot.magnitude = magnitude;
    slot.times += times;
  }
  template <class Function>
  void each(Function function) const {
    for (const Slot& slot : slots_) {
      if (slot.times != 0) {
        function(slot.magnitude, slot.times);
      }
    }
  }

 private:
  struct Slot {
    std::uint32_t magnitude;
    std::uint64_t times;  // 0: free
  };
  Slot& find(std::uint32_t magnitude);
  void grow();

  std::vector<Slot> slots_;
  std::size_t used_ = 0;
};

// Counts magnitudes of levels. A row of a decode step is too short to count well: its magnitudes
// are kept until there are some thousands, then counted in tables that the core's nearest cache
// holds.
class Tally {
 public:
  // Memory for magnitudes that wait. A thread's tallies share what none of them uses, the last
  // used first: it is still in the thread's cache.
  using Pending = std::unique_ptr<std::uint16_t[]>;
  struct alignas(64) Spare {  // a line of the cache for each thread
    std::vector<Pending> memory;
  };

  explicit Tally(Spare& spare) : spare_(&spare) {}

  // Says that so many levels will be added soon: where they will wait is far away in memory.
  void expect(std::size_t count) const {
    const std::size_t end = std::min(waiting_ + count, kPending);
    for (std::size_t i = waiting_; pending_ != nullptr && i < end; i += 32) {
      __builtin_prefetch(pending_.get() + i, 1);
    }
  }
  // Counts each of `count` levels `times` times.
  template <class Level>
  void add(const Kernels& kernels, const Level* levels, std::size_t count, std::uint64_t times = 1);
  // Whether so many magnitudes wait that it is worth while to count them.
  [[nodiscard]] bool ripe() const { return waiting_ >= kPending / 2; }
  // Counts the magnitudes that wait.
  void settle(const Kernels& kernels);
  // The same, by the tally's own thread, after rows that are enough to count well.
  void settle_rows(const Kernels& kernels) {
    if (ripe()) {
      settle(kernels);
      spare_->memory.push_back(std::move(pending_));
    }
  }
  // Adds all counts, and forgets them.
  void take(const Kernels& kernels, std::map<std::int64_t, std::uint64_t>& into);

 private:
  static constexpr std::size_t kPending = 8192;
  static constexpr std::size_t kSmall = 256;  // magnitudes that always have a place in the table
  static constexpr std::size_t kMany = 2048;  // of one block, which are worth a table of their own

  // Consecutive waiting magnitudes, each to be counted `times` times.
  struct Block {
    std::size_t count;
    std::uint64_t times;
  };
  struct Weighted;
  // Counts the blocks at `from` that stand for several each.
  void add_weighted(const std::uint16_t* from);
  void add_each(const std::uint16_t* from, std::size_t count, std::uint64_t times);

  Spare* spare_;
  Pending pending_;
  std::size_t waiting_ = 0;
  std::uint32_t seen_ = 0;  // the bits of all waiting magnitudes
  std::vector<Block> blocks_;
  std::vector<std::uint64_t> dense_;
  SparseCounts sparse_;
};

// What a ledger needs of the runs that counted into it.
class Counts {
 public:
  Counts(const Kernels& kernels, unsigned threads, std::size_t tallies, std::size_t axes,
         std::size_t sums)
      : kernels_(kernels), totals_(axes + sums) {
    spare_.resize(threads);
    for (Tally::Spare& spare : spare_) {
      std::vector<Tally>& own = tallies_.emplace_back();
      own.reserve(tallies);
      for (std::size_t i = 0; i < tallies; ++i) {
        own.emplace_back(spare);
      }
    }
  }
  Counts(const Counts&) = delete;
  Counts& operator=(const Counts&) = delete;

  Tally* tally(unsigned thread, std::size_t index) { return &tallies_[thread][index]; }

  // Tallies of all threads, one thread's behind the other's.
  [[nodiscard]] std::size_t tallies() const { return tallies_.size() * tallies_.front().size(); }
  // Counts what waits in one of them where it is worth while; after the last stage of a run.
  void settle(std::size_t number);

  // Magnitudes and how often each was seen, of one tally over all threads; then forgets them.
  std::pair<std::vector<std::int64_t>, std::vector<std::uint64_t>> take(std::size_t index);

  // Rows of each axis, then what operations summed up (of attention, Σ visible keys); then forgets
  // them.
  std::vector<std::uint64_t> take_totals();
  void add_run(const std::vector<std::size_t>& rows, const std::vector<std::uint64_t>& sums);

 private:
  const Kernels& kernels_;
  std::vector<Tally::Spare> spare_;  // of each thread
  std::vector<std::vector<Tally>> tallies_;
  std::vector<std::uint64_t> totals_;  // as take_totals returns them
};

}  // namespace sangbo
