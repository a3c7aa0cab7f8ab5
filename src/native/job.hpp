// What a stage of a program consists of.
#pragma once

#include <cstddef>

namespace sangbo {

class Run;

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

// An operation that computes rows of its output one by one, from the same row of its inputs or from
// rows that earlier stages wrote.
class RowOperation {
 public:
  RowOperation() = default;
  RowOperation(const RowOperation&) = delete;
  RowOperation& operator=(const RowOperation&) = delete;
  virtual ~RowOperation() = default;
  virtual void rows(Run& run, unsigned thread, std::size_t first, std::size_t last) const = 0;
  // Rows that it likes to be given at once.
  [[nodiscard]] virtual std::size_t block() const { return 16; }
};

}  // namespace sangbo
