// Kernels of reals against the portable ones and against the equations in double precision;
// depthwise convolutions against plain loops.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "buffer.hpp"
#include "check.hpp"
#include "kernel_cases.hpp"

using namespace sangbo;

namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

struct Case {
  Function function;
  const char* name;
  double (*exact)(double x);
};

const Case kFunctions[] = {
    {Function::kSilu, "silu", [](double x) { return x * sigmoid(x); }},
    {Function::kGelu, "gelu", [](double x) { return x * std::erfc(-x / std::sqrt(2)) / 2; }},
    {Function::kGeluTanh, "gelu_tanh",
     [](double x) {
       return x * sigmoid(2 * std::sqrt(2 / std::acos(-1)) * (x + 0.044715 * x * x * x));
     }},
    {Function::kQuickGelu, "quick_gelu", [](double x) { return x * sigmoid(1.702 * x); }},
    {Function::kRelu, "relu", [](double x) { return std::max(x, 0.0); }},
    {Function::kRelu6, "relu6", [](double x) { return std::clamp(x, 0.0, 6.0); }},
    {Function::kLeakyRelu, "leaky_relu", [](double x) { return x > 0 ? x : 0.1 * x; }},
    {Function::kHardswish, "hardswish",
     [](double x) { return x * std::clamp(x + 3, 0.0, 6.0) / 6; }},
    {Function::kSigmoid, "sigmoid", sigmoid},
    {Function::kTanh, "tanh", [](double x) { return std::tanh(x); }},
    {Function::kSqrt, "sqrt", [](double x) { return std::sqrt(std::max(x, 0.0)); }},
};

void test_functions(const Kernels& kernels) {
  for (const auto& [function, name, exact] : kFunctions) {
    std::vector<float> x(160);
    for (float& v : x) {
      v = real(-10, 10);
    }
    x[0] = 0;
    x[1] = 100;
    x[2] = -100;
    std::vector<float> y(x.size());
    kernels.reals.activate(function, 0.1F, x.data(), x.size(), y.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double expected = exact(static_cast<double>(x[i]));
      CHECK(std::abs(static_cast<double>(y[i]) - expected) <= 1e-6 * (1 + std::abs(expected)),
            "%s: %s(%g) = %g, expected %g", kernels.name, name, static_cast<double>(x[i]),
            static_cast<double>(y[i]), expected);
    }
  }
}

void test_softmax(const Kernels& kernels) {
  for (const std::size_t count : {1U, 8U, 13U, 40U}) {
    for (std::size_t chosen = 0; chosen <= count; chosen += 1 + count / 4) {
      std::vector<float> x(round_up(count, kPanel), 1000.0F);
      for (std::size_t i = 0; i < count; ++i) {
        x[i] = static_cast<float>(integer(-4, 4)) / 2;  // equal ones too
      }
      std::vector<std::size_t> order(count);
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(),
                       [&](std::size_t a, std::size_t b) { return x[a] > x[b]; });
      order.resize(chosen == 0 ? count : chosen);
      double sum = 0;
      std::vector<double> expected(count);
      for (const std::size_t i : order) {
        expected[i] = std::exp(static_cast<double>(x[i]));
        sum += expected[i];
      }
      std::vector<float> y(x.size());
      kernels.reals.softmax(x.data(), count, chosen, y.data());
      for (std::size_t i = 0; i < count; ++i) {
        CHECK(std::abs(static_cast<double>(y[i]) - expected[i] / sum) < 1e-6,
              "%s: softmax of %zu, %zu chosen, at %zu", kernels.name, count, chosen, i);
      }
    }
  }
}

void test_cells(const Kernels& kernels) {
  for (const std::size_t size : {1U, 5U, 8U, 16U, 21U}) {
    for (const Cell cell : {Cell::kLstm, Cell::kGru, Cell::kSsru}) {
      const std::size_t width = round_up(size, kPanel);
      const auto random = [](std::size_t count) {
        std::vector<float> values(count);
        for (float& v : values) {
          v = real(-3, 3);
        }
        return values;
      };
      const std::vector<float> x = random(4 * size + kPanel);
      const std::vector<float> u = random(4 * size + kPanel);
      std::vector<float> state = random(2 * width);
      std::vector<float> again = state;
      const std::vector<float> before = state;
      std::vector<float> y(width);
      std::vector<float> portable(width);
      kernels.reals.cell(cell, x.data(), u.data(), size, state.data(), y.data());
      kPortable.reals.cell(cell, x.data(), u.data(), size, again.data(), portable.data());
      for (std::size_t i = 0; i < size; ++i) {
        CHECK(same(y[i], portable[i]) && same(state[i], again[i]) &&
                  same(state[width + i], again[width + i]),
              "%s: cell of %zu at %zu", kernels.name, size, i);
        const auto own = [&](std::size_t g) { return static_cast<double>(x[g * size + i]); };
        const auto share = [&](std::size_t g) { return static_cast<double>(u[g * size + i]); };
        const auto h = static_cast<double>(before[i]);
        double expected = 0;
        if (cell == Cell::kLstm) {
          const double c = sigmoid(own(1) + share(1)) * static_cast<double>(before[width + i]) +
                           sigmoid(own(0) + share(0)) * std::tanh(own(2) + share(2));
          expected = sigmoid(own(3) + share(3)) * std::tanh(c);
        } else if (cell == Cell::kGru) {
          const double z = sigmoid(own(1) + share(1));
          const double n = std::tanh(own(2) + sigmoid(own(0) + share(0)) * share(2));
          expected = (1 - z) * n + z * h;
        } else {
          const double f = sigmoid(own(0));
          expected = std::max(0.0, f * h + (1 - f) * own(1));
        }
        CHECK(std::abs(static_cast<double>(y[i]) - expected) < 1e-5, "%s: cell: %g, expected %g",
              kernels.name, static_cast<double>(y[i]), expected);
      }
    }
  }
}

void test_depthwise(const Kernels& kernels, std::size_t channels, std::size_t groups,
                    std::size_t taps, bool shifted, bool biased) {
  const std::size_t width = round_up(channels, kDepthwiseBlock);
  const std::size_t padded = round_up(channels, kPanel);
  const std::size_t pairs = (taps + 1) / 2;
  const std::vector<std::int16_t> zeros(width);
  std::vector<std::vector<std::int16_t>> rows(groups * pairs * 2, std::vector<std::int16_t>(width));
  std::vector<const std::int16_t*> levels;
  std::vector<std::int16_t> weights(groups * pairs * width * 2);
  std::vector<float> scales(groups * width);
  std::vector<float> minima(groups * width);
  std::vector<float> bias(width);
  for (std::size_t t = 0; t < rows.size(); ++t) {
    const bool outside = t % (2 * pairs) == taps || integer(0, 3) == 0;
    for (std::int16_t& n : rows[t]) {  // also behind the channels, where anything may lie
      n = outside ? std::int16_t{0} : static_cast<std::int16_t>(integer(-kTwoDigits, kTwoDigits));
    }
    levels.push_back(outside ? zeros.data() : rows[t].data());
  }
  for (std::int16_t& w : weights) {
    w = static_cast<std::int16_t>(integer(-127, 127));
  }
  for (auto* reals : {&scales, &minima, &bias}) {
    for (float& v : *reals) {
      v = real(-1, 1);
    }
  }
  const DepthwiseTask task{levels.data(),
                           weights.data(),
                           groups,
                           pairs,
                           channels,
                           width,
                           scales.data(),
                           shifted ? minima.data() : nullptr,
                           biased ? bias.data() : nullptr,
                           0.3F};
  std::vector<float> out(padded + 1, 7.0F);
  kernels.depthwise(task, out.data());
  CHECK(same(out[padded], 7.0F), "%s: depthwise of %zu writes no more", kernels.name, channels);
  for (std::size_t c = 0; c < channels; ++c) {
    float y = 0;
    for (std::size_t g = 0; g < groups; ++g) {
      std::int32_t sum = 0;
      std::int32_t total = 0;
      for (std::size_t t = 0; t < 2 * pairs; ++t) {
        const std::int32_t n = rows[2 * g * pairs + t][c];
        sum += n * weights[((g * pairs + t / 2) * width + c) * 2 + t % 2];
        total += n;
      }
      const float scaled = static_cast<float>(sum) * scales[g * width + c];
      y = y + scaled;
      if (shifted) {
        const float shift = static_cast<float>(total) * minima[g * width + c];
        y = y + shift;
      }
    }
    y = y * 0.3F;
    y = biased ? y + bias[c] : y;
    CHECK(same(y, out[c]), "%s: depthwise of %zu at %zu", kernels.name, channels, c);
  }
}

// Operations on reals must give the portable kernels' bits.
void test_reals(const Kernels& kernels) {
  for (const std::size_t count : {1U, 5U, 15U, 16U, 17U, 64U, 576U, 1001U}) {
    const std::size_t padded = round_up(count, kPanel);
    std::vector<float> x(padded);
    std::vector<float> z(padded);
    for (std::size_t i = 0; i < padded; ++i) {
      x[i] = i % 7 == 3 ? real(-120, 120) : real(-4, 4);
      z[i] = real(-2, 2);
    }
    const auto compare = [&](const char* what, auto apply) {
      std::vector<float> a(padded);
      std::vector<float> b(padded);
      apply(kPortable, a.data());
      apply(kernels, b.data());
      for (std::size_t i = 0; i < count; ++i) {
        CHECK(same(a[i], b[i]), "%s: %s of %zu at %zu: %g and %g", kernels.name, what, count, i,
              static_cast<double>(a[i]), static_cast<double>(b[i]));
      }
    };
    for (const auto& [function, name, exact] : kFunctions) {
      compare(name, [&](const Kernels& k, float* y) {
        k.reals.activate(function, 0.1F, x.data(), padded, y);
      });
    }
    compare("scale", [&](const Kernels& k, float* y) { k.reals.scale(x.data(), 0.3F, padded, y); });
    compare("divide", [&](const Kernels& k, float* y) { k.reals.divide(x.data(), 7, padded, y); });
    compare("larger",
            [&](const Kernels& k, float* y) { k.reals.larger(x.data(), z.data(), padded, y); });
    for (const std::size_t chosen : {std::size_t{0}, std::size_t{1}, count / 2}) {
      compare("softmax",
              [&](const Kernels& k, float* y) { k.reals.softmax(x.data(), count, chosen, y); });
    }
    compare("add", [&](const Kernels& k, float* y) { k.reals.add(x.data(), z.data(), padded, y); });
    compare("multiply",
            [&](const Kernels& k, float* y) { k.reals.multiply(x.data(), z.data(), padded, y); });
    compare("rms",
            [&](const Kernels& k, float* y) { k.reals.rms(x.data(), z.data(), count, 1e-5F, y); });
    compare("layer", [&](const Kernels& k, float* y) {
      k.reals.layer(x.data(), z.data(), z.data(), count, 1e-5F, y);
    });
    for (const std::size_t half : {1U, 3U, 8U, 11U}) {
      if (2 * half * 2 <= padded) {
        compare("rotate", [&](const Kernels& k, float* y) {
          k.reals.rotate(x.data(), z.data(), z.data() + half, 2, half, y);
        });
      }
    }
    std::vector<std::int32_t> levels(padded, 1);
    for (const bool gains : {false, true}) {
      CHECK(kernels.settle(x.data(), z.data(), gains, -100, 90, count, levels.data()), "finite");
      for (std::size_t i = 0; i < padded; ++i) {
        const float product = x[i] * z[gains ? i : 0];
        const float u = std::floor(product + 0.5F);
        const auto n = static_cast<std::int32_t>(std::clamp(u, -100.0F, 90.0F));
        CHECK(levels[i] == (i < count ? n : 0), "%s: level %d, expected %d", kernels.name,
              levels[i], n);
      }
    }
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      std::vector<float> broken = x;
      broken[count - 1] = bad;
      CHECK(!kernels.settle(broken.data(), z.data(), true, -100, 90, count, levels.data()),
            "%s: %g settled", kernels.name, static_cast<double>(bad));
    }
    if (padded > count) {  // pads are nobody's business
      x[count] = NAN;
      CHECK(kernels.settle(x.data(), z.data(), true, -100, 90, count, levels.data()), "pads");
    }
  }
}

}  // namespace

void test_rows(const Kernels& kernels) {
  test_reals(kernels);
  test_functions(kernels);
  test_softmax(kernels);
  test_cells(kernels);
  for (const std::size_t channels : {1U, 8U, 19U, 96U}) {
    test_depthwise(kernels, channels, 1, 9, false, true);
    test_depthwise(kernels, channels, 5, 5, true, false);
  }
}
