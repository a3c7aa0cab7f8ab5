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

  // Items are panels of outputs, once for each block of rows that fits a core's cache; or blocks of
  // rows with all panels.
  [[nodiscard]] std::size_t items(const Run& run) const override {
    return blocks(run) * (by_rows(run) ? 1 : weight_.panels());
  }

  [[nodiscard]] std::size_t grain(const Run& run) const override {
    if (by_rows(run)) {
      return 1;
    }
    // One row is bound by memory: long sequential reads. Many rows are bound by arithmetic.
    const std::size_t shares = items(run) / (4 * run.threads());
    const std::size_t reads = round_up(kRead, weight_.panel_bytes()) / weight_.panel_bytes();
    const std::size_t grain = std::clamp<std::size_t>(shares, 1, reads);
    return blocks(run) > 1 || rows(run) >= kMany ? round_up(grain, kShared) : grain;
  }

  void run(Run& run, unsigned, std::size_t first, std::size_t last) const override {
    const Encoding& e = run.program().value(input_).encodings[encoding_];
    const std::size_t rows = this->rows(run);
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
    const std::size_t height = this->height(run);
    if (by_rows(run)) {
      run.kernels().linear(task, 0, weight_.panels(), first * height,
                           std::min(rows, last * height));
      return;
    }
    while (first < last) {
      const std::size_t block = first / weight_.panels();
      const std::size_t panel = first % weight_.panels();
      const std::size_t end = std::min(weight_.panels(), panel + (last - first));
      run.kernels().linear(task, panel, end, block * height, std::min(rows, (block + 1) * height));
      first += end - panel;
    }
  }

 private:
  static constexpr std::size_t kRows = 256;
  static constexpr std::size_t kRead = 64 * 1024;
  static constexpr std::size_t kNear = 256 * 1024;  // bytes that stay in a core's own cache
  static constexpr std::size_t kMany = 8;           // rows that kernels may take at a time
  static constexpr std::size_t kShared = 6;         // panels: kernels take 2 or 3 at a time

  [[nodiscard]] std::size_t rows(const Run& run) const {
    return run.rows(run.program().value(output_).domain);
  }
  // Whether threads share out rows, as they do elsewhere: what one wrote need not go to the core of
  // another then, but each reads all weights.
  [[nodiscard]] bool by_rows(const Run& run) const {
    return weight_.bytes() <= kNear && rows(run) >= kMany * run.threads();
  }
  // Rows of a block.
  [[nodiscard]] std::size_t height(const Run& run) const {
    return by_rows(run) ? std::clamp(round_up(rows(run) / (4 * run.threads()), kMany), kMany, kRows)
                        : kRows;
  }
  [[nodiscard]] std::size_t blocks(const Run& run) const {
    return round_up(rows(run), height(run)) / height(run);
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
