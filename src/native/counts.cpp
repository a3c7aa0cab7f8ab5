#include "counts.hpp"

namespace sangbo {

template <class Level>
void Tally::add_levels(const Level* levels, std::size_t count, std::uint64_t times) {
  // Four tables, so that equal neighbours do not wait for each other's store.
  std::array<std::array<std::uint32_t, kFast>, 4> tables{};
  constexpr std::size_t kBlock = 1U << 30;  // a table's entries stay within 32 bits
  for (std::size_t from = 0; from < count; from += kBlock) {
    const std::size_t end = count - from < kBlock ? count : from + kBlock;
    for (std::size_t i = from; i < end; ++i) {
      const std::int64_t n = levels[i];
      const auto magnitude = static_cast<std::uint64_t>(n < 0 ? -n : n);
      if (magnitude < kFast) [[likely]] {
        ++tables[i % 4][magnitude];
      } else if (magnitude < kSmall) {
        small_[magnitude] += times;
      } else {
        large_[static_cast<std::int64_t>(magnitude)] += times;
      }
    }
    for (std::size_t m = 0; m < kFast; ++m) {
      const std::uint64_t seen =
          std::uint64_t{tables[0][m]} + tables[1][m] + tables[2][m] + tables[3][m];
      small_[m] += seen * times;
    }
    tables = {};
  }
}

void Tally::add(const std::int32_t* levels, std::size_t count, std::uint64_t times) {
  add_levels(levels, count, times);
}

void Tally::add(const std::int16_t* levels, std::size_t count) { add_levels(levels, count, 1); }

void Tally::merge_into(std::map<std::int64_t, std::uint64_t>& into) const {
  for (std::size_t m = 0; m < kSmall; ++m) {
    if (small_[m] != 0) {
      into[static_cast<std::int64_t>(m)] += small_[m];
    }
  }
  for (const auto& [magnitude, count] : large_) {
    into[magnitude] += count;
  }
}

std::pair<std::vector<std::int64_t>, std::vector<std::uint64_t>> Counts::take(std::size_t index) {
  std::map<std::int64_t, std::uint64_t> all;
  for (auto& thread : tallies_) {
    thread[index].merge_into(all);
    thread[index] = Tally();
  }
  std::pair<std::vector<std::int64_t>, std::vector<std::uint64_t>> result;
  for (const auto& [magnitude, count] : all) {
    result.first.push_back(magnitude);
    result.second.push_back(count);
  }
  return result;
}

std::vector<std::uint64_t> Counts::take_totals() {
  std::vector<std::uint64_t> totals(totals_.size());
  totals.swap(totals_);
  return totals;
}

void Counts::add_run(const std::vector<std::size_t>& rows, std::uint64_t causal,
                     std::uint64_t full) {
  for (std::size_t d = 0; d < rows.size(); ++d) {
    totals_[d] += rows[d];
  }
  totals_[rows.size()] += causal;
  totals_[rows.size() + 1] += full;
}

}  // namespace sangbo
