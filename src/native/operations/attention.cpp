#include <algorithm>
#include <limits>
#include <utility>

#include "../run.hpp"
#include "jobs.hpp"

namespace sangbo {
namespace {

class Attention final : public Job {
 public:
  Attention(ValueId output, ValueId query, std::size_t strip, const KeySource& source,
            const AttentionShape& shape)
      : output_(output),
        query_(query),
        strip_(strip),
        source_(source),
        shape_(shape),
        group_(shape.heads / shape.key_heads) {}

  // Items are tiles of up to 4 queries of one key head and one sequence.
  [[nodiscard]] std::size_t items(const Run& run) const override {
    std::size_t count = 0;
    for (std::size_t s = 0; s < sequences(run); ++s) {
      count += tiles(run, s, width(run));
    }
    return count * shape_.key_heads;
  }

  [[nodiscard]] std::size_t grain(const Run& run) const override {
    return std::clamp<std::size_t>(items(run) / (16 * run.threads()), 1, 16);
  }

  void run(Run& run, unsigned thread, std::size_t first, std::size_t last) const override {
    const std::size_t queries = width(run);
    Tallies tallies{run.tally(thread, output_, 0), run.tally(thread, output_, 1), 0};
    std::size_t at = first;
    std::size_t number = 0;
    std::size_t count = tiles(run, 0, queries);
    Sequence of{};  // looked up once for tiles that follow each other
    bool known = false;
    for (std::size_t item = first; item < last; ++item, ++at) {
      while (at >= count * shape_.key_heads) {
        at -= count * shape_.key_heads;
        count = tiles(run, ++number, queries);
        known = false;
      }
      if (!known) {
        of = sequence(run, number);
        known = true;
      }
      tile(run, thread, of, at / count, at % count * queries, queries, tallies);
    }
    if (tallies.queries != nullptr) {
      run.add_total(output_, tallies.visible);
    }
  }

 private:
  // Query levels, each as often as it meets a visible key; probabilities of visible keys. Both are
  // null where nobody wants them.
  struct Tallies {
    Tally* queries;
    Tally* probabilities;
    std::uint64_t visible;  // keys, summed over queries
  };

  // Queries of one sequence, and the keys that they see.
  struct Sequence {
    std::size_t first_row;
    std::size_t rows;
    std::size_t before;  // number of the first row in its sequence
    std::size_t length;  // rows of keys
    KeyRows keys;
    Largest largest;  // |level| of keys and values, or bounds of it
  };

  [[nodiscard]] Axis queries(const Run& run) const {
    return run.program().value(query_).domain.axis;
  }
  [[nodiscard]] std::size_t sequences(const Run& run) const {
    return source_.cached ? run.segments().size() : run.entries(queries(run));
  }
  [[nodiscard]] std::size_t rows_of(const Run& run, std::size_t number) const {
    return source_.cached ? run.segments()[number].rows[queries(run)]
                          : run.program().value(query_).domain.each;
  }

  [[nodiscard]] Sequence sequence(const Run& run, std::size_t number) const {
    Sequence found{};
    found.rows = rows_of(run, number);
    if (source_.cached) {
      const Segment& of = run.segments()[number];
      const Axis axis = source_.domain.axis;
      found.first_row = run.first_row(number, queries(run));
      found.before = of.cache->length(queries(run));
      found.length = (of.cache->length(axis) + of.rows[axis]) * source_.domain.each;
      const Cache::Keys& keys = of.cache->keys(source_.index);
      found.keys = keys.rows();
      found.largest = {keys.largest_key.load(std::memory_order_relaxed),
                       keys.largest_value.load(std::memory_order_relaxed)};
      return found;
    }
    found.first_row = number * found.rows;
    found.length = source_.domain.each;
    found.keys = {run.at<std::byte>(source_.keys, number),
                  run.at<std::byte>(source_.values, number), round_up(found.length, kPanel)};
    const auto* largest = run.at<Largest>(source_.largest, number * found.length);
    for (std::size_t row = 0; row < found.length; ++row) {
      found.largest.key = std::max(found.largest.key, largest[row].key);
      found.largest.value = std::max(found.largest.value, largest[row].value);
    }
    return found;
  }

  // Queries of a tile: fewer than 4 only where there would be too few tiles to share out.
  [[nodiscard]] std::size_t width(const Run& run) const {
    const std::size_t queries = run.rows(run.program().value(query_).domain) * shape_.heads;
    return queries < 16 * run.threads() && run.threads() > 1 ? 1 : 4;
  }

  [[nodiscard]] std::size_t tiles(const Run& run, std::size_t number, std::size_t queries) const {
    return round_up(rows_of(run, number) * group_, queries) / queries;
  }

  void tile(Run& run, unsigned thread, const Sequence& of, std::size_t head, std::size_t first,
            std::size_t queries, Tallies& tallies) const {
    const KeyShape& keys = source_.shape;
    const std::size_t stride = round_up(of.length, kPanel);
    const std::size_t size = round_up(keys.size, kPanel);
    const std::size_t last = std::min(first + queries, of.rows * group_);
    const Value& value = run.program().value(query_);
    const Strip& strip = value.strips[strip_];
    // Queries are numbered row by row among those of one key head, `member` within a row.
    const auto each_query = [&](auto step) {
      std::size_t row = first / group_;
      std::size_t member = first % group_;
      for (std::size_t at = first; at < last; ++at) {
        const std::size_t channel = (head * group_ + member) * keys.size;
        const Run::Levels all = run.levels(strip, of.first_row + row);
        step(row, member, channel,
             Run::Levels{all.shorts + channel, all.wide == nullptr ? nullptr : all.wide + channel});
        if (++member == group_) {
          member = 0;
          ++row;
        }
      }
    };
    constexpr std::int32_t kShort = std::numeric_limits<std::int16_t>::max();
    // What levels may be says most of the time that sums fit, and that queries have 16 bits.
    const std::int32_t bound = value.largest;
    std::int64_t reach = static_cast<std::int64_t>(keys.size) * bound;
    std::int32_t largest = bound;
    if (bound > kShort || !fits(reach, of.largest.key)) {
      reach = 0;
      largest = 0;
      each_query([&](std::size_t, std::size_t, std::size_t, const Run::Levels& from) {
        const auto [sum, most] = from.wide != nullptr ? reach_of(from.wide) : reach_of(from.shorts);
        reach = std::max(reach, sum);
        largest = std::max(largest, most);
      });
    }
    const bool wide = keys.element == 4 || std::max(largest, shape_.highest) > kShort;
    const std::size_t element = wide ? sizeof(std::int32_t) : sizeof(std::int16_t);
    std::byte* memory = run.scratch(thread, 4 * (stride * (8 + element) + size * element));
    AttendTask task{};
    task.scores = reinterpret_cast<std::int32_t*>(memory);
    std::byte* levels = memory + 4 * stride * sizeof(std::int32_t);
    task.probabilities = levels;
    std::byte* query = levels + 4 * stride * element;
    auto* biases = reinterpret_cast<float*>(query + 4 * size * element);
    task.stride = stride;
    task.element = keys.element;
    task.wide = wide;
    task.size = keys.size;
    task.keys = of.keys.keys + head * keys.key_stride(of.keys.padded) * keys.bytes();
    task.values = of.keys.values + head * keys.value_stride(of.keys.padded) * keys.bytes();
    task.values_stride = of.keys.padded * kPanel;
    task.scale = shape_.scale;
    task.inverse = shape_.inverse;
    task.highest = shape_.highest;
    task.threshold = shape_.threshold;
    each_query(
        [&](std::size_t row, std::size_t member, std::size_t channel, const Run::Levels& from) {
          const std::size_t visible = shape_.causal ? of.before + row + 1 : of.length;
          task.queries[task.rows] = from.shorts;
          if (wide || from.wide != nullptr || keys.size % 2 != 0) {
            copy_query(from, query, wide);
            task.queries[task.rows] = query;
            query += size * element;
          }
          task.visible[task.rows] = visible;
          task.out[task.rows] = run.reals(output_, of.first_row + row) + channel;
          if (!shape_.distances.empty()) {
            task.biases[task.rows] = biases;
            bias(head * group_ + member, of.before + row, visible, biases);
            biases += stride;
          }
          if (tallies.queries != nullptr) {
            if (from.wide != nullptr) {
              tallies.queries->add(run.kernels(), from.wide, keys.size, visible);
            } else {
              tallies.queries->add(run.kernels(), from.shorts, keys.size, visible);
            }
            if (head == 0 && member == 0) {
              tallies.visible += visible;
            }
          }
          ++task.rows;
        });
    run.kernels().attend(task);
    finish(run, task, of.largest, reach, tallies);
  }

  // Whether a sum of so much, each part times `largest`, stays within 32 bits.
  static bool fits(std::int64_t sum, std::int32_t largest) {
    return sum * largest < std::int64_t{1} << 31;
  }

  // Σ |n| and the largest |n| of one query.
  template <class Level>
  [[nodiscard]] std::pair<std::int64_t, std::int32_t> reach_of(const Level* levels) const {
    std::int64_t sum = 0;
    std::int32_t most = 0;
    for (std::size_t c = 0; c < source_.shape.size; ++c) {
      const std::int32_t magnitude = levels[c] < 0 ? -levels[c] : levels[c];
      sum += magnitude;
      most = std::max(most, magnitude);
    }
    return {sum, most};
  }

  // Copies a query, with a zero behind it where its size is odd.
  void copy_query(const Run::Levels& from, std::byte* to, bool wide) const {
    const std::size_t size = source_.shape.size;
    for (std::size_t c = 0; c < size + size % 2; ++c) {
      const std::int32_t n = c == size ? 0 : from[c];
      if (wide) {
        reinterpret_cast<std::int32_t*>(to)[c] = n;
      } else {
        reinterpret_cast<std::int16_t*>(to)[c] = static_cast<std::int16_t>(n);
      }
    }
  }

  // b_h(j − i) of a query i and each key j that it sees.
  void bias(std::size_t head, std::size_t query, std::size_t visible, float* to) const {
    const std::size_t columns = shape_.distances.size() / shape_.heads;
    const auto most = static_cast<std::int64_t>(columns / 2);
    const float* table = shape_.distances.data() + head * columns + most;
    for (std::size_t key = 0; key < visible; ++key) {
      const auto distance = static_cast<std::int64_t>(key) - static_cast<std::int64_t>(query);
      to[key] = table[std::clamp(distance, -most, most)];
    }
  }

  void finish(Run& run, const AttendTask& task, const Largest& largest, std::int64_t reach,
              const Tallies& tallies) const {
    bool fit = fits(reach, largest.key);
    for (int r = 0; r < task.rows; ++r) {
      const std::size_t at = static_cast<std::size_t>(r) * task.stride;
      fit = fit && fits(task.sums[r], largest.value);
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
    if (!fit) {
      run.fail(Fault::kAccumulator, output_);
    }
  }

  ValueId output_;
  ValueId query_;
  std::size_t strip_;
  KeySource source_;
  AttentionShape shape_;
  std::size_t group_;
};

class Append final : public RowOperation {
 public:
  Append(ValueId key, std::size_t key_strip, ValueId value, std::size_t value_strip,
         const KeySource& source)
      : key_(key),
        key_strip_(key_strip),
        value_(value),
        value_strip_(value_strip),
        source_(source) {}

  void rows(Run& run, unsigned thread, std::size_t first, std::size_t last) const override {
    const auto [axis, each] = source_.domain;
    for (std::size_t row = first; row < last; ++row) {
      const std::size_t entry = row / each;
      if (source_.cached) {
        const std::size_t number = run.segment_of(entry, axis);
        Cache& cache = *run.segments()[number].cache;
        const std::size_t at = cache.length(axis) + entry - run.first_row(number, axis);
        Cache::Keys& keys = cache.keys(source_.index);
        keys.reach(write(run, thread, keys.rows(), at * each + row % each, row));
      } else {
        const KeyRows to{run.at<std::byte>(source_.keys, entry),
                         run.at<std::byte>(source_.values, entry), round_up(each, kPanel)};
        *run.at<Largest>(source_.largest, row) = write(run, thread, to, row % each, row);
      }
    }
  }

 private:
  // Writes a row as row `at` of keys.
  [[nodiscard]] Largest write(Run& run, unsigned thread, const KeyRows& to, std::size_t at,
                              std::size_t row) const {
    const Run::Levels key = levels(run, key_, key_strip_, row);
    const Run::Levels value = levels(run, value_, value_strip_, row);
    if (key.wide == nullptr && value.wide == nullptr) {
      return write_keys(source_.shape, to, at, key.shorts, value.shorts);
    }
    const std::size_t channels = source_.shape.heads * source_.shape.size;
    auto* wide =
        reinterpret_cast<std::int32_t*>(run.scratch(thread, 2 * channels * sizeof(std::int32_t)));
    for (std::size_t c = 0; c < channels; ++c) {
      wide[c] = key[c];
      wide[channels + c] = value[c];
    }
    return write_keys(source_.shape, to, at, wide, wide + channels);
  }

  static Run::Levels levels(const Run& run, ValueId id, std::size_t strip, std::size_t row) {
    return run.levels(run.program().value(id).strips[strip], row);
  }

  ValueId key_;
  std::size_t key_strip_;
  ValueId value_;
  std::size_t value_strip_;
  KeySource source_;
};

}  // namespace

std::unique_ptr<RowOperation> make_append(ValueId key, std::size_t key_strip, ValueId value,
                                          std::size_t value_strip, const KeySource& source) {
  return std::make_unique<Append>(key, key_strip, value, value_strip, source);
}

std::unique_ptr<Job> make_attention(ValueId output, ValueId query, std::size_t strip,
                                    const KeySource& source, const AttentionShape& shape) {
  return std::make_unique<Attention>(output, query, strip, source, shape);
}

}  // namespace sangbo
