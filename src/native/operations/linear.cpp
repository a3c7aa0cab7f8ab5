#include <algorithm>

#include "../run.hpp"
#include "encode.hpp"
#include "jobs.hpp"
#include "rows.hpp"

namespace sangbo {
namespace {

class Linear final : public Job {
 public:
  Linear(ValueId output, ValueId input, std::size_t encoding, const PackedWeight& weight,
         const LinearShape& shape)
      : output_(output),
        input_(input),
        encoding_(encoding),
        weight_(weight),
        threshold_(shape.threshold),
        bias_(padded(shape.bias)) {}

  // Items are panels of outputs, once for each block of rows that fits a core's cache.
  [[nodiscard]] std::size_t items(const Run& run) const override {
    return weight_.panels() * blocks(run);
  }

  [[nodiscard]] std::size_t grain(const Run& run) const override {
    // One row is bound by memory: long sequential reads. Many rows are bound by arithmetic.
    const std::size_t shares = items(run) / (4 * run.threads());
    const std::size_t reads = round_up(kRead, weight_.panel_bytes()) / weight_.panel_bytes();
    const std::size_t grain = std::clamp<std::size_t>(shares, 1, reads);
    return blocks(run) > 1 || run.rows(run.program().value(output_).domain) >= kMany
               ? round_up(grain, kShared)
               : grain;
  }

  void run(Run& run, unsigned, std::size_t first, std::size_t last) const override {
    const Encoding& e = run.program().value(input_).encodings[encoding_];
    const std::size_t rows = run.rows(run.program().value(output_).domain);
    if (first == 0) {
      check(run, e, rows);
    }
    LinearTask task{};
    weight_.fill(task);
    task.levels = run.levels(e);
    task.bias = bias_.empty() ? nullptr : bias_.data();
    task.threshold = threshold_;
    task.out = run.reals(output_, 0);
    task.out_stride = run.program().value(output_).padded();
    while (first < last) {
      const std::size_t block = first / weight_.panels();
      const std::size_t panel = first % weight_.panels();
      const std::size_t end = std::min(weight_.panels(), panel + (last - first));
      run.kernels().linear(task, panel, end, block * kRows, std::min(rows, (block + 1) * kRows));
      first += end - panel;
    }
  }

 private:
  static constexpr std::size_t kRows = 256;
  static constexpr std::size_t kRead = 64 * 1024;
  static constexpr std::size_t kMany = 8;    // rows that kernels may take at a time
  static constexpr std::size_t kShared = 6;  // panels: kernels take 2 or 3 at a time

  [[nodiscard]] std::size_t blocks(const Run& run) const {
    return round_up(run.rows(run.program().value(output_).domain), kRows) / kRows;
  }

  void check(Run& run, const Encoding& e, std::size_t rows) const {
    for (std::size_t row = 0; row < rows; ++row) {
      if (!fits(*run.at<std::int64_t>(e.magnitudes, row), weight_.bits())) {
        run.fail(Fault::kAccumulator, output_);
      }
    }
  }

  ValueId output_;
  ValueId input_;
  std::size_t encoding_;
  const PackedWeight& weight_;
  float threshold_;
  std::vector<float> bias_;
};

}  // namespace

std::unique_ptr<Job> make_linear(ValueId output, ValueId input, std::size_t encoding,
                                 const PackedWeight& weight, const LinearShape& shape) {
  return std::make_unique<Linear>(output, input, encoding, weight, shape);
}

}  // namespace sangbo
