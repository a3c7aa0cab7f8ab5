#include "convolution.hpp"

#include <algorithm>
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

// What taps `first` to `last` of `columns` see from each output of a phase; empty unless they see
// neighbours, and nothing only before them or behind.
std::vector<Piece::Span> spans_of(const std::vector<std::size_t>& columns, std::size_t first,
                                  std::size_t last, const Taps& across, const Phases& phases,
                                  std::size_t phase) {
  std::vector<Piece::Span> spans(across.outputs);
  for (std::size_t o = 0; o < across.outputs; ++o) {
    Piece::Span& span = spans[o];
    for (std::size_t t = first; t < last && phases.of[o] == phase; ++t) {
      const std::int32_t x = across.source(o, columns[t]);
      if (x < 0) {
        (span.seen == 0 ? span.before : span.after) += 1;
        continue;
      }
      if (span.seen == 0) {
        span.from = static_cast<std::size_t>(x);
      } else if (span.after != 0 || static_cast<std::size_t>(x) != span.from + span.seen) {
        return {};
      }
      ++span.seen;
    }
  }
  return spans;
}

}  // namespace

std::vector<Piece> pieces_of(const std::vector<std::size_t>& rows,
                             const std::vector<std::size_t>& columns, const Taps& across,
                             const Phases& phases, std::size_t phase, const Layout& layout) {
  const std::size_t inputs = layout.groups * layout.group;
  const std::size_t channels = inputs / (rows.size() * columns.size());
  const std::size_t padded = layout.padded() / layout.groups;
  const bool together = !spans_of(columns, 0, columns.size(), across, phases, phase).empty();
  std::vector<Piece> pieces;
  for (std::size_t at = 0; at < inputs;) {
    // As far as the row of taps or the tap goes, and no pad lies between.
    const std::size_t tap = at / channels;
    const std::size_t stretch = (together ? columns.size() : 1) * channels;
    std::size_t end = (at / stretch + 1) * stretch;
    if (padded != layout.group) {
      end = std::min(end, (at / layout.group + 1) * layout.group);
    }
    const std::size_t channel = at % channels;
    const bool whole = channel == 0 && end - at >= channels;
    end = whole ? end - (end - at) % channels : std::min(end, (tap + 1) * channels);
    const std::size_t taps = whole ? (end - at) / channels : 1;
    const std::size_t column = tap % columns.size();
    pieces.push_back({rows[tap / columns.size()], channel, whole ? channels : end - at,
                      at / layout.group * padded + at % layout.group,
                      spans_of(columns, column, column + taps, across, phases, phase)});
    at = end;
  }
  return pieces;
}

namespace {

// Few bytes, two at least: too few to call somebody for.
inline void copy(const std::byte* from, std::size_t bytes, std::byte* to) {
  const auto ends = [&]<class Word>(Word) {
    __builtin_memcpy(to, from, sizeof(Word));
    __builtin_memcpy(to + bytes - sizeof(Word), from + bytes - sizeof(Word), sizeof(Word));
  };
  if (bytes >= 16) {
    for (std::size_t i = 16; i < bytes; i += 16) {
      __builtin_memcpy(to + i - 16, from + i - 16, 16);
    }
    __builtin_memcpy(to + bytes - 16, from + bytes - 16, 16);
  } else if (bytes >= 8) {
    ends(std::uint64_t{});
  } else if (bytes >= 4) {
    ends(std::uint32_t{});
  } else {
    ends(std::uint16_t{});
  }
}

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
    if (plan_.encoding) {
      direct(run, first, last);
      return;
    }
    const bool large = run.has_large(run.program().value(input_).strips[plan_.strip]);
    for (std::size_t g = 0; g < plan_.groups; ++g) {
      for (std::size_t phase = 0; phase < phases(); ++phase) {
        if (large) {
          part<std::int32_t>(run, thread, g, phase, first, last);
        } else {
          part<std::int16_t>(run, thread, g, phase, first, last);
        }
      }
    }
  }

 private:
  [[nodiscard]] std::size_t phases() const {
    return plan_.rows.taps.size() * plan_.columns.taps.size();
  }
  [[nodiscard]] std::size_t phase_of(const Walk& at) const {
    return plan_.rows.of[at.down()] * plan_.columns.taps.size() + plan_.columns.of[at.across()];
  }

  [[nodiscard]] LinearTask task_of(const ConvolutionPart& part, std::size_t group) const {
    LinearTask task{};
    part.weight->fill(task);
    task.bias = bias_.empty() ? nullptr : bias_[group].data();
    task.threshold = threshold_;
    return task;
  }

  void direct(Run& run, std::size_t first, std::size_t last) const {
    const Encoding& e = run.program().value(input_).encodings[*plan_.encoding];
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

  template <class Level>
  void part(Run& run, unsigned thread, std::size_t group, std::size_t phase, std::size_t first,
            std::size_t last) const {
    const ConvolutionPart& part = plan_.parts[group * phases() + phase];
    const std::size_t most = last - first;
    const std::size_t outputs = part.weight->outputs();
    const std::size_t width = part.weight->panels() * kPanel;
    // Whether its outputs can be written where they belong: others lie between, or behind them,
    // within what a panel writes.
    const bool whole = phases() == 1 && (plan_.groups == 1 || outputs == width);
    Carver memory(run.scratch(
        thread, EncodedRows::bytes(part.layout, most) +
                    most * (sizeof(std::uint32_t) + (whole ? 0 : width) * sizeof(float)) +
                    most * part.layout.padded() * sizeof(Level) + 4 * kLine));
    const EncodedRows encoded(part.layout, most, memory);
    auto* rows = memory.take<std::uint32_t>(most);
    const std::size_t inputs = part.layout.padded();
    auto* levels = memory.take<Level>(most * inputs);
    if (inputs != part.weight->inputs()) {
      std::fill_n(levels, most * inputs, Level{0});  // the pads stay so
    }
    const Value& input = run.program().value(input_);
    const Strip& strip = input.strips[plan_.strip];
    const std::size_t channels = input.channels / plan_.groups;
    const std::size_t from = group * run.rows(input.domain) * channels;
    const Source source{channels, run.at<std::int16_t>(strip.shorts, 0) + from,
                        run.at<std::int32_t>(strip.wide, 0) + from,
                        run.at<std::uint8_t>(strip.large, 0)};
    std::size_t count = 0;
    Walk at(plan_.down, plan_.across, first);
    for (std::size_t row = first; row < last; ++row, at.next()) {
      if (phase_of(at) != phase) {
        continue;
      }
      gather(part, source, at, levels + count * inputs);
      rows[count++] = static_cast<std::uint32_t>(row - first);
    }
    // Not one by one: a row that was just written by parts is not yet there to be read.
    for (std::size_t i = 0; i < count; ++i) {
      check(run, split(run.kernels(), part.layout, levels + i * inputs, encoded.row(i)), part);
    }
    LinearTask task = task_of(part, group);
    task.levels = encoded.levels(kWide);
    task.out =
        whole ? run.reals(output_, first) + group * outputs : memory.take<float>(most * width);
    task.out_stride = whole ? run.program().value(output_).padded() : width;
    run.kernels().linear(task, 0, part.weight->panels(), 0, count);
    for (std::size_t i = 0; i < count && !whole; ++i) {
      std::copy_n(task.out + i * width, outputs,
                  run.reals(output_, first + rows[i]) + group * outputs);
    }
  }

  // A group's rows of the input.
  struct Source {
    std::size_t channels;
    const std::int16_t* shorts;
    const std::int32_t* wide;
    const std::uint8_t* large;
  };

  // `seen` levels, from a channel of a row on.
  static void fetch(const Source& from, std::size_t row, std::size_t channel, std::size_t seen,
                    std::int16_t* to) {
    copy(reinterpret_cast<const std::byte*>(from.shorts + row * from.channels + channel),
         seen * sizeof *to, reinterpret_cast<std::byte*>(to));
  }
  static void fetch(const Source& from, std::size_t row, std::size_t channel, std::size_t seen,
                    std::int32_t* to) {
    for (std::size_t i = 0; i < seen; ++i) {
      const std::size_t at = row * from.channels + channel + i;
      to[i] = from.large[at / from.channels] != 0 ? from.wide[at] : from.shorts[at];
    }
  }

  // The levels that an output sees.
  template <class Level>
  void gather(const ConvolutionPart& part, const Source& source, const Walk& at,
              Level* levels) const {
    for (const Piece& piece : part.pieces) {
      const Piece::Span& span = piece.spans[at.across()];
      Level* to = levels + piece.to;
      const std::int32_t y = plan_.down.source(at.down(), piece.down);
      if (y < 0 || span.seen == 0) {
        std::fill_n(to, (span.before + span.seen + span.after) * piece.channels, Level{0});
        continue;
      }
      if (span.before != 0) {
        to = std::fill_n(to, span.before * piece.channels, Level{0});
      }
      const std::size_t row = at.sample() * plan_.down.size + static_cast<std::size_t>(y);
      const std::size_t seen = span.seen * piece.channels;
      fetch(source, row * plan_.across.size + span.from, piece.channel, seen, to);
      if (span.after != 0) {
        std::fill_n(to + seen, span.after * piece.channels, Level{0});
      }
    }
  }

  // Encodes them; returns Σ |n|.
  static std::int64_t split(const Kernels& kernels, const Layout& layout,
                            const std::int16_t* levels, const EncodedRow& to) {
    *to.extra_count = 0;
    return kernels.split_short(levels, layout.groups, layout.padded() / layout.groups, to.low,
                               to.sums);
  }
  static std::int64_t split(const Kernels& kernels, const Layout& layout,
                            const std::int32_t* levels, const EncodedRow& to) {
    *to.extra_count = static_cast<std::uint32_t>(
        kernels.split(levels, layout.padded(), kWide, to.low, to.extras));
    return kernels.total(levels, layout.groups, layout.padded() / layout.groups, to.sums);
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

}  // namespace

std::unique_ptr<RowOperation> make_convolution(ValueId output, ValueId input, ConvolutionPlan plan,
                                               const LinearShape& shape) {
  return std::make_unique<Convolution>(output, input, std::move(plan), shape);
}

}  // namespace sangbo
