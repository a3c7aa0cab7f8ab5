#include "convolution.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "../run.hpp"
#include "encode.hpp"
#include "rows.hpp"

namespace sangbo {

Taps::Taps(const Window& window)
    : size(window.size), kernel(window.kernel), outputs(window.outputs) {
  for (std::size_t o = 0; o < outputs; ++o) {
    for (std::size_t t = 0; t < kernel; ++t) {
      const auto source = window.source(o, t);
      sources.push_back(source ? static_cast<std::int32_t>(*source) : -1);
    }
  }
}

Phases::Phases(const Taps& all, bool wanted) : of(all.outputs) {
  std::vector<std::vector<std::size_t>> live(all.outputs);
  for (std::size_t o = 0; o < all.outputs; ++o) {
    for (std::size_t t = 0; t < all.kernel; ++t) {
      if (all.source(o, t) >= 0) {
        live[o].push_back(t);
      }
    }
  }
  taps = live;
  std::stable_sort(taps.begin(), taps.end(),
                   [](const auto& a, const auto& b) { return a.size() > b.size(); });
  const auto covers = [](const auto& a, const auto& b) {
    return std::includes(a.begin(), a.end(), b.begin(), b.end());
  };
  std::vector<std::vector<std::size_t>> kept;
  std::size_t total = 0;
  for (const auto& some : taps) {
    if (std::none_of(kept.begin(), kept.end(), [&](const auto& k) { return covers(k, some); })) {
      kept.push_back(some);
      total += some.size();
    }
  }
  // Each phase has weights of its own: more than half as many again are not worth it.
  if (!wanted || total == 0 || 2 * total > 3 * all.kernel) {
    kept.assign(1, {});
    for (std::size_t t = 0; t < all.kernel; ++t) {
      kept[0].push_back(t);
    }
  }
  taps = std::move(kept);
  for (std::size_t o = 0; o < all.outputs; ++o) {
    while (!covers(taps[of[o]], live[o])) {
      ++of[o];
    }
  }
}

namespace {

class Convolution final : public RowOperation {
 public:
  Convolution(ValueId output, ValueId input, ConvolutionPlan plan, const LinearShape& shape)
      : output_(output), input_(input), plan_(std::move(plan)), threshold_(shape.threshold) {
    const std::size_t outputs = plan_.parts.front().weight->outputs();
    for (std::size_t g = 0; g < plan_.groups && !shape.bias.empty(); ++g) {
      const auto from = shape.bias.begin() + static_cast<std::ptrdiff_t>(g * outputs);
      bias_.push_back(padded({from, from + static_cast<std::ptrdiff_t>(outputs)}));
    }
  }

  [[nodiscard]] std::size_t block() const override { return 32; }

  void rows(Run& run, unsigned thread, std::size_t first, std::size_t last) const override {
    if (plan_.form == LevelForm::kDirect) {
      direct(run, first, last);
      return;
    }
    const std::size_t phases = plan_.rows.taps.size() * plan_.columns.taps.size();
    for (std::size_t p = 0; p < plan_.parts.size(); ++p) {
      part(run, thread, p / phases, p % phases, first, last);
    }
  }

 private:
  // Rows of a block that belong to a part, encoded.
  struct Block {
    std::uint32_t* rows;
    std::size_t count = 0;
  };

  [[nodiscard]] LinearTask task_of(const ConvolutionPart& part, std::size_t group) const {
    LinearTask task{};
    part.weight->fill(task);
    task.bias = bias_.empty() ? nullptr : bias_[group].data();
    task.threshold = threshold_;
    return task;
  }

  [[nodiscard]] std::size_t phase_of(std::size_t row) const {
    const std::size_t at = row % (plan_.down.outputs * plan_.across.outputs);
    return plan_.rows.of[at / plan_.across.outputs] * plan_.columns.taps.size() +
           plan_.columns.of[at % plan_.across.outputs];
  }

  void direct(Run& run, std::size_t first, std::size_t last) const {
    const Encoding& e = run.program().value(input_).encodings[plan_.encoding];
    const ConvolutionPart& part = plan_.parts.front();
    for (std::size_t row = first; row < last; ++row) {
      check(run, *run.at<std::int64_t>(e.magnitudes, row), part);
    }
    LinearTask task = task_of(part, 0);
    task.levels = run.levels(e);
    task.out = run.reals(output_, 0);
    task.out_stride = run.program().value(output_).padded();
    run.kernels().linear(task, 0, part.weight->panels(), first, last);
  }

  void part(Run& run, unsigned thread, std::size_t group, std::size_t phase, std::size_t first,
            std::size_t last) const {
    const std::size_t phases = plan_.rows.taps.size() * plan_.columns.taps.size();
    const ConvolutionPart& part = plan_.parts[group * phases + phase];
    const std::size_t most = last - first;
    const std::size_t inputs = round_up(part.weight->inputs(), kPanel);
    const std::size_t width = part.weight->panels() * kPanel;
    const bool whole = plan_.parts.size() == 1;
    Carver memory(run.scratch(
        thread, EncodedRows::bytes(part.layout, most) +
                    most * (sizeof(std::uint32_t) + (whole ? 0 : width) * sizeof(float)) +
                    (inputs + part.layout.padded()) * sizeof(std::int32_t) + 5 * kLine));
    auto* rows = memory.take<std::uint32_t>(most);
    std::size_t count = 0;
    for (std::size_t row = first; row < last; ++row) {
      if (phases == 1 || phase_of(row) == phase) {
        rows[count++] = static_cast<std::uint32_t>(row - first);
      }
    }
    if (count == 0) {
      return;
    }
    const EncodedRows encoded(part.layout, most, memory);
    LinearTask task = task_of(part, group);
    if (plan_.form == LevelForm::kEncoded) {
      const Encoding& e = run.program().value(input_).encodings[plan_.encoding];
      task.levels = encoded.levels(run.low_bits(e));
      const Given given{e.layout, run.levels(e), run.at<std::int64_t>(e.magnitudes, 0),
                        run.kernels().planes};
      for (std::size_t i = 0; i < count; ++i) {
        check(run, join(given, part, first + rows[i], encoded.row(i)), part);
      }
    } else {
      auto* levels = memory.take<std::int32_t>(inputs);
      auto* spread = memory.take<std::int32_t>(part.layout.padded());
      task.levels = encoded.levels(
          run.program().digits(plan_.digits).bits());  // they change between runs only
      for (std::size_t i = 0; i < count; ++i) {
        gather(run, part, group, first + rows[i], levels, inputs);
        check(run,
              encode(run.kernels(), part.layout, task.levels.low_bits,
                     run.sampler(plan_.digits, thread, first + rows[i]), levels, spread,
                     encoded.row(i)),
              part);
      }
    }
    auto* out = whole ? run.reals(output_, first) : memory.take<float>(most * width);
    task.out = out;
    task.out_stride = whole ? run.program().value(output_).padded() : width;
    run.kernels().linear(task, 0, part.weight->panels(), 0, count);
    const std::size_t outputs = part.weight->outputs();
    for (std::size_t i = 0; i < count && !whole; ++i) {
      std::copy_n(out + i * width, outputs, run.reals(output_, first + rows[i]) + group * outputs);
    }
  }

  // Calls see(number of the tap, row that it sees) for taps that see something, and
  // unseen(number) for the others.
  template <class See, class Unseen>
  void each_tap(const ConvolutionPart& part, std::size_t row, See see, Unseen unseen) const {
    const std::size_t outputs = plan_.down.outputs * plan_.across.outputs;
    const std::size_t at = row % outputs;
    const std::size_t sample = row / outputs * plan_.down.size;
    const std::size_t down = at / plan_.across.outputs;
    const std::size_t across = at % plan_.across.outputs;
    for (std::size_t k = 0; k < part.taps.size(); ++k) {
      const std::int32_t y = plan_.down.source(down, part.taps[k][0]);
      const std::int32_t x = plan_.across.source(across, part.taps[k][1]);
      if (y < 0 || x < 0) {
        unseen(k);
      } else {
        see(k, (sample + static_cast<std::size_t>(y)) * plan_.across.size +
                   static_cast<std::size_t>(x));
      }
    }
  }

  // Puts the bits of the fours with high digits of tap `k` in their place: those of all taps lie
  // side by side, each tap's from any bit on.
  static void join_marks(const std::int8_t* from, std::size_t fours, std::int8_t* to,
                         std::size_t k) {
    const auto* bits = reinterpret_cast<const std::uint64_t*>(from);
    auto* joined = reinterpret_cast<std::uint64_t*>(to);
    for (std::size_t four = 0; four < fours; four += 64) {
      const std::uint64_t word = bits[four / 64];
      const std::size_t at = k * fours + four;
      joined[at / 64] |= word << at % 64;
      if (const std::uint64_t rest = word >> 1 >> (63 - at % 64); rest != 0) {
        joined[at / 64 + 1] |= rest;
      }
    }
  }

  // All encoded rows of the input; none of them is of this stage.
  struct Given {
    const Layout& layout;
    LevelRows rows;
    const std::int64_t* magnitudes;
    bool planes;
  };

  // A tap has few bytes, a multiple of 8: too few to call somebody for.
  static void copy(const std::int8_t* from, std::size_t bytes, std::int8_t* to) {
    std::size_t i = 0;
    for (; i + 16 <= bytes; i += 16) {
      __builtin_memcpy(to + i, from + i, 16);
    }
    for (; i < bytes; i += 8) {
      __builtin_memcpy(to + i, from + i, 8);
    }
  }

  // Puts the encoded rows that an output sees side by side; returns Σ |n|.
  std::int64_t join(const Given& given, const ConvolutionPart& part, std::size_t row,
                    const EncodedRow& to) const {
    const LevelRows& rows = given.rows;
    const std::size_t channels = given.layout.padded();
    const bool wide = rows.low_bits == kWide;
    const bool planes = wide && given.planes;
    const std::size_t bytes = wide && !planes ? 2 * channels : channels;
    const std::size_t to_high = part.layout.padded();
    const std::size_t parts = given.layout.groups;
    const bool together = part.layout.groups == 1;
    std::fill_n(to.sums, part.layout.groups, 0);
    if (planes) {
      std::memset(to.low + 2 * to_high, 0, low_bytes(to_high) - 2 * to_high);
    }
    std::uint32_t extras = 0;
    std::int64_t magnitude = 0;
    each_tap(
        part, row,
        [&](std::size_t k, std::size_t from) {
          const std::int8_t* low = rows.low + from * rows.low_stride;
          copy(low, bytes, to.low + k * bytes);
          if (planes) {
            copy(low + channels, bytes, to.low + to_high + k * bytes);
            join_marks(low + 2 * channels, channels / 4, to.low + 2 * to_high, k);
          }
          const Extra* more = rows.extras + from * rows.extras_stride;
          for (std::uint32_t x = 0; x < rows.extra_counts[from]; ++x) {
            Extra& extra = to.extras[extras++];
            extra = more[x];
            extra.place = static_cast<std::uint32_t>(extra.place + k * channels / 4) & 0xffffffU;
          }
          const std::int32_t* sums = rows.sums + from * rows.sums_stride;
          for (std::size_t p = 0; p < parts; ++p) {
            const std::size_t at =
                together ? 0 : (k * parts + p) * given.layout.group / part.layout.group;
            to.sums[at] += sums[p];
          }
          magnitude += given.magnitudes[from];
        },
        [&](std::size_t k) {
          std::memset(to.low + k * bytes, 0, bytes);
          if (planes) {
            std::memset(to.low + to_high + k * bytes, 0, bytes);
          }
        });
    *to.extra_count = extras;
    return magnitude;
  }

  // The levels that an output sees, zeros behind them.
  void gather(Run& run, const ConvolutionPart& part, std::size_t group, std::size_t row,
              std::int32_t* levels, std::size_t padded) const {
    const std::size_t channels = part.weight->inputs() / part.taps.size();
    each_tap(
        part, row,
        [&](std::size_t k, std::size_t from) {
          const std::int32_t* n = run.plain_levels(input_, from) + group * channels;
          for (std::size_t c = 0; c < channels; ++c) {
            levels[k * channels + c] = n[c];
          }
        },
        [&](std::size_t k) { std::fill_n(levels + k * channels, channels, 0); });
    std::fill(levels + part.weight->inputs(), levels + padded, 0);
  }

  void check(Run& run, std::int64_t magnitude, const ConvolutionPart& part) const {
    if (!fits(magnitude, part.weight->bits())) {
      run.fail(Fault::kAccumulator, output_);
    }
  }

  ValueId output_;
  ValueId input_;
  ConvolutionPlan plan_;
  float threshold_;
  std::vector<std::vector<float>> bias_;  // of each group
};

// Each channel by itself: one output for each.
class Depthwise final : public RowOperation {
 public:
  Depthwise(ValueId output, ValueId input, const StoredWeight& weight, const Windows& windows,
            const LinearShape& shape)
      : output_(output),
        input_(input),
        down_(windows[0]),
        across_(windows[1]),
        width_(round_up(weight.outputs, kPanel)),
        groups_(weight.inputs / weight.group),
        bits_(weight.bits),
        weights_(weight.inputs * width_),
        scales_(groups_ * width_),
        minima_(weight.minimum == nullptr ? 0 : groups_ * width_),
        bias_(padded(shape.bias)),
        threshold_(shape.threshold) {
    for (std::size_t o = 0; o < weight.outputs; ++o) {
      for (std::size_t t = 0; t < weight.inputs; ++t) {
        weights_[t * width_ + o] = stored_integer(weight, o, t);
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
    const std::size_t taps = down_.kernel * across_.kernel;
    const std::size_t outputs = down_.outputs * across_.outputs;
    Carver memory(run.scratch(thread, taps * sizeof(void*) + kLine));
    auto* levels = memory.take<const std::int32_t*>(taps);
    DepthwiseTask task{};
    task.levels = levels;
    task.weights = weights_.data();
    task.groups = groups_;
    task.taps = taps / groups_;
    task.padded = width_;
    task.scales = scales_.data();
    task.minima = minima_.empty() ? nullptr : minima_.data();
    task.bias = bias_.empty() ? nullptr : bias_.data();
    task.threshold = threshold_;
    task.bounded =
        fits(run.program().value(input_).largest * static_cast<std::int64_t>(taps), bits_);
    for (std::size_t row = first; row < last; ++row) {
      const std::size_t at = row % outputs;
      const std::size_t sample = row / outputs * down_.size;
      std::size_t k = 0;
      for (std::size_t i = 0; i < down_.kernel; ++i) {
        const std::int32_t y = down_.source(at / across_.outputs, i);
        for (std::size_t j = 0; j < across_.kernel; ++j) {
          const std::int32_t x = across_.source(at % across_.outputs, j);
          levels[k++] =
              y < 0 || x < 0
                  ? nullptr
                  : run.plain_levels(input_, (sample + static_cast<std::size_t>(y)) * across_.size +
                                                 static_cast<std::size_t>(x));
        }
      }
      const std::uint32_t reach = run.kernels().depthwise(task, run.reals(output_, row));
      if (!fits(reach, bits_)) {
        run.fail(Fault::kAccumulator, output_);
      }
    }
  }

 private:
  ValueId output_;
  ValueId input_;
  Taps down_;
  Taps across_;
  std::size_t width_;
  std::size_t groups_;
  int bits_;
  std::vector<std::int32_t> weights_;  // [tap][width]
  std::vector<float> scales_;          // [group][width]
  std::vector<float> minima_;
  std::vector<float> bias_;
  float threshold_;
};

}  // namespace

std::unique_ptr<RowOperation> make_convolution(ValueId output, ValueId input, ConvolutionPlan plan,
                                               const LinearShape& shape) {
  return std::make_unique<Convolution>(output, input, std::move(plan), shape);
}

std::unique_ptr<RowOperation> make_depthwise(ValueId output, ValueId input,
                                             const StoredWeight& weight, const Windows& windows,
                                             const LinearShape& shape) {
  return std::make_unique<Depthwise>(output, input, weight, windows, shape);
}

}  // namespace sangbo
