// A graph as native operations: built once, then run by any number of callers.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "buffer.hpp"
#include "cache.hpp"
#include "counts.hpp"
#include "job.hpp"
#include "kernels/kernels.hpp"
#include "packed.hpp"
#include "pool.hpp"
#include "shapes.hpp"
#include "value.hpp"

namespace sangbo {

class Chain;
struct KeySource;

struct Segment {
  Cache* cache;
  std::vector<std::size_t> rows;  // of each axis
};

// What a caller gives to a run.
struct Call {
  std::vector<std::size_t> rows;      // of each axis
  std::vector<std::byte*> externals;  // memory of inputs, then outputs
  std::vector<Segment> segments;
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

  // --- building: axes, the first of them the main one; then values and operations in the order of
  // the graph ---
  Axis axis() { return caches_.axes++; }
  ValueId input(std::string name, Kind kind, Domain domain, std::size_t channels);
  std::size_t weight(const StoredWeight& stored);

  // Row by row (build_rows.cpp).
  ValueId embedding(std::string name, ValueId index, std::size_t weight);
  // A table that no linear operation shares; its memory must outlive the program.
  ValueId table(std::string name, ValueId index, const StoredWeight& stored);
  ValueId select(std::string name, ValueId input, ValueId rows);
  ValueId neuron(std::string name, ValueId input, const std::vector<float>& inverse,
                 std::int32_t lowest, std::int32_t highest);
  ValueId norm(std::string name, ValueId input, bool layer, const std::vector<float>& weight,
               const std::vector<float>& bias, float epsilon);
  ValueId activation(std::string name, ValueId input, Function function, float slope);
  ValueId softmax(std::string name, ValueId input, std::size_t chosen);
  // Weight and bias hold one value for each channel, or for each channel of each row of an entry;
  // empty ones do nothing.
  ValueId affine(std::string name, ValueId input, const std::vector<float>& weight,
                 const std::vector<float>& bias);
  // A right side of one channel multiplies all channels of the left.
  ValueId binary(std::string name, ValueId left, ValueId right, bool multiply);
  // The tables must outlive the program.
  ValueId rotary(std::string name, ValueId input, ValueId positions, const RotaryTables& tables,
                 std::size_t heads);

  // Moving elements and sliding windows (build_layout.cpp).
  ValueId reshape(std::string name, ValueId input, std::size_t each, std::size_t channels);
  // Channel c of row r of each entry is element rows[r] + channels[c] of the input's entry, whose
  // rows are padded.
  ValueId gather(std::string name, ValueId input, std::vector<std::size_t> rows,
                 std::vector<std::size_t> channels);
  // Side by side: channels, or `lengths[i]` rows of each value in turn.
  ValueId beside(std::string name, const std::vector<ValueId>& values);
  ValueId in_turn(std::string name, const std::vector<ValueId>& values,
                  const std::vector<std::size_t>& lengths);
  ValueId constant(std::string name, ValueId like, const std::vector<float>& tensor,
                   std::size_t channels);
  ValueId pool(std::string name, ValueId input, bool largest, const Windows& windows, bool outside);

  // Synaptic operations (build_synapses.cpp).
  ValueId linear(std::string name, ValueId input, std::size_t weight, const LinearShape& shape);
  // Rows whose gate is 0 are left out.
  ValueId gated(std::string name, ValueId input, ValueId gate, std::size_t weight,
                const LinearShape& shape);
  ValueId convolution(std::string name, ValueId input, const StoredWeight& weight,
                      const Windows& windows, std::size_t groups, const LinearShape& shape);
  ValueId attention(std::string name, ValueId query, ValueId key, ValueId value,
                    const AttentionShape& shape);
  // Cells with a weight count and encode their states. Entries are whole sequences, or the next
  // rows of cached ones; `initial` is a value along another axis.
  ValueId recurrent(std::string name, ValueId input, const ValueId* initial,
                    const std::size_t* weight, const std::vector<float>& bias,
                    const RecurrentShape& shape, bool whole);

  // Counts the levels of a value in several tallies: that of each row within an entry.
  void classify(ValueId value, std::vector<std::uint8_t> classes);
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
  [[nodiscard]] std::size_t jobs() const;

 private:
  friend class Run;

  struct Slot {
    std::size_t bytes;
    Axis axis;
    std::size_t free_from;
  };
  struct Stage {
    std::vector<std::unique_ptr<Job>> jobs;
    std::map<Domain, Chain*> chains;  // the job of row operations of each domain
  };
  // Attention whose keys are cached, and the queries' axis.
  struct Crossing {
    ValueId output;
    Axis queries;
    Domain keys;
  };

  ValueId write(std::string name, Kind kind, Domain domain, std::size_t channels,
                std::size_t stage);
  // Where an operation may run, and who reads its inputs then.
  std::size_t read(const std::vector<ValueId>& inputs, bool row_wise, Domain domain,
                   std::size_t at_least = 0);
  ValueId write_rows(std::string name, Kind kind, Domain domain, std::size_t channels,
                     std::size_t stage);
  void add_rows(std::size_t stage, Domain domain, std::unique_ptr<RowOperation> operation);
  void need_plain(ValueId value);
  std::size_t need_encoding(ValueId value, std::size_t group);
  std::size_t need_strip(ValueId value, std::size_t groups);
  std::size_t new_place(std::size_t bytes, Domain domain);
  std::size_t new_digits(std::size_t group);
  // Places that are written in one stage and read in another.
  void live(std::initializer_list<std::size_t> places, std::size_t first, std::size_t last);
  void check_segments(const Call& call) const;

  const Kernels& kernels_;
  Pool pool_;
  std::vector<Value> values_;
  std::vector<Place> places_;
  std::vector<Slot> slots_;
  std::vector<Stage> stages_;
  std::vector<std::unique_ptr<Digits>> digits_;
  Arena arena_;  // before the weights that live in it
  std::vector<std::unique_ptr<PackedWeight>> weights_;
  CacheShape caches_;
  std::vector<Axis> segmented_;  // axes whose rows must belong to sequences
  std::vector<Crossing> crossings_;
  std::vector<ValueId> backwards_;  // cells that run from the last row of a sequence to the first
  std::size_t tallies_ = 0;
  std::size_t strips_ = 0;
  std::size_t totals_ = 0;  // sums beside the rows of each axis
  int externals_ = 0;
  std::size_t local_bytes_ = 0;  // for each row of a block
  std::uint64_t runs_ = 0;
  std::mutex running_;
  Buffer workspace_;
  std::size_t needed_ = 0;  // bytes of it, by the latest run
};

}  // namespace sangbo
