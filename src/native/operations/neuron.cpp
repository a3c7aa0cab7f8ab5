#include <algorithm>
#include <array>
#include <optional>

#include "../run.hpp"
#include "encode.hpp"
#include "rows.hpp"

namespace sangbo {
namespace {

class Neuron final : public RowOperation {
 public:
  // Reads rows without gaps from `given`, where that is a place; all channels are alike then.
  Neuron(ValueId output, ValueId input, std::optional<std::size_t> given, std::size_t channels,
         const std::vector<float>& inverse, std::int32_t lowest, std::int32_t highest)
      : output_(output),
        input_(input),
        given_(given),
        channels_(channels),
        gains_(inverse.size() > 1),
        inverse_(padded(inverse)),
        lowest_(lowest),
        highest_(highest) {}

  [[nodiscard]] std::size_t block() const override {
    return std::clamp<std::size_t>(kAtOnce / channels_, 16, 256);
  }

  void rows(Run& run, unsigned thread, std::size_t first, std::size_t last) const override {
    const Value& value = run.program().value(output_);
    const std::size_t padded = value.padded();
    // Short rows without gaps are one long row to whoever treats all channels alike.
    const bool gapless =
        channels_ == padded || (given_ && value.place < 0 && value.encodings.empty());
    const std::size_t width = gapless ? channels_ : padded;
    const std::size_t most =
        gapless && !gains_ ? std::clamp<std::size_t>(kAtOnce / width, 1, last - first) : 1;
    const std::size_t room = round_up(most * width, kPanel);
    auto* scratch = reinterpret_cast<std::int32_t*>(
        run.scratch(thread, (room + longest_encoding(value)) * sizeof(std::int32_t)));
    const bool counted = run.tally(thread, output_) != nullptr;
    for (std::size_t row = first; row < last; row += most) {
      const std::size_t end = std::min(row + most, last);
      std::int32_t* levels = value.place >= 0 ? run.plain_levels(output_, row) : scratch;
      if (counted && value.classes.empty()) {
        run.tally(thread, output_)->expect((end - row) * channels_);
      }
      if (!settle(run, row, (end - row - 1) * width + channels_, levels)) {
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
                     levels + (r - row) * width, scratch + room, run.encoded(e, r));
        }
      }
      for (const Strip& strip : value.strips) {
        lay(run, value, strip, row, end, levels, width);
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

  // `count` levels of the rows from `row` on.
  bool settle(const Run& run, std::size_t row, std::size_t count, std::int32_t* levels) const {
    const auto part = [&](const float* x, std::size_t from, std::size_t size) {
      return run.kernels().settle(x, inverse_.data(), gains_, lowest_, highest_, size,
                                  levels + from);
    };
    if (!given_) {
      return part(run.reals(input_, row), 0, count);
    }
    const float* x = run.at<float>(*given_, 0) + row * channels_;
    const std::size_t whole = count / kPanel * kPanel;
    bool finite = whole == 0 || part(x, 0, whole);
    if (whole < count) {  // nothing may be read behind what the caller gave
      std::array<float, kPanel> rest{};
      std::copy_n(x + whole, count - whole, rest.data());
      finite = part(rest.data(), whole, count - whole) && finite;
    }
    return finite;
  }

  // Puts rows `first` to `last`, which lie `width` levels apart, where windows read them.
  static void lay(Run& run, const Value& value, const Strip& strip, std::size_t first,
                  std::size_t last, const std::int32_t* levels, std::size_t width) {
    // Rows of several groups are numbered from the first of all, and never in a thread's own
    // memory.
    const std::size_t channels = value.channels / strip.groups;
    const std::size_t from = strip.groups == 1 ? first : 0;
    const std::size_t rows = run.rows(value.domain);
    auto* shorts = run.at<std::int16_t>(strip.shorts, from);
    auto* wide = run.at<std::int32_t>(strip.wide, from);
    auto* large = run.at<std::uint8_t>(strip.large, first);
    const auto place = [&](std::size_t row, std::size_t g) {
      return (g * rows + row - from) * channels;
    };
    std::fill_n(large, last - first, std::uint8_t{0});
    if (strip.groups == 1 && width == channels &&
        run.kernels().narrow(levels, (last - first) * channels, shorts)) {
      return;
    }
    for (std::size_t row = first; row < last; ++row) {
      bool fit = true;
      const std::int32_t* own = levels + (row - first) * width;
      for (std::size_t g = 0; g < strip.groups; ++g) {
        fit = run.kernels().narrow(own + g * channels, channels, shorts + place(row, g)) && fit;
      }
      if (!fit) {
        large[row - first] = 1;
        run.note_large(strip);
        for (std::size_t g = 0; g < strip.groups; ++g) {
          std::copy_n(own + g * channels, channels, wide + place(row, g));
        }
      }
    }
  }

  // Counts the levels of rows `first` to `last`; several rows have no gaps.
  void count(Run& run, unsigned thread, const Value& value, std::size_t first, std::size_t last,
             const std::int32_t* levels) const {
    if (value.classes.empty()) {
      run.tally(thread, output_)->add(run.kernels(), levels, (last - first) * value.channels);
      return;
    }
    const std::size_t each = value.domain.each;
    std::size_t at = first % each;
    for (std::size_t row = first; row < last;) {
      const std::size_t which = value.classes[at];
      std::size_t alike = 1;
      while (row + alike < last && at + alike < each && value.classes[at + alike] == which) {
        ++alike;
      }
      run.tally(thread, output_, which)
          ->add(run.kernels(), levels + (row - first) * value.channels, alike * value.channels);
      row += alike;
      at = (at + alike) % each;
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
  std::optional<std::size_t> given_;
  std::size_t channels_;
  bool gains_;
  std::vector<float> inverse_;
  std::int32_t lowest_;
  std::int32_t highest_;
};

}  // namespace

std::unique_ptr<RowOperation> make_neuron(ValueId output, ValueId input,
                                          std::optional<std::size_t> given, std::size_t channels,
                                          const std::vector<float>& inverse, std::int32_t lowest,
                                          std::int32_t highest) {
  return std::make_unique<Neuron>(output, input, given, channels, inverse, lowest, highest);
}

}  // namespace sangbo
