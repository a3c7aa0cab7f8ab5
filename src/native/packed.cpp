#include "packed.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace sangbo {
int stored_integer(const StoredWeight& w, std::size_t output, std::size_t input) {
  if (w.bits == 4) {
    const int both = w.values[output * (w.inputs / 2) + input / 2];
    return input % 2 == 0 ? both & 15 : both >> 4;
  }
  return static_cast<std::int8_t>(w.values[output * w.inputs + input]);
}

float stored_real(const void* reals, std::size_t at, bool half) {
  return half ? widen_half(static_cast<const std::uint16_t*>(reals)[at])
              : static_cast<const float*>(reals)[at];
}

float widen_half(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
  const std::uint32_t rest = half & 0x7fffU;
  std::uint32_t bits = 0;
  if (rest >= 0x7c00U) {
    bits = 0x7f800000U | (rest & 0x3ffU) << 13;
  } else if (rest >= 0x400U) {
    bits = (rest << 13) + (112U << 23);
  } else {  // below the smallest normal half: rest · 2⁻²⁴
    bits = std::bit_cast<std::uint32_t>(static_cast<float>(rest) * 0x1p-24F);
  }
  return std::bit_cast<float>(bits | sign);
}

void stored_row(const StoredWeight& stored, std::size_t output, float* to) {
  const std::size_t groups = stored.inputs / stored.group;
  for (std::size_t i = 0; i < stored.inputs; ++i) {
    const std::size_t at = output * groups + i / stored.group;
    const float y = static_cast<float>(stored_integer(stored, output, i)) *
                    stored_real(stored.scale, at, stored.half);
    to[i] = stored.minimum == nullptr ? y : y + stored_real(stored.minimum, at, stored.half);
  }
}

PackedWeight::PackedWeight(const StoredWeight& stored, int offset, Arena& arena)
    : bits_(stored.bits),
      offset_(stored.bits == 8 ? offset : 0),
      half_(stored.half),
      outputs_(stored.outputs),
      inputs_(stored.inputs),
      group_(stored.group),
      groups_(stored.inputs / stored.group),
      quads_(padded_group(stored.group) / 4),
      panels_(round_up(stored.outputs, kPanel) / kPanel),
      panel_bytes_(groups_ * quads_ * (stored.bits == 8 ? 64 : 32)),
      values_(arena.take(panels_ * panel_bytes_)),
      scales_(arena.take(panels_ * groups_ * kPanel * (stored.half ? 2 : 4))) {
  if (stored.minimum != nullptr) {
    minima_ = arena.take(scales_.size());
  }
}

void PackedWeight::pack(const StoredWeight& stored, std::size_t first, std::size_t last) {
  const std::size_t inputs = 4 * quads_;
  for (std::size_t panel = first; panel < last; ++panel) {
    std::uint8_t* to = reinterpret_cast<std::uint8_t*>(values_.data()) + panel * panel_bytes_;
    const std::size_t real_outputs = std::min(kPanel, outputs_ - panel * kPanel);
    if (bits_ == 8) {
      std::memset(to, offset_, panel_bytes_);
    }
    for (std::size_t o = 0; o < real_outputs; ++o) {
      const std::size_t output = panel * kPanel + o;
      for (std::size_t g = 0; g < groups_; ++g) {
        std::uint8_t* out = to + g * quads_ * (bits_ == 8 ? 64 : 32) + 4 * o;
        if (bits_ == 8) {
          const std::uint8_t* from = stored.values + output * inputs_ + g * group_;
          for (std::size_t i = 0; i < group_; ++i) {
            out[i / 4 * 64 + i % 4] =
                static_cast<std::uint8_t>(from[i] + static_cast<unsigned>(offset_));
          }
        } else {
          for (std::size_t i = 0; i < inputs && i < group_; ++i) {
            const auto q = static_cast<unsigned>(stored_integer(stored, output, g * group_ + i));
            std::uint8_t& byte = out[i / 8 * 64 + i % 4];
            byte = static_cast<std::uint8_t>(byte | q << (i % 8 < 4 ? 0 : 4));
          }
        }
        const std::size_t at = (panel * groups_ + g) * kPanel + o;
        const std::size_t size = half_ ? 2 : 4;
        const std::size_t source = (output * groups_ + g) * size;
        std::memcpy(scales_.data() + at * size,
                    static_cast<const std::byte*>(stored.scale) + source, size);
        if (stored.minimum != nullptr) {
          std::memcpy(minima_.data() + at * size,
                      static_cast<const std::byte*>(stored.minimum) + source, size);
        }
      }
    }
  }
}

int PackedWeight::value(std::size_t output, std::size_t group, std::size_t place) const {
  const auto* panel =
      reinterpret_cast<const std::uint8_t*>(values_.data()) + output / kPanel * panel_bytes_;
  const std::size_t lane = 4 * (output % kPanel) + place % 4;
  if (bits_ == 8) {
    const std::uint8_t byte = panel[(group * quads_ + place / 4) * 64 + lane];
    return static_cast<std::int8_t>(static_cast<std::uint8_t>(byte - offset_));
  }
  const std::uint8_t byte = panel[group * quads_ * 32 + place / 8 * 64 + lane];
  return place % 8 < 4 ? byte & 15 : byte >> 4;
}

void PackedWeight::row(std::size_t output, float* to) const {
  for (std::size_t g = 0; g < groups_; ++g) {
    const std::size_t at = (output / kPanel * groups_ + g) * kPanel + output % kPanel;
    const float scale = stored_real(scales_.data(), at, half_);
    const bool shifted = has_minima();
    const float minimum = shifted ? stored_real(minima_.data(), at, half_) : 0.0F;
    for (std::size_t i = 0; i < group_; ++i) {
      const float y = static_cast<float>(value(output, g, i)) * scale;
      to[g * group_ + i] = shifted ? y + minimum : y;
    }
  }
}

void PackedWeight::fill(LinearTask& task) const {
  task.values = reinterpret_cast<const std::uint8_t*>(values_.data());
  task.bits = bits_;
  task.groups = groups_;
  task.quads = quads_;
  task.scales = scales_.data();
  task.minima = has_minima() ? minima_.data() : nullptr;
  task.half = half_;
}

}  // namespace sangbo
