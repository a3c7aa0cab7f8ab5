// AMX in portable code: eight tiles for each thread, and the instructions on them that kernels use.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

namespace sangbo::emulated {

struct Tiles {
  std::array<std::uint8_t, 64> config{};
  std::array<std::array<std::array<std::uint8_t, 64>, 16>, 8> data{};

  [[nodiscard]] std::size_t rows(int tile) const { return config[48 + tile]; }
  [[nodiscard]] std::size_t bytes(int tile) const {
    return config[16 + 2 * tile] + 256U * config[17 + 2 * tile];
  }
};

inline thread_local Tiles tiles;

inline void load_config(const void* from) {
  std::memcpy(tiles.config.data(), from, 64);
  tiles.data = {};
}

inline void zero(int tile) { tiles.data[tile] = {}; }

inline void load(int tile, const void* from, std::size_t stride) {
  zero(tile);
  for (std::size_t r = 0; r < tiles.rows(tile); ++r) {
    const auto* row = static_cast<const std::uint8_t*>(from) + r * stride;
    std::memcpy(tiles.data[tile][r].data(), row, tiles.bytes(tile));
  }
}

inline void stored(int tile, void* to, std::size_t stride) {
  for (std::size_t r = 0; r < tiles.rows(tile); ++r) {
    auto* row = static_cast<std::uint8_t*>(to) + r * stride;
    std::memcpy(row, tiles.data[tile][r].data(), tiles.bytes(tile));
  }
}

// to[m][n] += Σ of four signed bytes of a[m][k] times unsigned bytes of b[k][n].
inline void multiply(int to, int a, int b) {
  for (std::size_t m = 0; m < tiles.rows(to); ++m) {
    for (std::size_t n = 0; n < tiles.bytes(to) / 4; ++n) {
      std::uint32_t sum;
      std::memcpy(&sum, &tiles.data[to][m][4 * n], sizeof sum);
      for (std::size_t k = 0; k < tiles.bytes(a) / 4; ++k) {
        for (std::size_t i = 0; i < 4; ++i) {
          const std::int32_t level = static_cast<std::int8_t>(tiles.data[a][m][4 * k + i]);
          sum += static_cast<std::uint32_t>(level * tiles.data[b][k][4 * n + i]);
        }
      }
      std::memcpy(&tiles.data[to][m][4 * n], &sum, sizeof sum);
    }
  }
}

}  // namespace sangbo::emulated

#define _tile_loadconfig sangbo::emulated::load_config
#define _tile_release() sangbo::emulated::tiles = {}
#define _tile_zero sangbo::emulated::zero
#define _tile_loadd sangbo::emulated::load
#define _tile_stored sangbo::emulated::stored
#define _tile_dpbsud sangbo::emulated::multiply
