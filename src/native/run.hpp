// One run of a program: where its values lie, and what its threads agree on.
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <vector>

#include "program.hpp"

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
  [[nodiscard]] std::size_t rows(std::size_t domain) const { return call_.rows[domain]; }
  [[nodiscard]] unsigned threads() const { return program_.threads(); }

  template <class T>
  [[nodiscard]] T* at(std::size_t place, std::size_t row) const {
    return reinterpret_cast<T*>(bases_[place] + row * program_.place(place).bytes);
  }
  [[nodiscard]] float* reals(ValueId value, std::size_t row) const {
    return at<float>(plain(value), row);
  }
  [[nodiscard]] std::int32_t* plain_levels(ValueId value, std::size_t row) const {
    return at<std::int32_t>(plain(value), row);
  }
  [[nodiscard]] std::int32_t index(ValueId value, std::size_t row) const {
    return *at<std::int32_t>(plain(value), row);
  }

  // Whether to look at the levels of this row when digits are chosen: one row in eight, also where
  // every run has but one.
  [[nodiscard]] bool samples(std::size_t row) const { return (program_.runs_ + row) % 8 == 0; }

  // Bits of the low digits of an encoding, the same throughout the run.
  [[nodiscard]] int low_bits(const Encoding& e) const { return program_.digits(e.digits).bits(); }

  // Segment and position of each row of domain 0.
  struct Where {
    std::uint32_t segment;
    std::uint32_t position;
  };
  [[nodiscard]] const Where& where(std::size_t row) const { return where_[row]; }
  [[nodiscard]] const std::vector<Segment>& segments() const { return call_.segments; }
  [[nodiscard]] std::size_t first_row(std::size_t segment) const { return starts_[segment]; }

  // Where a thread counts, or null where nobody wants it.
  [[nodiscard]] Tally* tally(unsigned thread, ValueId value, std::size_t which = 0) const {
    return call_.counts == nullptr ? nullptr
                                   : call_.counts->tally(thread, program_.tally(value, which));
  }
  // Memory of one thread, at least `bytes`, until its next call.
  std::byte* scratch(unsigned thread, std::size_t bytes);

  // Notes a fault of an operation; the first operation of the graph wins.
  void fail(Fault fault, ValueId value);

 private:
  [[nodiscard]] std::size_t plain(ValueId value) const {
    return static_cast<std::size_t>(program_.value(value).place);
  }
  void take(const Job& job, std::atomic<std::size_t>& next, unsigned thread);
  bool stop();
  void poll();

  Program& program_;
  const Call& call_;
  std::vector<std::byte*> bases_;
  std::vector<Where> where_;
  std::vector<std::size_t> starts_;
  std::vector<Buffer> scratch_;
  std::vector<std::atomic<std::size_t>> next_;  // item of each job
  std::atomic<std::size_t> next_tally_{0};
  Barrier barrier_;
  std::atomic<std::uint64_t> fault_{~std::uint64_t{0}};  // value << 32 | fault
  std::atomic<bool> interrupted_{false};
  bool cancelled_ = false;
  std::chrono::steady_clock::time_point polled_;
};

}  // namespace sangbo
