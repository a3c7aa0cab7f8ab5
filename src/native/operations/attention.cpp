#include <algorithm>
#include <limits>
#include <utility>

#include "../run.hpp"
#include "jobs.hpp"

namespace sangbo {
namespace {

class Attention final : public Job {
 public:
  Attention(ValueId output, ValueId query, std::size_t layer, const CacheShape& cache,
            const Program::AttentionShape& shape)
      : output_(output),
        query_(query),
        layer_(layer),
        cache_(cache),
        shape_(shape),
        group_(shape.heads / shape.key_heads) {}

  // Items are tiles of up to 4 queries of one key head and one sequence.
  [[nodiscard]] std::size_t items(const Run& run) const override {
    std::size_t count = 0;
    for (const Segment& segment : run.segments()) {
      count += tiles(segment, width(run)) * shape_.key_heads;
    }
    return count;
  }

  [[nodiscard]] std::size_t grain(const Run& run) const override {
    return std::clamp<std::size_t>(items(run) / (16 * run.threads()), 1, 16);
  }

  void run(Run& run, unsigned thread, std::size_t first, std::size_t last) const override {
    const std::size_t queries = width(run);
    const Tallies tallies{run.tally(thread, output_, 0), run.tally(thread, output_, 1)};
    for (std::size_t item = first; item < last; ++item) {
      std::size_t at = item;
      std::size_t segment = 0;
      std::size_t count = tiles(run.segments()[0], queries);
      while (at >= count * shape_.key_heads) {
        at -= count * shape_.key_heads;
        count = tiles(run.segments()[++segment], queries);
      }
      tile(run, thread, segment, at / count, at % count * queries, queries, tallies);
    }
  }

 private:
  // Query levels, each as often as it meets a visible key; probabilities of visible keys. Both are
  // null where nobody wants them.
  struct Tallies {
    Tally* queries;
    Tally* probabilities;
  };

  // Queries of a tile: fewer than 4 only where there would be too few tiles to share out.
  [[nodiscard]] std::size_t width(const Run& run) const {
    const std::size_t queries = run.rows(0) * shape_.heads;
    return queries < 16 * run.threads() && run.threads() > 1 ? 1 : 4;
  }

  [[nodiscard]] std::size_t tiles(const Segment& segment, std::size_t queries) const {
    return round_up(segment.rows * group_, queries) / queries;
  }

  void tile(Run& run, unsigned thread, std::size_t segment, std::size_t head, std::size_t first,
            std::size_t queries, const Tallies& tallies) const {
    const Segment& of = run.segments()[segment];
    Cache& cache = *of.cache;
    const Cache::Layer& layer = cache.layer(layer_);
    const std::size_t length = cache.length() + of.rows;
    const std::size_t stride = round_up(length, kPanel);
    const std::size_t size = round_up(cache_.size, kPanel);
    const std::size_t last = std::min(first + queries, of.rows * group_);
    const auto levels_of = [&](std::size_t at) {
      return run.plain_levels(query_, run.first_row(segment) + at / group_) + channel_of(head, at);
    };
    std::int64_t reach = 0;
    std::int32_t largest = shape_.highest;
    for (std::size_t at = first; at < last; ++at) {
      const auto [sum, most] = reach_of(levels_of(at));
      reach = std::max(reach, sum);
      largest = std::max(largest, most);
    }
    constexpr std::int32_t kShort = std::numeric_limits<std::int16_t>::max();
    const bool wide = cache_.element == 4 || largest > kShort;
    const std::size_t element = wide ? sizeof(std::int32_t) : sizeof(std::int16_t);
    std::byte* memory = run.scratch(thread, 4 * (stride * (4 + element) + size * element));
    AttendTask task{};
    task.scores = reinterpret_cast<std::int32_t*>(memory);
    std::byte* levels = memory + 4 * stride * sizeof(std::int32_t);
    task.probabilities = levels;
    std::byte* query = levels + 4 * stride * element;
    task.stride = stride;
    task.element = cache_.element;
    task.wide = wide;
    task.size = cache_.size;
    const auto bytes = static_cast<std::size_t>(cache_.element);
    task.keys = layer.keys.data() + head * cache.key_stride(cache_) * bytes;
    task.values = layer.values.data() + head * cache.value_stride(cache_) * bytes;
    task.values_stride = cache.padded() * kPanel;
    task.scale = shape_.scale;
    task.inverse = shape_.inverse;
    task.highest = shape_.highest;
    task.threshold = shape_.threshold;
    for (std::size_t at = first; at < last; ++at, ++task.rows) {
      const std::size_t row = at / group_;
      const std::int32_t* from = levels_of(at);
      const std::size_t visible = shape_.causal ? cache.length() + row + 1 : length;
      copy_query(from, query, wide);
      task.queries[task.rows] = query;
      task.visible[task.rows] = visible;
      task.out[task.rows] = run.reals(output_, run.first_row(segment) + row) + channel_of(head, at);
      query += size * element;
      if (tallies.queries != nullptr) {
        tallies.queries->add(run.kernels(), from, cache_.size, visible);
      }
    }
    run.kernels().attend(task);
    finish(run, task, layer, reach, tallies);
  }

  // First channel of a query, numbered row by row among those of one key head.
  [[nodiscard]] std::size_t channel_of(std::size_t head, std::size_t query) const {
    return (head * group_ + query % group_) * cache_.size;
  }

  // Σ |n| and the largest |n| of one query.
  [[nodiscard]] std::pair<std::int64_t, std::int32_t> reach_of(const std::int32_t* levels) const {
    std::int64_t sum = 0;
    std::int32_t most = 0;
    for (std::size_t c = 0; c < cache_.size; ++c) {
      const std::int32_t magnitude = levels[c] < 0 ? -levels[c] : levels[c];
      sum += magnitude;
      most = std::max(most, magnitude);
    }
    return {sum, most};
  }

  // Copies a query, with a zero behind it where its size is odd.
  void copy_query(const std::int32_t* from, std::byte* to, bool wide) const {
    const std::size_t end = cache_.size + cache_.size % 2;
    for (std::size_t c = 0; c < end; ++c) {
      const std::int32_t n = c < cache_.size ? from[c] : 0;
      if (wide) {
        reinterpret_cast<std::int32_t*>(to)[c] = n;
      } else {
        reinterpret_cast<std::int16_t*>(to)[c] = static_cast<std::int16_t>(n);
      }
    }
  }

  void finish(Run& run, const AttendTask& task, const Cache::Layer& layer, std::int64_t reach,
              const Tallies& tallies) const {
    constexpr std::int64_t kLimit = std::int64_t{1} << 31;
    bool fits = reach * layer.largest_key.load(std::memory_order_relaxed) < kLimit;
    const std::int64_t value = layer.largest_value.load(std::memory_order_relaxed);
    for (int r = 0; r < task.rows; ++r) {
      const std::size_t at = static_cast<std::size_t>(r) * task.stride;
      fits = fits && task.sums[r] * value < kLimit;
      if (tallies.probabilities == nullptr) {
        continue;
      }
      if (task.wide) {
        const auto* levels = static_cast<const std::int32_t*>(task.probabilities) + at;
        tallies.probabilities->add(run.kernels(), levels, task.visible[r]);
      } else {
        const auto* levels = static_cast<const std::int16_t*>(task.probabilities) + at;
        tallies.probabilities->add(run.kernels(), levels, task.visible[r]);
      }
    }
    if (!fits) {
      run.fail(Fault::kAccumulator, output_);
    }
  }

  ValueId output_;
  ValueId query_;
  std::size_t layer_;
  CacheShape cache_;
  Program::AttentionShape shape_;
  std::size_t group_;
};

}  // namespace

std::unique_ptr<Job> make_attention(ValueId output, ValueId query, std::size_t layer,
                                    const CacheShape& cache, const Program::AttentionShape& shape) {
  return std::make_unique<Attention>(output, query, layer, cache, shape);
}

}  // namespace sangbo
