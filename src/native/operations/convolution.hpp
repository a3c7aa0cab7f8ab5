// Convolutions on levels.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
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

// Outputs along one axis whose taps see something in the same places, or in fewer: where zeros lie
// between inputs, most taps of an output see one of them.
struct Phases {
  // Finds them where that saves work; all outputs are in one phase elsewhere.
  Phases(const Taps& taps, bool wanted);

  std::vector<std::vector<std::size_t>> taps;  // that each phase has
  std::vector<std::uint32_t> of;               // phase of each output
};

// A part of a convolution: the outputs of one group at the positions of one phase.
struct ConvolutionPart {
  const PackedWeight* weight;
  Layout layout;
  std::vector<std::array<std::size_t, 2>> taps;  // down and across
};

// How the levels of the input come.
enum class LevelForm : std::uint8_t {
  kDirect,   // each output reads one encoded row
  kEncoded,  // taps are encoded rows side by side
  kPlain,    // rows are gathered, then encoded
};

struct ConvolutionPlan {
  LevelForm form;
  std::size_t encoding;  // of the input, unless plain
  std::size_t digits;    // where plain
  std::size_t groups;
  Taps down;
  Taps across;
  Phases rows;
  Phases columns;
  std::vector<ConvolutionPart> parts;  // [group][phase down][phase across]
};

std::unique_ptr<RowOperation> make_convolution(ValueId output, ValueId input, ConvolutionPlan plan,
                                               const LinearShape& shape);
std::unique_ptr<RowOperation> make_depthwise(ValueId output, ValueId input,
                                             const StoredWeight& weight, const Windows& windows,
                                             const LinearShape& shape);

}  // namespace sangbo
