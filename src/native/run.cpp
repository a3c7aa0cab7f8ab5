#include "run.hpp"

#include <algorithm>
#include <new>

#include "error.hpp"

namespace sangbo {

Run::Run(Program& program, const Call& call)
    : program_(program),
      call_(call),
      bases_(program.places_.size()),
      totals_(program.totals_),
      large_(program.strips_),
      scratch_(program.threads()),
      blocks_(program.threads()),
      shares_(program.jobs() + 1, program.threads()),
      barrier_(program.threads()),
      polled_(std::chrono::steady_clock::now()) {
  std::vector<std::size_t> offsets;
  std::size_t bytes = 0;
  for (const auto& slot : program.slots_) {
    offsets.push_back(bytes);
    bytes += round_up(slot.bytes * call.rows[slot.axis], kLine);
  }
  bytes += kDepthwiseBlock * sizeof(std::int16_t);  // which may be read behind a row
  workspace_bytes_ = bytes;
  if (program.workspace_.bytes() < bytes) {
    program.workspace_ = Buffer();
    program.workspace_ = Buffer(bytes);
  }
  for (std::size_t p = 0; p < bases_.size(); ++p) {
    const Place& place = program.places_[p];
    if (place.external >= 0) {
      bases_[p] = call.externals[static_cast<std::size_t>(place.external)];
    } else if (place.local < 0) {
      bases_[p] = program.workspace_.data() + offsets[static_cast<std::size_t>(place.slot)];
    }
  }
  for (Axis axis = 0; axis < call.rows.size(); ++axis) {
    std::vector<std::size_t>& starts = starts_.emplace_back();
    std::size_t start = 0;
    for (const Segment& segment : call.segments) {
      starts.push_back(start);
      start += segment.rows[axis];
    }
  }
}

std::size_t Run::segment_of(std::size_t row, Axis axis) const {
  const std::vector<std::size_t>& starts = starts_[axis];
  const auto after = std::upper_bound(starts.begin(), starts.end(), row);
  return static_cast<std::size_t>(after - starts.begin()) - 1;
}

constinit thread_local Run::Local Run::local_{};

void Run::enter(unsigned thread, std::size_t first, std::size_t rows) {
  Buffer& buffer = blocks_[thread];
  if (buffer.bytes() < rows * program_.local_bytes_) {
    buffer = Buffer(rows * program_.local_bytes_);
  }
  local_ = {buffer.data(), first, rows};
}

std::byte* Run::scratch(unsigned thread, std::size_t bytes) {
  Buffer& buffer = scratch_[thread];
  if (buffer.bytes() < bytes) {
    buffer = Buffer(round_up(bytes, 4096));
  }
  return buffer.data();
}

void Run::fail(Fault fault, ValueId value) {
  const std::uint64_t found = std::uint64_t{value} << 32 | static_cast<std::uint32_t>(fault);
  std::uint64_t seen = fault_.load(std::memory_order_relaxed);
  while (found < seen && !fault_.compare_exchange_weak(seen, found, std::memory_order_relaxed)) {
  }
}

bool Run::stop() {
  cancelled_ = cancelled_ ||
               (call_.cancelled != nullptr && call_.cancelled->load(std::memory_order_relaxed));
  return cancelled_ || interrupted_.load(std::memory_order_relaxed) ||
         fault_.load(std::memory_order_relaxed) != ~std::uint64_t{0};
}

void Run::poll() {
  constexpr auto kEvery = std::chrono::milliseconds(20);
  const auto now = std::chrono::steady_clock::now();
  if (call_.interrupted && now - polled_ > kEvery) {
    polled_ = now;
    interrupted_.store(interrupted_.load(std::memory_order_relaxed) || call_.interrupted(),
                       std::memory_order_relaxed);
  }
}

template <class Work>
void Run::take(std::size_t job, unsigned thread, std::size_t items, std::size_t grain, Work work) {
  try {
    shares_.take(job, thread, items, grain, work);
  } catch (const std::bad_alloc&) {  // the other threads wait at the stage's end: meet them there
    fail(Fault::kMemory, 0);
  }
}

void Run::work(unsigned thread) {
  std::size_t number = 0;
  for (const auto& stage : program_.stages_) {
    for (const auto& job : stage.jobs) {
      take(number++, thread, job->items(*this), job->grain(*this),
           [&](std::size_t first, std::size_t last) { job->run(*this, thread, first, last); });
    }
    if (thread == 0) {
      poll();
    }
    if (barrier_.arrive([this] { return stop(); })) {
      return;
    }
  }
  if (call_.counts != nullptr) {
    take(number, thread, call_.counts->tallies(), 1,
         [&](std::size_t first, std::size_t) { call_.counts->settle(first); });
  }
}

void Run::check() const {
  if (interrupted_.load()) {
    throw Interrupted("interrupted");
  }
  if (cancelled_) {
    throw Error("expected a run that nobody cancels, found it cancelled");
  }
  const std::uint64_t found = fault_.load();
  if (found == ~std::uint64_t{0}) {
    return;
  }
  const std::string& name = program_.value(found >> 32).name;
  switch (static_cast<Fault>(found & 0xffffffffU)) {
    case Fault::kNotFinite:
      throw Error("expected finite values at neuron '" + name + "', found NaN or ∞");
    case Fault::kAccumulator:
      throw Error("expected accumulators within 32 bits at '" + name +
                  "', found a row whose sum may exceed them");
    case Fault::kMemory: throw std::bad_alloc();
    default: throw Error("expected indices within the table at '" + name + "', found one outside");
  }
}

}  // namespace sangbo
