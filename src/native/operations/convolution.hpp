// Convolutions on levels.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "../program.hpp"

namespace sangbo {

// What each tap of each output sees along one axis.
struct Taps {
  explicit Taps(const Window& window);
  // The input that tap `t` of output `o` sees, or −1.
  [[nodiscard]] std::int32_t source(std::size_t o, std::size_t t) const {
    return sources[o * kernel + t];
  }

  std::size_t size;
  std::size_t kernel;
  std::size_t outputs;
  std::vector<std::int32_t> sources;  // [outputs][kernel]
};

// Where an output is, one after the other.
class Walk {
 public:
  Walk(const Taps& down, const Taps& across, std::size_t row)
      : downs_(down.outputs),
        acrosses_(across.outputs),
        sample_(row / (downs_ * acrosses_)),
        down_(row / acrosses_ % downs_),
        across_(row % acrosses_) {}
  void next() {
    if (++across_ == acrosses_) {
      across_ = 0;
      if (++down_ == downs_) {
        down_ = 0;
        ++sample_;
      }
    }
  }
  [[nodiscard]] std::size_t sample() const { return sample_; }
  [[nodiscard]] std::size_t down() const { return down_; }
  [[nodiscard]] std::size_t across() const { return across_; }

 private:
  std::size_t downs_;
  std::size_t acrosses_;
  std::size_t sample_;
  std::size_t down_;
  std::size_t across_;
};

// Outputs along one axis whose taps see something in the same places, or in fewer: where zeros lie
// between inputs, most taps of an output see one of them.
struct Phases {
  // Finds them where that saves work; all outputs are in one phase elsewhere.
  Phases(const Taps& taps, bool wanted);

  std::vector<std::vector<std::size_t>> taps;  // that each phase has
  std::vector<std::uint32_t> of;               // phase of each output
};

// Levels that lie side by side both in a strip of the input and among those that an output sees:
// of some taps that see neighbours.
struct Piece {
  // Taps of an output that see nothing, that see columns from `from` on, and that see nothing.
  struct Span {
    std::size_t before;
    std::size_t seen;
    std::size_t after;
    std::size_t from;
  };

  std::size_t down;         // its taps' row
  std::size_t channel;      // the first
  std::size_t channels;     // of each tap
  std::size_t to;           // place of its first level
  std::vector<Span> spans;  // of each output across
};

// A part of a convolution: the outputs of one group at the positions of one phase.
struct ConvolutionPart {
  const PackedWeight* weight;
  Layout layout;
  std::vector<Piece> pieces;
};

// The pieces of taps in `rows` × `columns` for the outputs that are of phase `phase` across.
std::vector<Piece> pieces_of(const std::vector<std::size_t>& rows,
                             const std::vector<std::size_t>& columns, const Taps& across,
                             const Phases& phases, std::size_t phase, const Layout& layout);

struct ConvolutionPlan {
  std::optional<std::size_t> encoding;  // of the input, where an output sees one row whole; else
  std::size_t strip;
  std::size_t groups;
  Taps down;
  Taps across;
  Phases rows;
  Phases columns;
  std::vector<ConvolutionPart> parts;  // [group][phase down][phase across]
};

std::unique_ptr<RowOperation> make_convolution(ValueId output, ValueId input, ConvolutionPlan plan,
                                               const LinearShape& shape);
// Each channel by itself, one output for each; at most kDepthwiseTaps taps.
std::unique_ptr<RowOperation> make_depthwise(ValueId output, ValueId input, std::size_t strip,
                                             const StoredWeight& weight, const Windows& windows,
                                             const LinearShape& shape);
// With more, sums of levels in 16 bits might not fit 32.
inline constexpr std::size_t kDepthwiseTaps = 512;

}  // namespace sangbo
