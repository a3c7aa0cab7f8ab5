#include <algorithm>

#include "../run.hpp"
#include "encode.hpp"
#include "jobs.hpp"
#include "rows.hpp"

namespace sangbo {
namespace {

// Cells that pass a state from row to row. Sequences that one thread takes go forward together, so
// that they share each load of the cells' own weights.
class Recurrent final : public Job {
 public:
  Recurrent(ValueId output, ValueId input, const ValueId* initial, const StateShare* share,
            const RecurrentShape& shape, bool whole, std::size_t index)
      : output_(output),
        input_(input),
        starts_(initial != nullptr),
        initial_(initial == nullptr ? 0 : *initial),
        weight_(share == nullptr ? nullptr : share->weight),
        digits_(share == nullptr ? 0 : share->digits),
        bias_(share == nullptr ? std::vector<float>() : padded(share->bias)),
        shape_(shape),
        whole_(whole),
        index_(index),
        width_(round_up(shape.size, kPanel)) {}

  // Items are sequences.
  [[nodiscard]] std::size_t items(const Run& run) const override {
    return whole_ ? run.entries(axis(run)) : run.segments().size();
  }
  [[nodiscard]] std::size_t grain(const Run& run) const override {
    return std::clamp<std::size_t>(round_up(items(run), run.threads()) / run.threads(), 1, kMany);
  }

  void run(Run& run, unsigned thread, std::size_t first, std::size_t last) const override {
    const std::size_t gates = run.program().value(input_).padded() + kPanel;
    const std::size_t shares = weight_ == nullptr ? 0 : weight_->panels() * kPanel + kPanel;
    const std::size_t count = last - first;
    const std::size_t encoded = weight_ == nullptr ? 0 : EncodedRows::bytes(layout(), count);
    Carver memory(run.scratch(
        thread, encoded + sizeof(float) * (gates + count * (2 * width_ + shares) + width_) +
                    sizeof(std::int32_t) * (width_ + spread()) + 8 * kLine));
    Scratch scratch{memory.take<float>(gates),
                    memory.take<float>(count * 2 * width_),
                    memory.take<float>(count * shares),
                    memory.take<float>(width_),
                    memory.take<std::int32_t>(width_),
                    memory.take<std::int32_t>(spread()),
                    shares,
                    memory};
    std::vector<Sequence> sequences;
    for (std::size_t s = first; s < last; ++s) {
      sequences.push_back(begin(run, s, scratch.states + (s - first) * 2 * width_));
    }
    std::size_t longest = 0;
    for (const Sequence& sequence : sequences) {
      longest = std::max(longest, sequence.rows);
    }
    for (std::size_t step = 0; step < longest; ++step) {
      std::erase_if(sequences, [step](const Sequence& s) { return s.rows <= step; });
      if (weight_ != nullptr) {
        share(run, thread, sequences, scratch);
      }
      for (std::size_t i = 0; i < sequences.size(); ++i) {
        advance(run, sequences[i], step, scratch.shares + i * shares, scratch);
      }
    }
  }

 private:
  static constexpr std::size_t kMany = 8;

  struct Scratch {
    float* gates;
    float* states;
    float* shares;
    float* result;
    std::int32_t* levels;
    std::int32_t* spread;
    std::size_t share_stride;
    Carver memory;  // for encoded rows
  };
  struct Sequence {
    std::size_t first_row;
    std::size_t rows;
    float* state;    // h, then c, each padded
    Cache* cache;    // null for whole sequences
    std::size_t at;  // number of the first row in the cache
  };

  [[nodiscard]] Axis axis(const Run& run) const { return run.program().value(output_).domain.axis; }
  [[nodiscard]] Layout layout() const { return {weight_->group(), shape_.size / weight_->group()}; }
  [[nodiscard]] std::size_t spread() const { return weight_ == nullptr ? 0 : layout().padded(); }
  [[nodiscard]] std::size_t parts() const { return shape_.cell == Cell::kLstm ? 2 : 1; }

  [[nodiscard]] Sequence begin(Run& run, std::size_t number, float* state) const {
    std::fill_n(state, 2 * width_, 0.0F);
    if (whole_) {
      const std::size_t rows = run.program().value(output_).domain.each;
      return {number * rows, rows, state, nullptr, 0};
    }
    const Segment& segment = run.segments()[number];
    if (starts_) {
      const Axis other = run.program().value(initial_).domain.axis;
      if (segment.rows[other] > 0) {
        const std::size_t row = run.first_row(number, other) + segment.rows[other] - 1;
        std::vector<float> start(parts() * shape_.size);
        std::copy_n(run.reals(initial_, row), shape_.size, start.data());
        segment.cache->start(index_, start.data());
      }
    }
    std::vector<float> held(parts() * shape_.size);
    segment.cache->begin(index_, held.data());
    for (std::size_t p = 0; p < parts(); ++p) {
      std::copy_n(held.data() + p * shape_.size, shape_.size, state + p * width_);
    }
    return {run.first_row(number, axis(run)), segment.rows[axis(run)], state, segment.cache,
            segment.cache->length(axis(run))};
  }

  // W·h + b of each sequence's state.
  void share(Run& run, unsigned thread, const std::vector<Sequence>& sequences,
             const Scratch& scratch) const {
    const Kernels& kernels = run.kernels();
    const int low_bits = run.program().digits(digits_).bits();  // changes between runs only
    Carver memory = scratch.memory;
    const EncodedRows rows(layout(), sequences.size(), memory);
    Tally* tally = run.tally(thread, output_);
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      std::int32_t* levels = scratch.levels;
      if (!kernels.settle(sequences[i].state, &shape_.inverse, false, shape_.lowest, shape_.highest,
                          shape_.size, levels)) {
        run.fail(Fault::kNotFinite, output_);
        std::fill_n(levels, width_, 0);
      }
      if (tally != nullptr) {
        tally->add(kernels, levels, shape_.size);
      }
      if (!fits(encode(kernels, layout(), low_bits, run.sampler(digits_, thread, i), levels,
                       scratch.spread, rows.row(i)),
                weight_->bits())) {
        run.fail(Fault::kAccumulator, output_);
      }
    }
    LinearTask task{};
    weight_->fill(task);
    task.levels = rows.levels(low_bits);
    task.bias = bias_.empty() ? nullptr : bias_.data();
    task.threshold = shape_.threshold;
    task.out = scratch.shares;
    task.out_stride = scratch.share_stride;
    kernels.linear(task, 0, weight_->panels(), 0, sequences.size());
  }

  void advance(Run& run, const Sequence& sequence, std::size_t step, const float* share,
               const Scratch& scratch) const {
    const std::size_t at = shape_.reverse ? sequence.rows - 1 - step : step;
    const std::size_t row = sequence.first_row + at;
    // Gates are read lanes at a time, the last of them beyond the row's end.
    std::copy_n(run.reals(input_, row), run.program().value(input_).padded(), scratch.gates);
    run.kernels().reals.cell(shape_.cell, scratch.gates, share, shape_.size, sequence.state,
                             run.reals(output_, row));
    if (sequence.cache != nullptr) {
      float* kept = sequence.cache->state(index_, sequence.at + at);
      for (std::size_t p = 0; p < parts(); ++p) {
        std::copy_n(sequence.state + p * width_, shape_.size, kept + p * shape_.size);
      }
    }
  }

  ValueId output_;
  ValueId input_;
  bool starts_;
  ValueId initial_;
  const PackedWeight* weight_;
  std::size_t digits_;
  std::vector<float> bias_;
  RecurrentShape shape_;
  bool whole_;
  std::size_t index_;
  std::size_t width_;
};

}  // namespace

std::unique_ptr<Job> make_recurrent(ValueId output, ValueId input, const ValueId* initial,
                                    const StateShare* share, const RecurrentShape& shape,
                                    bool whole, std::size_t index) {
  return std::make_unique<Recurrent>(output, input, initial, share, shape, whole, index);
}

}  // namespace sangbo
