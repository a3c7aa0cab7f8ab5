// Ranks that Python knows how to reach.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "exchange.hpp"

namespace sangbo::dynamics {

// `send(words)` begins, `receive()` waits and returns one row for each rank, first how many words
// follow.
class PythonExchange : public Exchange {
 public:
  PythonExchange(nanobind::object send, nanobind::object receive)
      : send_(std::move(send)), receive_(std::move(receive)) {}

  void send(std::span<const std::uint32_t> words) override {
    const nanobind::gil_scoped_acquire held;
    send_(nanobind::ndarray<nanobind::numpy, const std::uint32_t, nanobind::ndim<1>>(
        words.data(), {words.size()}, nanobind::none()));
  }
  std::vector<std::vector<std::uint32_t>> receive() override {
    const nanobind::gil_scoped_acquire held;
    const auto rows = nanobind::cast<
        nanobind::ndarray<const std::uint32_t, nanobind::ndim<2>, nanobind::c_contig>>(receive_());
    std::vector<std::vector<std::uint32_t>> found;
    for (std::size_t r = 0; r < rows.shape(0); ++r) {
      const std::uint32_t* row = rows.data() + r * rows.shape(1);
      found.emplace_back(row + 1, row + 1 + std::min<std::size_t>(*row, rows.shape(1) - 1));
    }
    return found;
  }

 private:
  nanobind::object send_;
  nanobind::object receive_;
};

}  // namespace sangbo::dynamics
