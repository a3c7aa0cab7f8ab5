#include <algorithm>

#include "../run.hpp"
#include "encode.hpp"
#include "jobs.hpp"
#include "rows.hpp"

namespace sangbo {
namespace {

// A linear operation that leaves out rows.
class Gated final : public Job {
 public:
  Gated(ValueId output, ValueId input, ValueId gate, std::size_t encoding,
        const PackedWeight& weight, const LinearShape& shape)
      : output_(output),
        input_(input),
        gate_(gate),
        encoding_(encoding),
        weight_(weight),
        threshold_(shape.threshold),
        bias_(padded(shape.bias)) {}

  // Items are panels of outputs, once for each block of rows.
  [[nodiscard]] std::size_t items(const Run& run) const override {
    return weight_.panels() * (round_up(all_rows(run), kRows) / kRows);
  }

  [[nodiscard]] std::size_t grain(const Run& run) const override {
    return std::clamp<std::size_t>(items(run) / (4 * run.threads()), 1, kPanels);
  }

  void run(Run& run, unsigned thread, std::size_t first, std::size_t last) const override {
    LinearTask task{};
    weight_.fill(task);
    task.levels = run.levels(run.program().value(input_).encodings[encoding_]);
    task.bias = bias_.empty() ? nullptr : bias_.data();
    task.threshold = threshold_;
    task.out = run.reals(output_, 0);
    task.out_stride = run.program().value(output_).padded();
    while (first < last) {
      const std::size_t block = first / weight_.panels();
      const std::size_t panel = first % weight_.panels();
      const std::size_t end = std::min(weight_.panels(), panel + (last - first));
      const std::size_t begin = block * kRows;
      const std::size_t stop = std::min(all_rows(run), begin + kRows);
      if (panel == 0) {
        look(run, thread, begin, stop);
      }
      for (std::size_t row = begin; row < stop;) {
        const std::size_t next = last_alike(run, row, stop);
        if (open(run, row)) {
          run.kernels().linear(task, panel, end, row, next);
        } else {
          for (std::size_t r = row; r < next; ++r) {
            std::fill(run.reals(output_, r) + panel * kPanel, run.reals(output_, r) + end * kPanel,
                      0.0F);
          }
        }
        row = next;
      }
      first += end - panel;
    }
  }

 private:
  static constexpr std::size_t kRows = 256;
  static constexpr std::size_t kPanels = 16;

  [[nodiscard]] std::size_t all_rows(const Run& run) const {
    return run.rows(run.program().value(output_).domain);
  }
  [[nodiscard]] bool open(const Run& run, std::size_t row) const {
    return *run.reals(gate_, row) != 0.0F;
  }
  [[nodiscard]] std::size_t last_alike(const Run& run, std::size_t row, std::size_t stop) const {
    const bool wanted = open(run, row);
    while (row < stop && open(run, row) == wanted) {
      ++row;
    }
    return row;
  }

  // Counts and checks the rows that are not left out.
  void look(Run& run, unsigned thread, std::size_t begin, std::size_t stop) const {
    const Encoding& e = run.program().value(input_).encodings[encoding_];
    Tally* tally = run.tally(thread, output_);
    std::uint64_t rows = 0;
    for (std::size_t row = begin; row < stop; ++row) {
      if (!open(run, row)) {
        continue;
      }
      if (!fits(*run.at<std::int64_t>(e.magnitudes, row), weight_.bits())) {
        run.fail(Fault::kAccumulator, output_);
      }
      if (tally != nullptr) {
        tally->add(run.kernels(), run.plain_levels(input_, row), weight_.inputs());
        ++rows;
      }
    }
    if (tally != nullptr) {
      run.add_total(output_, rows);
    }
  }

  ValueId output_;
  ValueId input_;
  ValueId gate_;
  std::size_t encoding_;
  const PackedWeight& weight_;
  float threshold_;
  std::vector<float> bias_;
};

}  // namespace

std::unique_ptr<Job> make_gated(ValueId output, ValueId input, ValueId gate, std::size_t encoding,
                                const PackedWeight& weight, const LinearShape& shape) {
  return std::make_unique<Gated>(output, input, gate, encoding, weight, shape);
}

}  // namespace sangbo
