#include "layout.hpp"

#include <algorithm>
#include <utility>

#include "../run.hpp"
#include "rows.hpp"

namespace sangbo {
namespace {

// The same elements in the same order, in rows of another length.
class Reshape final : public RowOperation {
 public:
  Reshape(ValueId output, ValueId input) : output_(output), input_(input) {}

  void rows(Run& run, unsigned, std::size_t first, std::size_t last) const override {
    const std::size_t to = run.program().value(output_).channels;
    const std::size_t from = run.program().value(input_).channels;
    for (std::size_t row = first; row < last; ++row) {
      float* y = run.reals(output_, row);
      for (std::size_t c = 0; c < to;) {
        const std::size_t at = row * to + c;
        const std::size_t count = std::min(to - c, from - at % from);
        std::copy_n(run.reals(input_, at / from) + at % from, count, y + c);
        c += count;
      }
    }
  }

 private:
  ValueId output_;
  ValueId input_;
};

class Gather final : public RowOperation {
 public:
  Gather(ValueId output, ValueId input, std::vector<std::size_t> rows,
         std::vector<std::size_t> channels)
      : output_(output), input_(input), rows_(std::move(rows)), channels_(std::move(channels)) {
    for (std::size_t c = 0; c < channels_.size(); ++c) {
      together_ = together_ && channels_[c] == channels_[0] + c;
    }
  }

  void rows(Run& run, unsigned, std::size_t first, std::size_t last) const override {
    const std::size_t each = run.program().value(input_).domain.each;
    for (std::size_t row = first; row < last; ++row) {
      const float* x = run.reals(input_, row / rows_.size() * each) + rows_[row % rows_.size()];
      float* y = run.reals(output_, row);
      if (together_) {
        std::copy_n(x + channels_[0], channels_.size(), y);
      } else {
        for (std::size_t c = 0; c < channels_.size(); ++c) {
          y[c] = x[channels_[c]];
        }
      }
    }
  }

 private:
  ValueId output_;
  ValueId input_;
  std::vector<std::size_t> rows_;
  std::vector<std::size_t> channels_;
  bool together_ = true;
};

class Beside final : public RowOperation {
 public:
  Beside(ValueId output, std::vector<ValueId> values)
      : output_(output), values_(std::move(values)) {}

  void rows(Run& run, unsigned, std::size_t first, std::size_t last) const override {
    for (std::size_t row = first; row < last; ++row) {
      float* y = run.reals(output_, row);
      for (const ValueId value : values_) {
        y = std::copy_n(run.reals(value, row), run.program().value(value).channels, y);
      }
    }
  }

 private:
  ValueId output_;
  std::vector<ValueId> values_;
};

class InTurn final : public RowOperation {
 public:
  InTurn(ValueId output, std::vector<ValueId> values, std::vector<std::size_t> lengths)
      : output_(output), values_(std::move(values)), lengths_(std::move(lengths)) {
    for (const std::size_t length : lengths_) {
      turn_ += length;
    }
  }

  void rows(Run& run, unsigned, std::size_t first, std::size_t last) const override {
    for (std::size_t row = first; row < last; ++row) {
      std::size_t at = row % turn_;
      std::size_t from = 0;
      while (at >= lengths_[from]) {
        at -= lengths_[from++];
      }
      const Value& value = run.program().value(values_[from]);
      const float* x = run.reals(values_[from], row / turn_ * lengths_[from] + at);
      std::copy_n(x, value.channels, run.reals(output_, row));
    }
  }

 private:
  ValueId output_;
  std::vector<ValueId> values_;
  std::vector<std::size_t> lengths_;
  std::size_t turn_ = 0;
};

class Constant final : public RowOperation {
 public:
  Constant(ValueId output, const std::vector<float>& tensor, std::size_t channels)
      : output_(output), tensor_(padded(tensor, channels)) {}

  void rows(Run& run, unsigned, std::size_t first, std::size_t last) const override {
    const std::size_t width = run.program().value(output_).padded();
    for (std::size_t row = first; row < last; ++row) {
      std::copy_n(tensor_.data() + row * width % tensor_.size(), width, run.reals(output_, row));
    }
  }

 private:
  ValueId output_;
  std::vector<float> tensor_;
};

// The largest or the mean of each channel over the taps of a window, in their order.
class Pooling final : public RowOperation {
 public:
  Pooling(ValueId output, ValueId input, bool largest, const Windows& windows, bool outside)
      : output_(output), input_(input), largest_(largest), windows_(windows), outside_(outside) {}

  void rows(Run& run, unsigned, std::size_t first, std::size_t last) const override {
    const RowKernels& kernels = run.kernels().reals;
    const auto& [down, across] = windows_;
    const std::size_t width = run.program().value(output_).padded();
    const std::size_t outputs = down.outputs * across.outputs;
    for (std::size_t row = first; row < last; ++row) {
      const std::size_t sample = row / outputs;
      const std::size_t at = row % outputs;
      float* y = run.reals(output_, row);
      std::fill_n(y, width, largest_ ? -__builtin_inff() : 0.0F);
      std::size_t inside = 0;
      for (std::size_t i = 0; i < down.kernel; ++i) {
        const auto vertical = down.source(at / across.outputs, i);
        for (std::size_t j = 0; vertical && j < across.kernel; ++j) {
          const auto horizontal = across.source(at % across.outputs, j);
          if (!horizontal) {
            continue;
          }
          ++inside;
          const std::size_t from = (sample * down.size + *vertical) * across.size + *horizontal;
          (largest_ ? kernels.larger : kernels.add)(y, run.reals(input_, from), width, y);
        }
      }
      if (!largest_) {
        const std::size_t taps = outside_ ? down.kernel * across.kernel : inside;
        kernels.divide(y, static_cast<float>(taps), width, y);
      }
    }
  }

 private:
  ValueId output_;
  ValueId input_;
  bool largest_;
  Windows windows_;
  bool outside_;
};

}  // namespace

std::unique_ptr<RowOperation> make_reshape(ValueId output, ValueId input) {
  return std::make_unique<Reshape>(output, input);
}

std::unique_ptr<RowOperation> make_gather(ValueId output, ValueId input,
                                          std::vector<std::size_t> rows,
                                          std::vector<std::size_t> channels) {
  return std::make_unique<Gather>(output, input, std::move(rows), std::move(channels));
}

std::unique_ptr<RowOperation> make_beside(ValueId output, std::vector<ValueId> values) {
  return std::make_unique<Beside>(output, std::move(values));
}

std::unique_ptr<RowOperation> make_in_turn(ValueId output, std::vector<ValueId> values,
                                           std::vector<std::size_t> lengths) {
  return std::make_unique<InTurn>(output, std::move(values), std::move(lengths));
}

std::unique_ptr<RowOperation> make_constant(ValueId output, const std::vector<float>& tensor,
                                            std::size_t channels) {
  return std::make_unique<Constant>(output, tensor, channels);
}

std::unique_ptr<RowOperation> make_pool(ValueId output, ValueId input, bool largest,
                                        const Windows& windows, bool outside) {
  return std::make_unique<Pooling>(output, input, largest, windows, outside);
}

}  // namespace sangbo
