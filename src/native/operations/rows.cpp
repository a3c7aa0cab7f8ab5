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
    const Kernels& kernels = run.kernels();
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
  Activation(ValueId output, ValueId input, bool gelu)
      : output_(output), input_(input), gelu_(gelu) {}

  void rows(Run& run, unsigned, std::size_t first, std::size_t last) const override {
    const auto apply = gelu_ ? run.kernels().gelu_tanh : run.kernels().silu;
    const std::size_t width = run.program().value(output_).padded();
    apply(run.reals(input_, first), (last - first) * width, run.reals(output_, first));
  }

 private:
  ValueId output_;
  ValueId input_;
  bool gelu_;
};

class Binary final : public RowOperation {
 public:
  Binary(ValueId output, ValueId left, ValueId right, bool multiply)
      : output_(output), left_(left), right_(right), multiply_(multiply) {}

  void rows(Run& run, unsigned, std::size_t first, std::size_t last) const override {
    const auto apply = multiply_ ? run.kernels().multiply : run.kernels().add;
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
      run.kernels().rotate(run.reals(input_, row), tables_.cosine + at, tables_.sine + at, heads_,
                           half, run.reals(output_, row));
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

class Append final : public RowOperation {
 public:
  Append(ValueId key, ValueId value, std::size_t layer) : key_(key), value_(value), layer_(layer) {}

  void rows(Run& run, unsigned, std::size_t first, std::size_t last) const override {
    for (std::size_t row = first; row < last; ++row) {
      const Run::Where& where = run.where(row);
      run.segments()[where.segment].cache->write(
          layer_, where.position, run.plain_levels(key_, row), run.plain_levels(value_, row));
    }
  }

 private:
  ValueId key_;
  ValueId value_;
  std::size_t layer_;
};

}  // namespace

std::size_t Chain::items(const Run& run) const { return run.rows(domain_); }

std::size_t Chain::grain(const Run& run) const {
  // Enough blocks to share out, each small enough to stay in a core's own cache.
  return std::clamp<std::size_t>(run.rows(domain_) / (4 * run.threads()), 1, 16);
}

void Chain::run(Run& run, unsigned thread, std::size_t first, std::size_t last) const {
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

std::unique_ptr<RowOperation> make_activation(ValueId output, ValueId input, bool gelu) {
  return std::make_unique<Activation>(output, input, gelu);
}

std::unique_ptr<RowOperation> make_binary(ValueId output, ValueId left, ValueId right,
                                          bool multiply) {
  return std::make_unique<Binary>(output, left, right, multiply);
}

std::unique_ptr<RowOperation> make_rotary(ValueId output, ValueId input, ValueId positions,
                                          const RotaryTables& tables, std::size_t heads) {
  return std::make_unique<Rotary>(output, input, positions, tables, heads);
}

std::unique_ptr<RowOperation> make_append(ValueId key, ValueId value, std::size_t layer) {
  return std::make_unique<Append>(key, value, layer);
}

std::vector<float> padded(const std::vector<float>& from) {
  std::vector<float> to(from);
  to.resize(round_up(from.size(), kPanel));
  return to;
}

}  // namespace sangbo
