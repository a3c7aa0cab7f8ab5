#include <algorithm>
#include <cstdlib>
#include <limits>

#include "../run.hpp"
#include "convolution.hpp"
#include "encode.hpp"
#include "rows.hpp"

namespace sangbo {
namespace {

class Depthwise final : public RowOperation {
 public:
  Depthwise(ValueId output, ValueId input, std::size_t strip, const StoredWeight& weight,
            const Windows& windows, const LinearShape& shape)
      : output_(output),
        input_(input),
        strip_(strip),
        down_(windows[0]),
        across_(windows[1]),
        width_(round_up(weight.outputs, kDepthwiseBlock)),
        groups_(weight.inputs / weight.group),
        taps_(weight.group),
        pairs_(round_up(taps_, 2) / 2),
        weights_(groups_ * pairs_ * width_ * 2),
        scales_(groups_ * width_),
        minima_(weight.minimum == nullptr ? 0 : groups_ * width_),
        bias_(shape.bias),
        zeros_(width_),
        threshold_(shape.threshold),
        bits_(weight.bits) {
    bias_.resize(bias_.empty() ? 0 : width_);
    for (std::size_t o = 0; o < weight.outputs; ++o) {
      for (std::size_t t = 0; t < weight.inputs; ++t) {
        weights_[place(t, o)] = static_cast<std::int16_t>(stored_integer(weight, o, t));
      }
      for (std::size_t g = 0; g < groups_; ++g) {
        scales_[g * width_ + o] = stored_real(weight.scale, o * groups_ + g, weight.half);
        if (weight.minimum != nullptr) {
          minima_[g * width_ + o] = stored_real(weight.minimum, o * groups_ + g, weight.half);
        }
      }
    }
  }

  [[nodiscard]] std::size_t block() const override { return 32; }

  void rows(Run& run, unsigned thread, std::size_t first, std::size_t last) const override {
    const Value& input = run.program().value(input_);
    const Strip& strip = input.strips[strip_];
    const auto* shorts = run.at<std::int16_t>(strip.shorts, 0);
    const auto* large = run.has_large(strip) ? run.at<std::uint8_t>(strip.large, 0) : nullptr;
    Carver memory(
        run.scratch(thread, (2 * groups_ * pairs_ + groups_ * taps_) * sizeof(void*) + 2 * kLine));
    auto** levels = memory.take<const std::int16_t*>(2 * groups_ * pairs_);
    auto* seen = memory.take<std::size_t>(groups_ * taps_);
    DepthwiseTask task{};
    task.levels = levels;
    task.weights = weights_.data();
    task.groups = groups_;
    task.pairs = pairs_;
    task.channels = input.channels;
    task.width = width_;
    task.scales = scales_.data();
    task.minima = minima_.empty() ? nullptr : minima_.data();
    task.bias = bias_.empty() ? nullptr : bias_.data();
    task.threshold = threshold_;
    Walk at(down_, across_, first);
    for (std::size_t row = first; row < last; ++row, at.next()) {
      look(at, seen);
      bool fit = true;
      std::fill_n(levels, 2 * groups_ * pairs_, zeros_.data());
      for (std::size_t t = 0; t < groups_ * taps_; ++t) {
        if (seen[t] != kNothing) {
          levels[t / taps_ * 2 * pairs_ + t % taps_] = shorts + seen[t] * input.channels;
          fit = fit && (large == nullptr || large[seen[t]] == 0);
        }
      }
      if (fit) {
        run.kernels().depthwise(task, run.reals(output_, row));
      } else {
        wide(run, strip, seen, input.channels, run.reals(output_, row));
      }
    }
  }

 private:
  static constexpr std::size_t kNothing = std::numeric_limits<std::size_t>::max();

  // Of the weight of a tap and a channel: those of two taps lie side by side.
  [[nodiscard]] std::size_t place(std::size_t tap, std::size_t channel) const {
    const std::size_t pair = tap / taps_ * pairs_ + tap % taps_ / 2;
    return (pair * width_ + channel) * 2 + tap % taps_ % 2;
  }

  // The row of the input that each tap sees.
  void look(const Walk& at, std::size_t* seen) const {
    for (std::size_t i = 0; i < down_.kernel; ++i) {
      const std::int32_t y = down_.source(at.down(), i);
      const std::size_t line = at.sample() * down_.size + static_cast<std::size_t>(y);
      for (std::size_t j = 0; j < across_.kernel; ++j) {
        const std::int32_t x = across_.source(at.across(), j);
        *seen++ = y < 0 || x < 0 ? kNothing : line * across_.size + static_cast<std::size_t>(x);
      }
    }
  }

  // The same as the kernel's for levels beyond 16 bits, which few rows have.
  void wide(Run& run, const Strip& strip, const std::size_t* seen, std::size_t channels,
            float* out) const {
    for (std::size_t c = 0; c < channels; ++c) {
      float y = 0;
      std::int64_t magnitude = 0;
      for (std::size_t g = 0; g < groups_; ++g) {
        std::int64_t sum = 0;
        std::int64_t total = 0;
        for (std::size_t t = g * taps_; t < (g + 1) * taps_; ++t) {
          if (seen[t] == kNothing) {
            continue;
          }
          const std::int64_t n = run.levels(strip, seen[t])[c];
          sum += n * weights_[place(t, c)];
          total += n;
          magnitude += std::abs(n);
        }
        const float scaled = static_cast<float>(sum) * scales_[g * width_ + c];
        y = y + scaled;
        if (!minima_.empty()) {
          const float shift = static_cast<float>(total) * minima_[g * width_ + c];
          y = y + shift;
        }
      }
      y = y * threshold_;
      out[c] = bias_.empty() ? y : y + bias_[c];
      if (!fits(magnitude, bits_)) {
        run.fail(Fault::kAccumulator, output_);
      }
    }
  }

  ValueId output_;
  ValueId input_;
  std::size_t strip_;
  Taps down_;
  Taps across_;
  std::size_t width_;
  std::size_t groups_;                 // of taps, each with its own scale
  std::size_t taps_;                   // of a group
  std::size_t pairs_;                  // of taps of a group; the last may have one
  std::vector<std::int16_t> weights_;  // [group][pair][width][2]
  std::vector<float> scales_;          // [group][width]
  std::vector<float> minima_;
  std::vector<float> bias_;
  std::vector<std::int16_t> zeros_;  // what taps outside see
  float threshold_;
  int bits_;
};

}  // namespace

std::unique_ptr<RowOperation> make_depthwise(ValueId output, ValueId input, std::size_t strip,
                                             const StoredWeight& weight, const Windows& windows,
                                             const LinearShape& shape) {
  return std::make_unique<Depthwise>(output, input, strip, weight, windows, shape);
}

}  // namespace sangbo
