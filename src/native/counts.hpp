// Histograms of the magnitudes of levels, filled while a program runs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace sangbo {

class Tally {
 public:
  // Counts each of `count` levels `times` times.
  void add(const std::int32_t* levels, std::size_t count, std::uint64_t times = 1);
  void add(const std::int16_t* levels, std::size_t count);
  void merge_into(std::map<std::int64_t, std::uint64_t>& into) const;

 private:
  static constexpr std::size_t kFast = 64;
  static constexpr std::size_t kSmall = 256;

  template <class Level>
  void add_levels(const Level* levels, std::size_t count, std::uint64_t times);

  std::array<std::uint64_t, kSmall> small_{};
  std::map<std::int64_t, std::uint64_t> large_;
};

// What a ledger needs of the runs that counted into it.
class Counts {
 public:
  Counts(unsigned threads, std::size_t tallies, std::size_t domains)
      : tallies_(threads, std::vector<Tally>(tallies)), totals_(domains + 2) {}

  Tally& tally(unsigned thread, std::size_t index) { return tallies_[thread][index]; }

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
