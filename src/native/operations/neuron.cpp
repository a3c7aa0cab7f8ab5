#include <algorithm>

#include "../run.hpp"
#include "encode.hpp"
#include "rows.hpp"

namespace sangbo {
namespace {

class Neuron final : public RowOperation {
 public:
  Neuron(ValueId output, ValueId input, const std::vector<float>& inverse, std::int32_t lowest,
         std::int32_t highest)
      : output_(output),
        input_(input),
        gains_(inverse.size() > 1),
        inverse_(padded(inverse)),
        lowest_(lowest),
        highest_(highest) {}

  void rows(Run& run, unsigned thread, std::size_t first, std::size_t last) const override {
    const Value& value = run.program().value(output_);
    const std::size_t width = value.padded();
    // Short rows without gaps are one long row to whoever treats all channels alike.
    const bool gapless = value.channels == width;
    const std::size_t most =
        gapless && !gains_ ? std::clamp<std::size_t>(kAtOnce / width, 1, last - first) : 1;
    auto* scratch = reinterpret_cast<std::int32_t*>(
        run.scratch(thread, (most * width + longest_encoding(value)) * sizeof(std::int32_t)));
    const bool counted = run.tally(thread, output_) != nullptr;
    for (std::size_t row = first; row < last; row += most) {
      const std::size_t end = std::min(row + most, last);
      std::int32_t* levels = value.place >= 0 ? run.plain_levels(output_, row) : scratch;
      if (counted && value.classes.empty()) {
        run.tally(thread, output_)->expect((end - row) * value.channels);
      }
      if (!run.kernels().settle(run.reals(input_, row), inverse_.data(), gains_, lowest_, highest_,
                                (end - row - 1) * width + value.channels, levels)) {
        run.fail(Fault::kNotFinite, output_);
        std::fill_n(levels, (end - row) * width, 0);
      }
      if (counted) {
        count(run, thread, value, row, end, levels);
      }
      for (std::size_t r = row; r < end; ++r) {
        for (const Encoding& e : value.encodings) {
          *run.at<std::int64_t>(e.magnitudes, r) =
              encode(run.kernels(), e.layout, run.low_bits(e), run.sampler(e.digits, thread, r),
                     levels + (r - row) * width, scratch + most * width, run.encoded(e, r));
        }
      }
    }
    if (counted && last - first >= kManyRows) {
      for (std::size_t c = 0; c < value.tallies; ++c) {
        run.tally(thread, output_, c)->settle_rows(run.kernels());
      }
    }
  }

 private:
  static constexpr std::size_t kManyRows = 8;
  static constexpr std::size_t kAtOnce = 1024;  // levels that the nearest cache holds

  // Counts the levels of rows `first` to `last`; several rows have no gaps.
  void count(Run& run, unsigned thread, const Value& value, std::size_t first, std::size_t last,
             const std::int32_t* levels) const {
    if (value.classes.empty()) {
      run.tally(thread, output_)->add(run.kernels(), levels, (last - first) * value.channels);
      return;
    }
    for (std::size_t row = first; row < last; ++row) {
      const std::size_t which = value.classes[row % value.domain.each];
      run.tally(thread, output_, which)
          ->add(run.kernels(), levels + (row - first) * value.channels, value.channels);
    }
  }

  static std::size_t longest_encoding(const Value& value) {
    std::size_t longest = 0;
    for (const Encoding& encoding : value.encodings) {
      longest = std::max(longest, encoding.layout.padded());
    }
    return longest;
  }

  ValueId output_;
  ValueId input_;
  bool gains_;
  std::vector<float> inverse_;
  std::int32_t lowest_;
  std::int32_t highest_;
};

}  // namespace

std::unique_ptr<RowOperation> make_neuron(ValueId output, ValueId input,
                                          const std::vector<float>& inverse, std::int32_t lowest,
                                          std::int32_t highest) {
  return std::make_unique<Neuron>(output, input, inverse, lowest, highest);
}

}  // namespace sangbo
