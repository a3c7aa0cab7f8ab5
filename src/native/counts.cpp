#include "counts.hpp"

#include <algorithm>
#include <bit>

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

namespace {

std::uint32_t magnitudes(const Kernels& kernels, const std::int32_t* levels, std::size_t count,
                         std::uint16_t* to) {
  return kernels.magnitudes(levels, count, to);
}
std::uint32_t magnitudes(const Kernels& kernels, const std::int16_t* levels, std::size_t count,
                         std::uint16_t* to) {
  return kernels.short_magnitudes(levels, count, to);
}

}  // namespace

template <class Level>
void Tally::add(const Kernels& kernels, const Level* levels, std::size_t count,
                std::uint64_t times) {
  constexpr std::uint32_t kLargest = 0xffff;
  if (pending_ == nullptr) {
    if (spare_->memory.empty()) {
      pending_ = std::make_unique_for_overwrite<std::uint16_t[]>(kPending);
    } else {
      pending_ = std::move(spare_->memory.back());
      spare_->memory.pop_back();
    }
  }
  while (count > 0) {
    if (waiting_ == kPending) {
      settle(kernels);
    }
    const std::size_t size = std::min(count, kPending - waiting_);
    std::uint16_t* to = pending_.get() + waiting_;
    const std::uint32_t any = magnitudes(kernels, levels, size, to);
    seen_ |= any;
    std::size_t kept = size;
    if (any > kLargest) {
      kept = 0;
      for (std::size_t i = 0; i < size; ++i) {
        const std::int32_t n = levels[i];
        const auto magnitude = static_cast<std::uint32_t>(n < 0 ? -n : n);
        if (magnitude > kLargest) {
          sparse_.add(magnitude, times);
        } else {
          to[kept++] = static_cast<std::uint16_t>(magnitude);
        }
      }
    }
    waiting_ += kept;
    if (!blocks_.empty() && blocks_.back().times == times) {
      blocks_.back().count += kept;
    } else if (kept > 0) {
      blocks_.push_back({kept, times});
    }
    levels += size;
    count -= size;
  }
}

template void Tally::add(const Kernels&, const std::int32_t*, std::size_t, std::uint64_t);
template void Tally::add(const Kernels&, const std::int16_t*, std::size_t, std::uint64_t);

// Counts magnitudes that stand for several each. Equal neighbours would wait for each other's
// store, so small magnitudes have four places.
struct Tally::Weighted {
  static constexpr std::size_t kChunk = 64;

  std::array<std::array<std::uint64_t, kSmall>, 4> small{};

  // Counts a chunk of magnitudes below kSmall.
  void count(const std::uint16_t* next, std::uint64_t times) {
    for (std::size_t i = 0; i < kChunk; i += 4) {
      small[0][next[i]] += times;
      small[1][next[i + 1]] += times;
      small[2][next[i + 2]] += times;
      small[3][next[i + 3]] += times;
    }
  }

  void merge(std::uint64_t* dense) const {
    for (std::size_t m = 0; m < kSmall; ++m) {
      dense[m] += small[0][m] + small[1][m] + small[2][m] + small[3][m];
    }
  }
};

void Tally::add_each(const std::uint16_t* from, std::size_t count, std::uint64_t times) {
  for (std::size_t i = 0; i < count; ++i) {
    if (from[i] < kTabled) {
      dense_[from[i]] += times;
    } else {
      sparse_.add(from[i], times);
    }
  }
}

void Tally::add_weighted(const std::uint16_t* from) {
  Weighted weighted;
  for (const Block& block : blocks_) {
    if (block.times != 1 && block.count < kMany) {
      for (std::size_t at = 0; at < block.count; at += Weighted::kChunk) {
        const std::size_t size = std::min(block.count - at, Weighted::kChunk);
        std::uint32_t any = 0;
        for (std::size_t i = at; i < at + size; ++i) {
          any |= from[i];
        }
        if (any < kSmall && size == Weighted::kChunk) {
          weighted.count(from + at, block.times);
        } else {
          add_each(from + at, size, block.times);
        }
      }
    }
    from += block.count;
  }
  weighted.merge(dense_.data());
}

// Few tokens ask for the same tally, so its table is far away in memory: it is read once for all
// that waits.
void Tally::settle(const Kernels& kernels) {
  static_assert(kPending <= kMostCounted);
  const std::size_t reach = std::max(kSmall, std::bit_ceil(seen_ + std::size_t{1}));
  dense_.resize(std::max(dense_.size(), std::min(kTabled, reach)));
  const std::uint16_t* next = pending_.get();
  std::array<std::uint16_t, kPending> above;
  std::array<std::uint64_t, kTabled> once;
  bool weighted = false;
  for (const Block& block : blocks_) {
    if (block.times == 1 || block.count >= kMany) {
      // Of many that stand for several each, how often they occur is multiplied.
      std::uint64_t* counts = dense_.data();
      if (block.times != 1) {
        std::fill_n(once.data(), dense_.size(), 0);
        counts = once.data();
      }
      const std::size_t listed = kernels.histogram(next, block.count, counts, above.data());
      for (std::size_t i = 0; i < listed; ++i) {
        sparse_.add(above[i], block.times);
      }
      for (std::size_t m = 0; block.times != 1 && m < dense_.size(); ++m) {
        dense_[m] += once[m] * block.times;
      }
    } else {
      weighted = true;
    }
    next += block.count;
  }
  if (weighted) {
    add_weighted(pending_.get());
  }
  waiting_ = 0;
  seen_ = 0;
  blocks_.clear();
}

void Tally::take(const Kernels& kernels, std::map<std::int64_t, std::uint64_t>& into) {
  settle(kernels);
  for (std::size_t m = 0; m < dense_.size(); ++m) {
    if (dense_[m] != 0) {
      into[static_cast<std::int64_t>(m)] += dense_[m];
    }
  }
  sparse_.each([&into](std::uint32_t magnitude, std::uint64_t times) { into[magnitude] += times; });
  *this = Tally(*spare_);
}

void Counts::settle(std::size_t number) {
  const std::size_t each = tallies_.front().size();
  Tally& tally = tallies_[number / each][number % each];
  if (tally.ripe()) {
    tally.settle(kernels_);
  }
}

std::pair<std::vector<std::int64_t>, std::vector<std::uint64_t>> Counts::take(std::size_t index) {
  std::map<std::int64_t, std::uint64_t> all;
  for (auto& thread : tallies_) {
    thread[index].take(kernels_, all);
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

void Counts::add_run(const std::vector<std::size_t>& rows, const std::vector<std::uint64_t>& sums) {
  for (std::size_t a = 0; a < rows.size(); ++a) {
    totals_[a] += rows[a];
  }
  for (std::size_t i = 0; i < sums.size(); ++i) {
    totals_[rows.size() + i] += sums[i];
  }
}

}  // namespace sangbo
