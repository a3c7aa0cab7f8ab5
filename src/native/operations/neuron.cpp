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
    const std::size_t widest = longest_encoding(value);
    auto* scratch = reinterpret_cast<std::int32_t*>(
        run.scratch(thread, (width + widest) * sizeof(std::int32_t)));
    const bool counted = run.tally(thread, output_) != nullptr;
    for (std::size_t row = first; row < last; ++row) {
      std::int32_t* levels = value.place >= 0 ? run.plain_levels(output_, row) : scratch;
      Tally* tally = counted ? run.tally(thread, output_, class_of(value, row)) : nullptr;
      if (tally != nullptr) {
        tally->expect(value.channels);
      }
      if (!run.kernels().settle(run.reals(input_, row), inverse_.data(), gains_, lowest_, highest_,
                                value.channels, levels)) {
        run.fail(Fault::kNotFinite, output_);
        std::fill_n(levels, width, 0);
      }
      if (tally != nullptr) {
        tally->add(run.kernels(), levels, value.channels);
      }
      for (const Encoding& e : value.encodings) {
        *run.at<std::int64_t>(e.magnitudes, row) =
            encode(run.kernels(), e.layout, run.low_bits(e), run.program().digits(e.digits),
                   run.samples(row), levels, scratch + width, run.encoded(e, row));
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

  static std::size_t class_of(const Value& value, std::size_t row) {
    return value.classes.empty() ? 0 : value.classes[row % value.domain.each];
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
