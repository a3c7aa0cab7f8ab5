#include "rows.hpp"

#include <algorithm>

#include "../run.hpp"

namespace sangbo {
namespace {

class Norm final : public RowOperation {
 public:
  Norm(ValueId output, ValueId input, bool layer, const std::vector<float>& weight,
       const std::vector<float>& bias, float epsilon)
      : output_(output),
        input_(input),
        layer_(layer),
        count_(weight.size()),
        weight_(padded(weight)),
        bias_(padded(bias)),
        epsilon_(epsilon) {}

  void rows(Run& run, unsigned, std::size_t first, std::size_t last) const override {
    const RowKernels& kernels = run.kernels().reals;
    for (std::size_t row = first; row < last; ++row) {
      const float* x = run.reals(input_, row);
      float* y = run.reals(output_, row);
      if (layer_) {
        const float* bias = bias_.empty() ? nullptr : bias_.data();
        kernels.layer(x, weight_.data(), bias, count_, epsilon_, y);
      } else {
        kernels.rms(x, weight_.data(), count_, epsilon_, y);
      }
    }
  }

 private:
  ValueId output_;
  ValueId input_;
  bool layer_;
  std::size_t count_;
  std::vector<float> weight_;
  std::vector<float> bias_;
  float epsilon_;
};

class Activation final : public RowOperation {
 public:
  Activation(ValueId output, ValueId input, Function function, float slope)
      : output_(output), input_(input), function_(function), slope_(slope) {}

  void rows(Run& run, unsigned, std::size_t first, std::size_t last) const override {
    const std::size_t width = run.program().value(output_).padded();
    run.kernels().reals.activate(function_, slope_, run.reals(input_, first),
                                 (last - first) * width, run.reals(output_, first));
  }

 private:
  ValueId output_;
  ValueId input_;
  Function function_;
  float slope_;
};

class Softmax final : public RowOperation {
 public:
  Softmax(ValueId output, ValueId input, std::size_t chosen)
      : output_(output), input_(input), chosen_(chosen) {}

  void rows(Run& run, unsigned, std::size_t first, std::size_t last) const override {
    const std::size_t count = run.program().value(output_).channels;
    for (std::size_t row = first; row < last; ++row) {
      run.kernels().reals.softmax(run.reals(input_, row), count, chosen_, run.reals(output_, row));
    }
  }

 private:
  ValueId output_;
  ValueId input_;
  std::size_t chosen_;
};

class Affine final : public RowOperation {
 public:
  Affine(ValueId output, ValueId input, const std::vector<float>& weight,
         const std::vector<float>& bias, std::size_t channels)
      : output_(output),
        input_(input),
        weight_(padded(weight, channels)),
        bias_(padded(bias, channels)) {}

  void rows(Run& run, unsigned, std::size_t first, std::size_t last) const override {
    const RowKernels& kernels = run.kernels().reals;
    const std::size_t width = run.program().value(output_).padded();
    for (std::size_t row = first; row < last; ++row) {
      const float* x = run.reals(input_, row);
      float* y = run.reals(output_, row);
      if (!weight_.empty()) {
        kernels.multiply(x, weight_.data() + row * width % weight_.size(), width, y);
        x = y;
      }
      if (!bias_.empty()) {
        kernels.add(x, bias_.data() + row * width % bias_.size(), width, y);
      } else if (weight_.empty()) {
        std::copy_n(x, width, y);
      }
    }
  }

 private:
  ValueId output_;
  ValueId input_;
  std::vector<float> weight_;
  std::vector<float> bias_;
};

class Padding final : public RowOperation {
 public:
  Padding(ValueId output, std::size_t place) : output_(output), place_(place) {}

  void rows(Run& run, unsigned, std::size_t first, std::size_t last) const override {
    const Value& value = run.program().value(output_);
    const float* x = run.at<float>(place_, 0) + first * value.channels;
    float* y = run.reals(output_, first);
    if (value.channels == 1) {  // pixels: too small to call memcpy for
      for (std::size_t row = first; row < last; ++row, y += value.padded()) {
        *y = *x++;
      }
      return;
    }
    for (std::size_t row = first; row < last; ++row) {
      std::copy_n(x, value.channels, y);
      x += value.channels;
      y += value.padded();
    }
  }

 private:
  ValueId output_;
  std::size_t place_;
};

class Binary final : public RowOperation {
 public:
  Binary(ValueId output, ValueId left, ValueId right, bool multiply)
      : output_(output), left_(left), right_(right), multiply_(multiply) {}

  void rows(Run& run, unsigned, std::size_t first, std::size_t last) const override {
    const RowKernels& kernels = run.kernels().reals;
    const auto apply = multiply_ ? kernels.multiply : kernels.add;
    const std::size_t width = run.program().value(output_).padded();
    apply(run.reals(left_, first), run.reals(right_, first), (last - first) * width,
          run.reals(output_, first));
  }

 private:
  ValueId output_;
  ValueId left_;
  ValueId right_;
  bool multiply_;
};

class Scaling final : public RowOperation {
 public:
  Scaling(ValueId output, ValueId left, ValueId right)
      : output_(output), left_(left), right_(right) {}

  void rows(Run& run, unsigned, std::size_t first, std::size_t last) const override {
    const std::size_t width = run.program().value(output_).padded();
    for (std::size_t row = first; row < last; ++row) {
      run.kernels().reals.scale(run.reals(left_, row), *run.reals(right_, row), width,
                                run.reals(output_, row));
    }
  }

 private:
  ValueId output_;
  ValueId left_;
  ValueId right_;
};

class Rotary final : public RowOperation {
 public:
  Rotary(ValueId output, ValueId input, ValueId positions, const RotaryTables& tables,
         std::size_t heads)
      : output_(output), input_(input), positions_(positions), tables_(tables), heads_(heads) {}

  void rows(Run& run, unsigned, std::size_t first, std::size_t last) const override {
    const std::size_t half = run.program().value(input_).channels / heads_ / 2;
    for (std::size_t row = first; row < last; ++row) {
      const std::int32_t position = run.index(positions_, row);
      if (position < 0 || static_cast<std::size_t>(position) >= tables_.positions) {
        run.fail(Fault::kIndex, output_);
        continue;
      }
      const std::size_t at = static_cast<std::size_t>(position) * half;
      run.kernels().reals.rotate(run.reals(input_, row), tables_.cosine + at, tables_.sine + at,
                                 heads_, half, run.reals(output_, row));
    }
  }

 private:
  ValueId output_;
  ValueId input_;
  ValueId positions_;
  RotaryTables tables_;
  std::size_t heads_;
};

class Select final : public RowOperation {
 public:
  Select(ValueId output, ValueId input, ValueId rows)
      : output_(output), input_(input), rows_(rows) {}

  void rows(Run& run, unsigned, std::size_t first, std::size_t last) const override {
    const Value& input = run.program().value(input_);
    for (std::size_t row = first; row < last; ++row) {
      const std::int32_t from = run.index(rows_, row);
      if (from < 0 || static_cast<std::size_t>(from) >= run.rows(input.domain)) {
        run.fail(Fault::kIndex, output_);
        continue;
      }
      const float* x = run.reals(input_, static_cast<std::size_t>(from));
      std::copy_n(x, input.padded(), run.reals(output_, row));
    }
  }

 private:
  ValueId output_;
  ValueId input_;
  ValueId rows_;
};

}  // namespace

void Chain::add(std::unique_ptr<RowOperation> operation) {
  block_ = std::max(block_, operation->block());
  operations_.push_back(std::move(operation));
}

std::size_t Chain::items(const Run& run) const { return run.rows(domain_); }

std::size_t Chain::grain(const Run& run) const {
  // Enough blocks to share out, each small enough to stay in a core's own cache.
  return std::clamp<std::size_t>(run.rows(domain_) / (4 * run.threads()), 1, block_);
}

void Chain::run(Run& run, unsigned thread, std::size_t first, std::size_t last) const {
  run.enter(thread, first, last - first);
  for (const auto& operation : operations_) {
    operation->rows(run, thread, first, last);
  }
}

std::unique_ptr<RowOperation> make_select(ValueId output, ValueId input, ValueId rows) {
  return std::make_unique<Select>(output, input, rows);
}

std::unique_ptr<RowOperation> make_norm(ValueId output, ValueId input, bool layer,
                                        const std::vector<float>& weight,
                                        const std::vector<float>& bias, float epsilon) {
  return std::make_unique<Norm>(output, input, layer, weight, bias, epsilon);
}

std::unique_ptr<RowOperation> make_padding(ValueId output, std::size_t place) {
  return std::make_unique<Padding>(output, place);
}

std::unique_ptr<RowOperation> make_activation(ValueId output, ValueId input, Function function,
                                              float slope) {
  return std::make_unique<Activation>(output, input, function, slope);
}

std::unique_ptr<RowOperation> make_softmax(ValueId output, ValueId input, std::size_t chosen) {
  return std::make_unique<Softmax>(output, input, chosen);
}

std::unique_ptr<RowOperation> make_affine(ValueId output, ValueId input,
                                          const std::vector<float>& weight,
                                          const std::vector<float>& bias, std::size_t channels) {
  return std::make_unique<Affine>(output, input, weight, bias, channels);
}

std::unique_ptr<RowOperation> make_scaling(ValueId output, ValueId left, ValueId right) {
  return std::make_unique<Scaling>(output, left, right);
}

std::unique_ptr<RowOperation> make_binary(ValueId output, ValueId left, ValueId right,
                                          bool multiply) {
  return std::make_unique<Binary>(output, left, right, multiply);
}

std::unique_ptr<RowOperation> make_rotary(ValueId output, ValueId input, ValueId positions,
                                          const RotaryTables& tables, std::size_t heads) {
  return std::make_unique<Rotary>(output, input, positions, tables, heads);
}

std::vector<float> padded(const std::vector<float>& from, std::size_t channels) {
  const std::size_t width = round_up(channels, kPanel);
  std::vector<float> to(from.size() / channels * width);
  for (std::size_t row = 0; row * channels < from.size(); ++row) {
    std::copy_n(from.data() + row * channels, channels, to.data() + row * width);
  }
  return to;
}

std::vector<float> padded(const std::vector<float>& from) {
  std::vector<float> to(from);
  to.resize(round_up(from.size(), kPanel));
  return to;
}

}  // namespace sangbo
