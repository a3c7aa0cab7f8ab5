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
    if (spare_->empty()) {
      pending_ = std::make_unique_for_overwrite<std::uint16_t[]>(kPending);
    } else {
      pending_ = std::move(spare_->back());
      spare_->pop_back();
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
    } else {
      blocks_.push_back({kept, times});
    }
    levels += size;
    count -= size;
  }
}

template void Tally::add(const Kernels&, const std::int32_t*, std::size_t, std::uint64_t);
template void Tally::add(const Kernels&, const std::int16_t*, std::size_t, std::uint64_t);

// Few tokens ask for the same tally, so its table is far away in memory: what waits is counted
// here, and the table read once from end to end. Equal neighbours would wait for each other's
// store, so magnitudes have several places; small ones are counted in pairs, which halves the
// stores.
struct Tally::Tables {
  static constexpr std::size_t kChunk = 64;

  std::array<std::array<std::uint16_t, kPaired * kPaired>, 2> pairs{};
  std::array<std::array<std::uint64_t, kSmall>, 4> small{};
  std::uint64_t clipped = 0;  // larger magnitudes, which pairs count as kPaired − 1

  // Counts a chunk whose magnitudes are at most kPaired − 1, each once.
  void count_pairs(const std::uint16_t* next) {
    constexpr std::uint64_t kPlace = kPaired * kPaired - 1;
    constexpr int kShift = 16 - std::countr_zero(kPaired);
    for (std::size_t i = 0; i < kChunk; i += 4) {
      std::uint64_t four;
      __builtin_memcpy(&four, next + i, sizeof four);
      const std::uint64_t places = four | four >> kShift;  // of the first pair, and 32 bits above
      ++pairs[0][places & kPlace];
      ++pairs[1][places >> 32 & kPlace];
    }
  }

  void count_small(const std::uint16_t* next, std::uint64_t times) {
    for (std::size_t i = 0; i < kChunk; i += 4) {
      small[0][next[i]] += times;
      small[1][next[i + 1]] += times;
      small[2][next[i + 2]] += times;
      small[3][next[i + 3]] += times;
    }
  }

  // Adds everything to `dense`.
  void merge(std::uint64_t* dense) const {
    for (std::size_t m = 0; m < kSmall; ++m) {
      dense[m] += small[0][m] + small[1][m] + small[2][m] + small[3][m];
    }
    std::array<std::uint32_t, kPaired> first{};
    for (std::size_t b = 0; b < kPaired; ++b) {
      std::uint32_t second = 0;
      for (std::size_t a = 0; a < kPaired; ++a) {
        std::uint32_t times = 0;
        for (const auto& table : pairs) {
          times += table[b * kPaired + a];
        }
        first[a] += times;
        second += times;
      }
      dense[b] += second;
    }
    for (std::size_t a = 0; a < kPaired; ++a) {
      dense[a] += first[a];
    }
    dense[kPaired - 1] -= clipped;  // these were counted by themselves
  }
};

void Tally::add_each(const std::uint16_t* from, std::size_t count, std::uint64_t times) {
  for (std::size_t i = 0; i < count; ++i) {
    if (from[i] < kDense) {
      dense_[from[i]] += times;
    } else {
      sparse_.add(from[i], times);
    }
  }
}

void Tally::settle(const Kernels& kernels) {
  static_assert(kPending / 4 <= 0xffff, "a place of a pair counts all that may wait");
  Tables tables;
  const std::size_t reach = std::max(kSmall, std::bit_ceil(seen_ + std::size_t{1}));
  dense_.resize(std::max(dense_.size(), std::min(kDense, reach)));
  const std::uint16_t* next = pending_.get();
  for (const Block& block : blocks_) {
    for (std::size_t left = block.count; left > 0;) {
      const std::size_t size = std::min(left, Tables::kChunk);
      std::uint32_t any = 0;
      for (std::size_t i = 0; i < size; ++i) {
        any |= next[i];
      }
      if (any == 0) {
        tables.small[0][0] += size * block.times;
      } else if (size == Tables::kChunk && block.times == 1) {
        if (any < kPaired) {
          tables.count_pairs(next);
        } else {
          alignas(64) std::array<std::uint16_t, Tables::kChunk> low;
          alignas(64) std::array<std::uint16_t, 2 * Tables::kChunk> above;
          const std::size_t found = kernels.clip(next, kPaired - 1, low.data(), above.data());
          if (found > Tables::kChunk / 2) {
            add_each(next, size, 1);
          } else {
            tables.count_pairs(low.data());
            tables.clipped += found;
            add_each(above.data(), found, 1);
          }
        }
      } else if (any < kSmall && size == Tables::kChunk) {
        tables.count_small(next, block.times);
      } else {
        add_each(next, size, block.times);
      }
      next += size;
      left -= size;
    }
  }
  tables.merge(dense_.data());
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

void Counts::settle(std::atomic<std::size_t>& next) {
  constexpr std::size_t kGrain = 16;
  const std::size_t tallies = tallies_.front().size();
  const std::size_t all = tallies * tallies_.size();
  for (std::size_t at = next.fetch_add(kGrain); at < all; at = next.fetch_add(kGrain)) {
    for (std::size_t i = at; i < std::min(all, at + kGrain); ++i) {
      Tally& tally = tallies_[i / tallies][i % tallies];
      if (tally.ripe()) {
        tally.settle(kernels_);
      }
    }
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
