// One run of a program: where its values lie, and what its threads agree on.
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <vector>

#include "operations/encode.hpp"
#include "program.hpp"
#include "shares.hpp"

namespace sangbo {

// What can go wrong inside a run; the message is made afterwards.
enum class Fault : std::uint32_t { kNone, kNotFinite, kAccumulator, kIndex, kMemory };

class Run {
 public:
  Run(Program& program, const Call& call);

  // Works through all stages; called by every thread.
  void work(unsigned thread);
  // Throws what went wrong, if anything did.
  void check() const;

  [[nodiscard]] const Kernels& kernels() const { return program_.kernels(); }
  [[nodiscard]] const Program& program() const { return program_; }
  // Rows of a domain, or entries of an axis.
  [[nodiscard]] std::size_t rows(const Domain& domain) const {
    return call_.rows[domain.axis] * domain.each;
  }
  [[nodiscard]] std::size_t entries(Axis axis) const { return call_.rows[axis]; }
  [[nodiscard]] unsigned threads() const { return program_.threads(); }

  template <class T>
  [[nodiscard]] T* at(std::size_t place, std::size_t row) const {
    const Place& at = program_.place(place);
    if (at.local < 0) {
      return reinterpret_cast<T*>(bases_[place] + row * at.bytes);
    }
    // Row 0 may lie before the block: the address is that of a row of it once it is used.
    const std::uintptr_t block = reinterpret_cast<std::uintptr_t>(local_.memory) +
                                 static_cast<std::uintptr_t>(at.local) * local_.rows;
    return reinterpret_cast<T*>(block + (row - local_.first) * at.bytes);
  }
  // Gives the calling thread memory for a block of `rows` rows from `first` on.
  void enter(unsigned thread, std::size_t first, std::size_t rows);
  [[nodiscard]] float* reals(ValueId value, std::size_t row) const {
    return at<float>(plain(value), row);
  }
  [[nodiscard]] std::int32_t* plain_levels(ValueId value, std::size_t row) const {
    return at<std::int32_t>(plain(value), row);
  }
  [[nodiscard]] std::int32_t index(ValueId value, std::size_t row) const {
    return *at<std::int32_t>(plain(value), row);
  }

  // Who looks at the levels of this row for digits to be chosen: one row in eight is seen, also
  // where every run has but one, and fewer of many.
  [[nodiscard]] Sampler sampler(std::size_t digits, unsigned thread, std::size_t row) const {
    const bool seen = (program_.runs_ + row) % (row < 256 ? 8 : 64) == 0;
    return {seen ? &program_.digits(digits) : nullptr, thread};
  }

  // Bits of the low digits of an encoding, the same throughout the run.
  [[nodiscard]] int low_bits(const Encoding& e) const { return program_.digits(e.digits).bits(); }

  [[nodiscard]] EncodedRow encoded(const Encoding& e, std::size_t row) const {
    return {at<std::int8_t>(e.low, row), at<Extra>(e.extras, row),
            at<std::uint32_t>(e.extra_counts, row), at<std::int32_t>(e.sums, row)};
  }
  // All rows of an encoding as tasks read them.
  [[nodiscard]] LevelRows levels(const Encoding& e) const {
    return {at<std::int8_t>(e.low, 0),
            program_.place(e.low).bytes,
            at<Extra>(e.extras, 0),
            program_.place(e.extras).bytes / sizeof(Extra),
            at<std::uint32_t>(e.extra_counts, 0),
            at<std::int32_t>(e.sums, 0),
            e.layout.groups,
            low_bits(e)};
  }

  // A row of a strip of one group: its levels in 16 bits, or in 32 where these are not null.
  struct Levels {
    const std::int16_t* shorts;
    const std::int32_t* wide;

    [[nodiscard]] std::int32_t operator[](std::size_t channel) const {
      return wide != nullptr ? wide[channel] : shorts[channel];
    }
  };
  [[nodiscard]] Levels levels(const Strip& strip, std::size_t row) const {
    const bool large = *at<std::uint8_t>(strip.large, row) != 0;
    return {at<std::int16_t>(strip.shorts, row),
            large ? at<std::int32_t>(strip.wide, row) : nullptr};
  }
  // Whether some row of a strip has levels beyond 16 bits; known once its stage is over.
  [[nodiscard]] bool has_large(const Strip& strip) const {
    return large_[strip.number].load(std::memory_order_relaxed);
  }
  void note_large(const Strip& strip) {
    large_[strip.number].store(true, std::memory_order_relaxed);
  }

  // Sequences: their rows of an axis follow each other in the order of the segments.
  [[nodiscard]] const std::vector<Segment>& segments() const { return call_.segments; }
  [[nodiscard]] std::size_t first_row(std::size_t segment, Axis axis) const {
    return starts_[axis][segment];
  }
  // The segment that a row of an axis belongs to.
  [[nodiscard]] std::size_t segment_of(std::size_t row, Axis axis) const;

  // Where a thread counts, or null where nobody wants it.
  [[nodiscard]] Tally* tally(unsigned thread, ValueId value, std::size_t which = 0) const {
    return call_.counts == nullptr
               ? nullptr
               : call_.counts->tally(thread, program_.value(value).tally + which);
  }
  // Adds to the sum that a value's operation counts into.
  void add_total(ValueId value, std::uint64_t count) {
    totals_[program_.value(value).total].fetch_add(count, std::memory_order_relaxed);
  }
  [[nodiscard]] std::vector<std::uint64_t> totals() const {
    return {totals_.begin(), totals_.end()};
  }
  // Bytes that its values take.
  [[nodiscard]] std::size_t workspace_bytes() const { return workspace_bytes_; }
  // Memory of one thread, at least `bytes`, until its next call.
  std::byte* scratch(unsigned thread, std::size_t bytes);

  // Notes a fault of an operation; the first operation of the graph wins.
  void fail(Fault fault, ValueId value);

 private:
  [[nodiscard]] std::size_t plain(ValueId value) const {
    return static_cast<std::size_t>(program_.value(value).place);
  }
  // Works on a share of a job, then on those of others.
  template <class Work>
  void take(std::size_t job, unsigned thread, std::size_t items, std::size_t grain, Work work);
  bool stop();
  void poll();

  Program& program_;
  const Call& call_;
  std::vector<std::byte*> bases_;
  std::size_t workspace_bytes_ = 0;
  std::vector<std::vector<std::size_t>> starts_;  // of each axis and segment
  std::vector<std::atomic<std::uint64_t>> totals_;
  std::vector<std::atomic<bool>> large_;  // of each strip
  std::vector<Buffer> scratch_;
  std::vector<Buffer> blocks_;  // of each thread
  // The calling thread's block.
  struct Local {
    std::byte* memory;
    std::size_t first;
    std::size_t rows;
  };
  static constinit thread_local Local local_;
  Shares shares_;  // of the jobs, then of the tallies
  Barrier barrier_;
  std::atomic<std::uint64_t> fault_{~std::uint64_t{0}};  // value << 32 | fault
  std::atomic<bool> interrupted_{false};
  bool cancelled_ = false;
  std::chrono::steady_clock::time_point polled_;
};

}  // namespace sangbo
