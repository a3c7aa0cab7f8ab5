#include "counts.hpp"

#include <algorithm>

namespace sangbo {

SparseCounts::Slot& SparseCounts::find(std::uint32_t magnitude) {
  constexpr std::uint32_t kSpread = 2654435769U;  // 2³² over the golden ratio
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = (magnitude * kSpread >> 12) & mask;
  while (slots_[at].times != 0 && slots_[at].magnitude != magnitude) {
    at = (at + 1) & mask;
  }
  return slots_[at];
}

void SparseCounts::grow() {
  std::vector<Slot> old(std::max<std::size_t>(32, 2 * slots_.size()));
  old.swap(slots_);
  for (const Slot& slot : old) {
    if (slot.times != 0) {
      find(slot.magnitude) = slot;
    }
  }
}

template <class Count>
template <class Level>
void Batch<Count>::add(const Level* levels, std::size_t count, std::uint64_t times) {
  if (tally_ == nullptr) {
    return;
  }
  const auto once = static_cast<Count>(times);
  constexpr std::size_t kBlock = 64;
  std::array<std::uint32_t, kBlock> magnitudes;
  for (std::size_t from = 0; from < count; from += kBlock) {
    const std::size_t size = std::min(kBlock, count - from);
    std::uint32_t any = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const std::int32_t n = levels[from + i];
      magnitudes[i] = static_cast<std::uint32_t>(n < 0 ? -n : n);
      any |= magnitudes[i];
    }
    if (any == 0) {
      tables_[0][0] += static_cast<Count>(size * once);
    } else if (any < Tally::kSmall) {
      std::size_t i = 0;
      for (; i + 4 <= size; i += 4) {
        tables_[0][magnitudes[i]] += once;
        tables_[1][magnitudes[i + 1]] += once;
        tables_[2][magnitudes[i + 2]] += once;
        tables_[3][magnitudes[i + 3]] += once;
      }
      for (; i < size; ++i) {
        tables_[0][magnitudes[i]] += once;
      }
    } else {
      for (std::size_t i = 0; i < size; ++i) {
        if (magnitudes[i] < Tally::kSmall) {
          tables_[i % 4][magnitudes[i]] += once;
        } else {
          tally_->add_large(magnitudes[i], times);
        }
      }
    }
  }
}

template <class Count>
Batch<Count>::~Batch() {
  if (tally_ != nullptr) {
    for (std::size_t m = 0; m < Tally::kSmall; ++m) {
      tally_->add_small(
          m, std::uint64_t{tables_[0][m]} + tables_[1][m] + tables_[2][m] + tables_[3][m]);
    }
  }
}

template class Batch<std::uint32_t>;
template class Batch<std::uint64_t>;
template void Batch<std::uint32_t>::add(const std::int32_t*, std::size_t, std::uint64_t);
template void Batch<std::uint32_t>::add(const std::int16_t*, std::size_t, std::uint64_t);
template void Batch<std::uint64_t>::add(const std::int32_t*, std::size_t, std::uint64_t);

void Tally::merge_into(std::map<std::int64_t, std::uint64_t>& into) const {
  for (std::size_t m = 0; m < kSmall; ++m) {
    if (small_[m] != 0) {
      into[static_cast<std::int64_t>(m)] += small_[m];
    }
  }
  large_.each([&into](std::uint32_t magnitude, std::uint64_t times) { into[magnitude] += times; });
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
