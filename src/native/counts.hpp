// Histograms of the magnitudes of levels, filled while a program runs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace sangbo {

// Counts of magnitudes that are too many for a table: open addressing, at most half full. Levels of
// sensitive layers have thousands of different magnitudes; a tree took 40 ns for each of them.
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

class Tally {
 public:
  static constexpr std::size_t kSmall = 256;

  void add_small(std::size_t magnitude, std::uint64_t times) { small_[magnitude] += times; }
  void add_large(std::uint32_t magnitude, std::uint64_t times) { large_.add(magnitude, times); }
  void merge_into(std::map<std::int64_t, std::uint64_t>& into) const;

 private:
  std::array<std::uint64_t, kSmall> small_{};
  SparseCounts large_;
};

// Counts the levels of one block of work, then adds them to a tally: four tables side by side, so
// that equal neighbours do not wait for each other's store. `Count` must hold what a block counts.
template <class Count>
class Batch {
 public:
  // Without a tally nothing is counted.
  explicit Batch(Tally* tally) : tally_(tally) {
    if (tally != nullptr) {
      tables_ = {};
    }
  }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;
  ~Batch();

  // Counts each of `count` levels `times` times.
  template <class Level>
  void add(const Level* levels, std::size_t count, std::uint64_t times = 1);

 private:
  Tally* tally_;
  std::array<std::array<Count, Tally::kSmall>, 4> tables_;
};

// What a ledger needs of the runs that counted into it.
class Counts {
 public:
  Counts(unsigned threads, std::size_t tallies, std::size_t domains)
      : tallies_(threads, std::vector<Tally>(tallies)), totals_(domains + 2) {}

  Tally* tally(unsigned thread, std::size_t index) { return &tallies_[thread][index]; }

  // Magnitudes and how often each was seen, of one tally over all threads; then forgets them.
  std::pair<std::vector<std::int64_t>, std::vector<std::uint64_t>> take(std::size_t index);

  // Rows of each domain, then Σ visible positions had every attention been causal and had
  // none; then forgets them.
  std::vector<std::uint64_t> take_totals();
  void add_run(const std::vector<std::size_t>& rows, std::uint64_t causal, std::uint64_t full);

 private:
  std::vector<std::vector<Tally>> tallies_;
  std::vector<std::uint64_t> totals_;  // rows of each domain, then the visible positions
};

}  // namespace sangbo
