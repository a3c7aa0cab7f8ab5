#include <algorithm>

#include "../run.hpp"
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
    Tally* tally = run.tally(thread, output_);
    for (std::size_t row = first; row < last; ++row) {
      std::int32_t* levels = value.place >= 0 ? run.plain_levels(output_, row) : scratch;
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
      for (const Encoding& encoding : value.encodings) {
        encode(run, encoding, row, levels, scratch + width);
      }
    }
  }

 private:
  static std::size_t longest_encoding(const Value& value) {
    std::size_t longest = 0;
    for (const Encoding& encoding : value.encodings) {
      longest = std::max(longest, encoding.padded());
    }
    return longest;
  }

  static void encode(Run& run, const Encoding& e, std::size_t row, const std::int32_t* levels,
                     std::int32_t* spread) {
    const Kernels& kernels = run.kernels();
    *run.at<std::int64_t>(e.magnitudes, row) =
        kernels.total(levels, e.groups, e.group, run.at<std::int32_t>(e.sums, row));
    const std::size_t group = padded_group(e.group);
    const std::int32_t* source = levels;  // rows end in zeros, up to a multiple of 16
    if (group != e.group && e.groups > 1) {
      for (std::size_t g = 0; g < e.groups; ++g) {
        std::copy_n(levels + g * e.group, e.group, spread + g * group);
        std::fill_n(spread + g * group + e.group, group - e.group, 0);
      }
      source = spread;
    }
    if (run.samples(row)) {
      run.program().digits(e.digits).sample(source, e.padded());
    }
    const std::size_t extras =
        kernels.split(source, e.padded(), run.low_bits(e), run.at<std::int8_t>(e.low, row),
                      run.at<Extra>(e.extras, row));
    *run.at<std::uint32_t>(e.extra_counts, row) = static_cast<std::uint32_t>(extras);
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
