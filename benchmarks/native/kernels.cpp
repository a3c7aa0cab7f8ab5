// Speed of linear kernels and of histograms alone, one thread: the best of many short runs.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "isa.hpp"
#include "packed.hpp"

namespace {

using Clock = std::chrono::steady_clock;

struct Case {
  int bits;
  std::size_t group;
  std::size_t outputs;
  std::size_t inputs;
  std::size_t rows;
  int low_bits;
};

void measure(const sangbo::Kernels& kernels, const Case& c) {
  std::mt19937 random(1);
  std::vector<std::uint8_t> values(c.outputs * c.inputs);
  for (std::uint8_t& v : values) {
    v = static_cast<std::uint8_t>(random());
  }
  const std::size_t groups = c.inputs / c.group;
  const std::vector<float> scale(c.outputs * groups, 0.01F);
  const std::vector<std::uint16_t> half(c.outputs * groups, 0x2000);
  const bool four = c.bits == 4;
  const sangbo::StoredWeight stored{values.data(),
                                    c.bits,
                                    c.outputs,
                                    c.inputs,
                                    c.group,
                                    four ? static_cast<const void*>(half.data()) : scale.data(),
                                    four ? half.data() : nullptr,
                                    four};
  sangbo::Arena arena;
  sangbo::PackedWeight weight(stored, kernels.weight_offset, arena);
  weight.pack(stored, 0, weight.panels());
  const std::size_t stride = c.low_bits == sangbo::kWide ? sangbo::low_bytes(c.inputs) : c.inputs;
  const std::span<std::byte> memory = arena.take(c.rows * stride);
  auto* low = reinterpret_cast<std::int8_t*>(memory.data());
  for (std::size_t i = 0; i < memory.size(); ++i) {
    low[i] = static_cast<std::int8_t>(static_cast<int>(random() % 32U) - 16);
  }
  const std::vector<std::uint32_t> extra_counts(c.rows);
  const std::vector<sangbo::Extra> extras(c.rows);
  const std::vector<std::int32_t> sums(c.rows * groups);
  const std::span<std::byte> out =
      arena.take(c.rows * weight.panels() * sangbo::kPanel * sizeof(float));
  sangbo::LinearTask task{};
  weight.fill(task);
  task.levels = {low,         stride, extras.data(), 1, extra_counts.data(),
                 sums.data(), groups, c.low_bits};
  task.threshold = 1;
  task.out = reinterpret_cast<float*>(out.data());
  task.out_stride = weight.panels() * sangbo::kPanel;
  double best = 1e9;
  for (int i = 0; i < 200; ++i) {
    const auto start = Clock::now();
    kernels.linear(task, 0, weight.panels(), 0, c.rows);
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  const double macs = static_cast<double>(c.outputs * c.inputs * c.rows);
  std::printf("%-12s %d-bit/%-4zu %6zux%-5zu rows %3zu digits %d: %6.1f GMAC/s %5.1f GB/s\n",
              kernels.name, c.bits, c.group, c.outputs, c.inputs, c.rows, c.low_bits,
              macs / best * 1e-9, static_cast<double>(weight.bytes()) / best * 1e-9);
}

// Magnitudes fall off as those of layers do: half are below `half`.
void measure_histogram(const sangbo::Kernels& kernels, double half, std::size_t count) {
  std::mt19937 random(1);
  std::exponential_distribution<double> any(0.6931 / half);
  std::vector<std::uint16_t> from(count);
  for (std::uint16_t& magnitude : from) {
    magnitude = static_cast<std::uint16_t>(std::min(any(random), 65535.0));
  }
  std::vector<std::uint64_t> counts(sangbo::kTabled);
  std::vector<std::uint16_t> above(sangbo::kMostCounted);
  double best = 1e9;
  for (int turn = 0; turn < 2000; ++turn) {
    const auto start = Clock::now();
    kernels.histogram(from.data(), count, counts.data(), above.data());
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  std::printf("%-12s histogram of %zu, half below %g: %.3f ns a level\n", kernels.name, count, half,
              best / static_cast<double>(count) * 1e9);
}

}  // namespace

int main(int count, char** names) {
  const sangbo::Kernels& kernels = sangbo::choose_kernels(count > 1 ? names[1] : "");
  const sangbo::DigitCosts& digits = kernels.digits(sangbo::kPanel);
  for (const double half : {1.0, 4.0, 15.0, 60.0}) {
    measure_histogram(kernels, half, 4608);
    measure_histogram(kernels, half, sangbo::kMostCounted);
  }
  for (std::size_t choice = 0; choice < digits.count; ++choice) {
    const int low_bits = digits.choices[choice].bits;
    for (const std::size_t rows : {1, 4, 8, 64, 256}) {
      measure(kernels, {8, 576, 576, 576, rows, low_bits});
      measure(kernels, {4, 32, 576, 576, rows, low_bits});
    }
    measure(kernels, {8, 32, 576, 576, 64, low_bits});
    measure(kernels, {8, 1536, 576, 1536, 256, low_bits});
    measure(kernels, {4, 32, 576, 1536, 256, low_bits});
    for (const std::size_t rows : {1, 8}) {
      measure(kernels, {8, 576, 49152, 576, rows, low_bits});
      measure(kernels, {4, 32, 49152, 576, rows, low_bits});
    }
  }
}
