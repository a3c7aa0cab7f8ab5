// A graph as native operations: built once, then run by any number of callers.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <vector>

#include "buffer.hpp"
#include "cache.hpp"
#include "counts.hpp"
#include "kernels/kernels.hpp"
#include "packed.hpp"
#include "pool.hpp"

namespace sangbo {

class Chain;
class Run;

enum class Kind { kReal, kIndex, kLevels };

// A stretch of a run's workspace: `bytes` for each row of a domain, alive from the stage that
// writes it to the last stage that reads it.
struct Place {
  std::size_t bytes = 0;
  std::size_t domain = 0;
  std::size_t first = 0;
  std::size_t last = 0;
  int slot = -1;      // in the workspace, or
  int external = -1;  // the caller's memory: an input or an output
};

// Levels as linear operations with one size of group read them.
struct Encoding {
  std::size_t group;
  std::size_t groups;
  std::size_t low;  // places
  std::size_t extras;
  std::size_t extra_counts;
  std::size_t sums;
  std::size_t magnitudes;  // Σ |n| as int64
  std::size_t digits;      // number of its Digits

  [[nodiscard]] std::size_t padded() const { return groups * padded_group(group); }
};

// How many bits the low digits of an encoding get: the choice follows what earlier runs saw.
class Digits {
 public:
  // Knows nothing yet, and chooses the widest.
  explicit Digits(const DigitCosts& costs)
      : costs_(costs), bits_(costs.choices[costs.count - 1].bits) {}
  [[nodiscard]] int bits() const { return bits_.load(std::memory_order_relaxed); }
  // Notes the levels of a sampled row.
  void sample(const std::int32_t* levels, std::size_t count);
  // Chooses for the runs to come.
  void choose();

 private:
  const DigitCosts& costs_;
  std::atomic<int> bits_;
  std::atomic<std::uint64_t> fours_{0};
  // Fours with levels beyond the bits of each choice.
  std::array<std::atomic<std::uint64_t>, std::extent_v<decltype(DigitCosts::choices)>> over_{};
};

struct Value {
  std::string name;
  Kind kind;
  std::size_t channels;
  std::size_t domain;
  std::size_t written = 0;  // stage
  std::size_t read = 0;     // last stage that reads it
  int place = -1;           // reals, indices, or levels as int32 where something reads them so
  std::vector<Encoding> encodings;

  [[nodiscard]] std::size_t padded() const {
    return kind == Kind::kIndex ? 1 : round_up(channels, kPanel);
  }
};

using ValueId = std::size_t;

// Rows of cosines and sines, one for each position; the memory belongs to someone else.
struct RotaryTables {
  const float* cosine;
  const float* sine;
  std::size_t positions;
};

// Part of a stage: `items` that any thread may take, in any order, without waiting for others.
class Job {
 public:
  Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  virtual ~Job() = default;
  [[nodiscard]] virtual std::size_t items(const Run& run) const = 0;
  // Items that a thread takes at a time.
  [[nodiscard]] virtual std::size_t grain(const Run& run) const = 0;
  virtual void run(Run& run, unsigned thread, std::size_t first, std::size_t last) const = 0;
};

// An operation that computes each row from the same row of its inputs.
class RowOperation {
 public:
  RowOperation() = default;
  RowOperation(const RowOperation&) = delete;
  RowOperation& operator=(const RowOperation&) = delete;
  virtual ~RowOperation() = default;
  virtual void rows(Run& run, unsigned thread, std::size_t first, std::size_t last) const = 0;
};

struct Segment {
  Cache* cache;
  std::size_t rows;
};

// What a caller gives to a run.
struct Call {
  std::vector<std::size_t> rows;      // of each domain
  std::vector<std::byte*> externals;  // memory of inputs, then outputs
  std::vector<Segment> segments;      // of domain 0
  Counts* counts = nullptr;
  std::function<bool()> interrupted;  // asked now and then by the calling thread
  const std::atomic<bool>* cancelled = nullptr;
};

class Program {
 public:
  Program(const Kernels& kernels, unsigned threads);
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program();

  // --- building: values and operations in the order of the graph ---
  std::size_t domain();
  ValueId input(std::string name, Kind kind, std::size_t domain, std::size_t channels);
  std::size_t weight(const StoredWeight& stored);
  ValueId embedding(std::string name, ValueId index, std::size_t weight);
  // A table that no linear operation shares; its memory must outlive the program.
  ValueId table(std::string name, ValueId index, const StoredWeight& stored);
  ValueId select(std::string name, ValueId input, ValueId rows);
  ValueId linear(std::string name, ValueId input, std::size_t weight, float threshold,
                 const std::vector<float>& bias);
  ValueId neuron(std::string name, ValueId input, const std::vector<float>& inverse,
                 std::int32_t lowest, std::int32_t highest);
  ValueId norm(std::string name, ValueId input, bool layer, const std::vector<float>& weight,
               const std::vector<float>& bias, float epsilon);
  ValueId activation(std::string name, ValueId input, bool gelu);
  ValueId binary(std::string name, ValueId left, ValueId right, bool multiply);
  // The tables must outlive the program.
  ValueId rotary(std::string name, ValueId input, ValueId positions, const RotaryTables& tables,
                 std::size_t heads);
  struct AttentionShape {
    std::size_t heads;
    std::size_t key_heads;
    bool causal;
    std::int32_t highest;
    float scale;      // fl(fl(θq·θk)·scale)
    float inverse;    // 1/θp
    float threshold;  // θv
  };
  ValueId attention(std::string name, ValueId query, ValueId key, ValueId value,
                    const AttentionShape& shape);
  void output(ValueId value);
  void finish();

  // --- running ---
  void run(const Call& call);
  [[nodiscard]] std::unique_ptr<Cache> cache(std::size_t capacity) const;
  [[nodiscard]] std::unique_ptr<Counts> counts() const;

  [[nodiscard]] const Kernels& kernels() const { return kernels_; }
  [[nodiscard]] unsigned threads() const { return pool_.threads(); }
  [[nodiscard]] const Value& value(ValueId id) const { return values_[id]; }
  [[nodiscard]] const Place& place(std::size_t id) const { return places_[id]; }
  [[nodiscard]] const PackedWeight& packed(std::size_t id) const { return *weights_[id]; }
  [[nodiscard]] Digits& digits(std::size_t id) const { return *digits_[id]; }
  [[nodiscard]] std::size_t packed_bytes() const;
  // The tally of a value of levels, or of an operation's further tallies.
  [[nodiscard]] std::size_t tally(ValueId value, std::size_t which = 0) const;

 private:
  friend class Run;

  struct Slot {
    std::size_t bytes;
    std::size_t domain;
    std::size_t free_from;
  };
  struct Stage {
    std::vector<std::unique_ptr<Job>> jobs;
    std::map<std::size_t, Chain*> chains;  // the job of row operations of each domain
  };

  ValueId write(std::string name, Kind kind, std::size_t domain, std::size_t channels,
                std::size_t stage);
  ValueId row_value(std::string name, Kind kind, std::size_t domain, std::size_t channels,
                    std::size_t stage);
  std::size_t read(std::initializer_list<ValueId> inputs, bool row_wise, std::size_t domain);
  void add_row_operation(std::size_t stage, std::size_t domain,
                         std::unique_ptr<RowOperation> operation);
  void need_plain(ValueId value);
  std::size_t need_encoding(ValueId value, std::size_t group);
  std::size_t new_place(std::size_t bytes, std::size_t domain);

  const Kernels& kernels_;
  Pool pool_;
  std::vector<Value> values_;
  std::vector<bool> written_by_rows_;
  std::vector<int> value_levels_;  // largest declared |level|, of neurons
  std::vector<Place> places_;
  std::vector<Slot> slots_;
  std::vector<Stage> stages_;
  std::vector<std::unique_ptr<Digits>> digits_;
  Arena arena_;  // before the weights that live in it
  std::vector<std::unique_ptr<PackedWeight>> weights_;
  std::vector<CacheShape> caches_;
  std::size_t domains_ = 0;
  std::size_t tallies_ = 0;  // beside one for each value
  std::map<ValueId, std::size_t> attention_tally_;
  int externals_ = 0;
  std::uint64_t runs_ = 0;
  std::mutex running_;
  Buffer workspace_;
};

}  // namespace sangbo
