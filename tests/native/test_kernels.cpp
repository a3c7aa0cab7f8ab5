// Every kernel against plain loops over the equations of docs/exactness.md.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "check.hpp"
#include "isa.hpp"
#include "kernel_cases.hpp"
#include "packed.hpp"

namespace sangbo {
#if defined(SANGBO_EMULATED)
extern const Kernels kEmulatedAvxVnni;
extern const Kernels kEmulatedAvx512Vnni;
extern const Kernels kEmulatedAmx;
#endif
}  // namespace sangbo

namespace {

using namespace sangbo;

// Levels of one row: mostly small, some at the borders of digits, some as large as they get.
std::vector<std::int32_t> row_of_levels(std::size_t count, bool huge) {
  static const std::int32_t borders[] = {
      -16, 15,   16,   -17,  -32,   31,   32,    -33,   -64,   63,     64,     -65,    127,
      128, -128, -129, 8191, -8192, 8192, 32639, 32640, 32767, -32768, -32769, -32896, -32897};
  std::vector<std::int32_t> levels(count);
  for (std::int32_t& n : levels) {
    const std::int32_t kind = integer(0, 9);
    if (kind < 7) {
      n = integer(-70, 70);
    } else if (kind < 9) {
      n = borders[integer(0, static_cast<std::int32_t>(std::size(borders)) - 1)];
    } else {
      n = huge ? (integer(0, 1) == 0 ? -(1 << 20) : 1 << 20) : integer(-3000, 3000);
    }
  }
  return levels;
}

struct Rows {
  std::vector<std::int8_t> low;
  std::vector<Extra> extras;
  std::vector<std::uint32_t> counts;
  std::vector<std::int32_t> sums;
  LevelRows view;
};

Rows encode(const Kernels& kernels, const std::vector<std::vector<std::int32_t>>& rows,
            std::size_t group, int bits) {
  const std::size_t groups = rows[0].size() / group;
  const std::size_t padded = padded_group(group);
  const std::size_t width = groups * padded;
  Rows result;
  const std::size_t bytes = bits == kWide ? low_bytes(width) : width;
  result.low.resize(rows.size() * bytes);
  result.extras.resize(rows.size() * (width / 4 * 3));
  result.counts.resize(rows.size());
  result.sums.resize(rows.size() * groups);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::vector<std::int32_t> spread(width);
    std::int64_t magnitude = 0;
    for (std::size_t i = 0; i < rows[r].size(); ++i) {
      spread[i / group * padded + i % group] = rows[r][i];
      magnitude += std::abs(rows[r][i]);
    }
    std::int32_t* sums = result.sums.data() + r * groups;
    const std::int64_t found = kernels.total(rows[r].data(), groups, group, sums);
    CHECK(found == magnitude, "Σ|n| is %lld", static_cast<long long>(found));
    std::int8_t* low = result.low.data() + r * bytes;
    Extra* extras = result.extras.data() + r * (width / 4 * 3);
    const std::size_t count = kernels.split(spread.data(), width, bits, low, extras);
    result.counts[r] = static_cast<std::uint32_t>(count);
    std::vector<std::int64_t> back(low, low + width);
    const bool words = std::string(kernels.name) == "avx2";  // the others have planes of digits
    for (std::size_t i = 0; bits == kWide && i < width; ++i) {
      if (words) {
        std::int16_t digit;
        std::memcpy(&digit, low + 2 * i, sizeof digit);
        constexpr std::size_t kPlace[] = {0, 2, 1, 3};
        back[i / 4 * 4 + kPlace[i % 4]] = digit;
      } else {
        back[i] = low[i] + std::int64_t{256} * low[width + i];
      }
    }
    for (std::size_t e = 0; e < count; ++e) {
      for (std::size_t j = 0; j < 4; ++j) {
        back[4 * extras[e].place + j] += std::int64_t{extras[e].digits[j]} << extras[e].shift;
      }
    }
    for (std::size_t i = 0; i < width; ++i) {
      CHECK(back[i] == spread[i], "level %d came back as %lld", spread[i],
            static_cast<long long>(back[i]));
    }
  }
  result.view = {result.low.data(),
                 bytes,
                 result.extras.data(),
                 width / 4 * 3,
                 result.counts.data(),
                 result.sums.data(),
                 groups,
                 bits};
  return result;
}

struct Weights {
  std::vector<std::uint8_t> values;
  std::vector<std::uint16_t> half_scale;
  std::vector<std::uint16_t> half_minimum;
  std::vector<float> scale;
  std::vector<float> minimum;
  StoredWeight stored;
};

Weights weights(int bits, std::size_t outputs, std::size_t inputs, std::size_t group, bool half,
                bool shifted) {
  Weights w;
  const std::size_t grid = outputs * (inputs / group);
  w.values.resize(outputs * inputs / (bits == 4 ? 2 : 1));
  for (std::uint8_t& v : w.values) {
    v = bits == 4 ? static_cast<std::uint8_t>(integer(0, 255))
                  : static_cast<std::uint8_t>(integer(0, 9) == 0 ? integer(0, 1) * 254 - 127
                                                                 : integer(-127, 127));
  }
  for (std::size_t i = 0; i < grid; ++i) {
    w.half_scale.push_back(static_cast<std::uint16_t>(integer(0, 0x5000)));
    w.half_minimum.push_back(static_cast<std::uint16_t>(0x8000 | integer(0, 0x5000)));
    w.scale.push_back(half ? widen_half(w.half_scale[i]) : real(0.001F, 0.1F));
    w.minimum.push_back(half ? widen_half(w.half_minimum[i]) : real(-0.1F, 0.1F));
  }
  const void* scale = half ? static_cast<const void*>(w.half_scale.data()) : w.scale.data();
  const void* minimum = half ? static_cast<const void*>(w.half_minimum.data()) : w.minimum.data();
  w.stored = {
      w.values.data(), bits, outputs, inputs, group, scale, shifted ? minimum : nullptr, half};
  return w;
}

std::int64_t weight_at(const Weights& w, std::size_t o, std::size_t i) {
  if (w.stored.bits == 4) {
    const unsigned both = w.values[(o * w.stored.inputs + i) / 2];
    return i % 2 == 0 ? both & 15U : both >> 4;
  }
  return static_cast<std::int8_t>(w.values[o * w.stored.inputs + i]);
}

void test_linear(const Kernels& kernels, int bits, std::size_t outputs, std::size_t inputs,
                 std::size_t group, std::size_t rows, int low_bits, bool half, bool shifted,
                 bool biased) {
  const Weights w = weights(bits, outputs, inputs, group, half, shifted);
  Arena arena;
  PackedWeight packed(w.stored, kernels.weight_offset, arena);
  packed.pack(w.stored, 0, packed.panels());
  std::vector<std::vector<std::int32_t>> levels;
  for (std::size_t r = 0; r < rows; ++r) {
    levels.push_back(row_of_levels(inputs, inputs < 100));
  }
  const Rows encoded = encode(kernels, levels, group, low_bits);
  std::vector<float> bias(packed.panels() * kPanel);
  for (float& b : bias) {
    b = real(-1, 1);
  }
  std::vector<float> out(rows * packed.panels() * kPanel);
  LinearTask task{};
  packed.fill(task);
  task.levels = encoded.view;
  task.threshold = 0.37F;
  task.bias = biased ? bias.data() : nullptr;
  task.out = out.data();
  task.out_stride = packed.panels() * kPanel;
  kernels.linear(task, 0, packed.panels(), 0, rows);
  const std::size_t groups = inputs / group;
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t o = 0; o < outputs; ++o) {
      float y = 0;
      for (std::size_t g = 0; g < groups; ++g) {
        std::int64_t sum = 0;
        std::int64_t total = 0;
        for (std::size_t i = g * group; i < (g + 1) * group; ++i) {
          sum += weight_at(w, o, i) * levels[r][i];
          total += levels[r][i];
        }
        CHECK(sum == static_cast<std::int32_t>(sum), "the test's own sum left int32");
        const float product = static_cast<float>(sum) * w.scale[o * groups + g];
        y = y + product;
        if (shifted) {
          const float shift = static_cast<float>(total) * w.minimum[o * groups + g];
          y = y + shift;
        }
      }
      y = y * 0.37F;
      y = biased ? y + bias[o] : y;
      const float found = out[r * task.out_stride + o];
      CHECK(same(y, found),
            "%s: %d bits, group %zu of %zu, row %zu of %zu, digits %d: %g, found %g", kernels.name,
            bits, group, inputs, r, rows, low_bits, static_cast<double>(y),
            static_cast<double>(found));
    }
  }
  std::vector<float> row(inputs);
  packed.row(outputs - 1, row.data());
  std::vector<float> expected(inputs);
  stored_row(w.stored, outputs - 1, expected.data());
  CHECK(std::memcmp(row.data(), expected.data(), inputs * sizeof(float)) == 0, "gathered row");
}

template <class Element, class Level>
void test_attention(const Kernels& kernels, int rows, std::size_t size, std::size_t length,
                    std::int32_t most, std::int32_t most_query, std::int32_t highest) {
  const std::size_t padded = round_up(length, kPanel);
  const std::size_t pairs = (size + 1) / 2;
  const std::size_t panels = round_up(size, kPanel) / kPanel;
  std::vector<Element> keys(padded * 2 * pairs);
  std::vector<Element> values(panels * padded * kPanel);
  std::vector<std::int32_t> k(length * size);
  std::vector<std::int32_t> v(length * size);
  for (std::size_t p = 0; p < length; ++p) {
    for (std::size_t c = 0; c < size; ++c) {
      k[p * size + c] = integer(-most, most);
      v[p * size + c] = integer(-most, most);
      keys[p / kPanel * (2 * kPanel * pairs) + c / 2 * (2 * kPanel) + p % kPanel * 2 + c % 2] =
          static_cast<Element>(k[p * size + c]);
      values[c / kPanel * (padded * kPanel) + p / 2 * (2 * kPanel) + c % kPanel * 2 + p % 2] =
          static_cast<Element>(v[p * size + c]);
    }
  }
  std::vector<std::vector<Level>> queries(static_cast<std::size_t>(rows));
  std::vector<std::int32_t> scores(4 * padded);
  std::vector<Level> probabilities(4 * padded);
  std::vector<std::vector<float>> out(static_cast<std::size_t>(rows), std::vector<float>(size));
  std::vector<float> biases(padded);
  for (float& bias : biases) {
    bias = real(-2, 2);
  }
  AttendTask task{};
  task.rows = rows;
  task.element = sizeof(Element);
  task.wide = sizeof(Level) == 4;
  task.size = size;
  task.keys = keys.data();
  task.values = values.data();
  task.values_stride = padded * kPanel;
  task.scale = 1.0F / (static_cast<float>(most) * static_cast<float>(most_query));
  task.inverse = static_cast<float>(highest) * 1.1F;
  task.highest = highest;
  task.threshold = 0.3F;
  task.scores = scores.data();
  task.probabilities = probabilities.data();
  task.stride = padded;
  for (int r = 0; r < rows; ++r) {
    auto& query = queries[static_cast<std::size_t>(r)];
    query.assign(2 * pairs, 0);
    for (std::size_t c = 0; c < size; ++c) {
      query[c] = static_cast<Level>(integer(-most_query, most_query));
    }
    task.queries[r] = query.data();
    task.biases[r] = r % 2 == 0 ? nullptr : biases.data();
    task.visible[r] = static_cast<std::size_t>(integer(1, static_cast<std::int32_t>(length)));
    task.out[r] = out[static_cast<std::size_t>(r)].data();
  }
  kernels.attend(task);
  for (int r = 0; r < rows; ++r) {
    const Level* p = probabilities.data() + static_cast<std::size_t>(r) * padded;
    std::vector<float> s(task.visible[r]);
    float largest = -INFINITY;
    for (std::size_t j = 0; j < s.size(); ++j) {
      std::int64_t sum = 0;
      for (std::size_t c = 0; c < size; ++c) {
        sum += std::int64_t{queries[static_cast<std::size_t>(r)][c]} * k[j * size + c];
      }
      s[j] = static_cast<float>(sum) * task.scale;
      s[j] = task.biases[r] == nullptr ? s[j] : s[j] + biases[j];
      largest = std::max(largest, s[j]);
    }
    std::int64_t total = 0;
    std::vector<std::int64_t> sums(size);
    for (std::size_t j = 0; j < s.size(); ++j) {
      // The polynomial is good to 2e-7; a level may only differ where it is that near a border.
      const double u = std::exp(static_cast<double>(s[j] - largest)) * task.inverse + 0.5;
      const auto n =
          static_cast<std::int64_t>(std::min(std::floor(u), static_cast<double>(highest)));
      const bool border = std::abs(u - std::round(u)) < 1e-5 * static_cast<double>(highest);
      CHECK(p[j] == n || border, "%s: probability %d, expected %lld", kernels.name,
            static_cast<int>(p[j]), static_cast<long long>(n));
      total += p[j];
      for (std::size_t c = 0; c < size; ++c) {
        sums[c] += std::int64_t{p[j]} * v[j * size + c];
      }
    }
    CHECK(total == task.sums[r], "Σp");
    const float divisor = 0.3F / static_cast<float>(total);
    for (std::size_t c = 0; c < size; ++c) {
      const float y = static_cast<float>(sums[c]) * divisor;
      CHECK(same(y, task.out[r][c]), "%s: attention of %d rows, size %zu, length %zu", kernels.name,
            rows, size, length);
    }
  }
}

// Levels in 16 bits, and their digits beside those of the same levels in 32.
void test_shorts(const Kernels& kernels) {
  for (const std::size_t group : {8U, 16U, 24U, 56U, 64U, 144U, 264U}) {
    for (const std::size_t groups : {1U, 2U, 5U}) {
      const std::size_t width = groups * group;
      std::vector<std::int32_t> levels = row_of_levels(width, false);
      for (std::int32_t& n : levels) {
        n = std::clamp(n, -kTwoDigits, kTwoDigits);
      }
      std::vector<std::int16_t> shorts(width + 1, 5);
      CHECK(kernels.narrow(levels.data(), width, shorts.data()), "%zu levels fit", width);
      CHECK(std::equal(levels.begin(), levels.end(), shorts.begin()) && shorts[width] == 5,
            "%zu levels as they were", width);
      std::vector<std::int8_t> low(low_bytes(width));
      std::vector<std::int8_t> found(low_bytes(width), 77);
      std::vector<Extra> extras(width);
      std::vector<std::int32_t> sums(groups);
      std::vector<std::int32_t> found_sums(groups);
      CHECK(kernels.split(levels.data(), width, kWide, low.data(), extras.data()) == 0, "no more");
      const std::int64_t magnitude = kernels.total(levels.data(), groups, group, sums.data());
      CHECK(kernels.split_short(shorts.data(), groups, group, found.data(), found_sums.data()) ==
                magnitude,
            "Σ|n| of %zu levels", width);
      CHECK(found_sums == sums, "sums of %zu groups of %zu", groups, group);
      const bool words = std::string(kernels.name) == "avx2";  // has no bits behind its words
      const std::size_t used = words ? 2 * width : low_bytes(width);
      CHECK(std::equal(low.data(), low.data() + used, found.data()), "digits of %zu levels", width);
      for (const std::int32_t large : {kTwoDigits + 1, -kTwoDigits - 1, 1 << 20}) {
        std::vector<std::int32_t> more = levels;
        more[static_cast<std::size_t>(integer(0, static_cast<std::int32_t>(width) - 1))] = large;
        CHECK(!kernels.narrow(more.data(), width, shorts.data()), "%d does not fit", large);
      }
    }
  }
}

// Σ|n| of a group beyond 32 bits, by which sums that might exceed them are refused.
void test_long_shorts(const Kernels& kernels) {
  constexpr std::size_t kGroup = 140'008;
  for (const std::int32_t n : {kTwoDigits, -kTwoDigits}) {
    const std::vector<std::int16_t> levels(kGroup, static_cast<std::int16_t>(n));
    std::vector<std::int8_t> low(low_bytes(kGroup));
    std::int32_t sum = 0;
    const std::int64_t found = kernels.split_short(levels.data(), 1, kGroup, low.data(), &sum);
    CHECK(found == std::int64_t{kGroup} * kTwoDigits, "%s: Σ|n| is %lld", kernels.name,
          static_cast<long long>(found));
  }
}

void test_histogram(const Kernels& kernels) {
  for (const std::int32_t largest : {0, 1, 7, 40, 63, 64, 127, 128, 255, 4095, 4096, 65535}) {
    for (const std::size_t count : {1UL, 31UL, 64UL, 65UL, 511UL, 512UL, 1153UL, kMostCounted}) {
      std::vector<std::uint16_t> from(count);
      std::vector<std::uint64_t> expected(std::bit_ceil(std::max(largest + 1U, 256U)), 5);
      expected.resize(std::min(expected.size(), kTabled));
      std::vector<std::uint64_t> counts = expected;
      std::vector<std::uint16_t> rest;
      for (std::uint16_t& m : from) {
        m = static_cast<std::uint16_t>(integer(0, integer(0, 9) < 3 ? largest : largest / 8));
        if (m < kTabled) {
          ++expected[m];
        } else {
          rest.push_back(m);
        }
      }
      std::vector<std::uint16_t> above(kMostCounted);
      above.resize(kernels.histogram(from.data(), count, counts.data(), above.data()));
      CHECK(counts == expected, "%s: counts of %zu up to %zu", kernels.name, count,
            static_cast<std::size_t>(largest));
      CHECK(above == rest, "%s: found %zu above, expected %zu", kernels.name, above.size(),
            rest.size());
    }
  }
}

void test_all(const Kernels& kernels) {
  test_shorts(kernels);
  test_long_shorts(kernels);
  test_histogram(kernels);
  test_rows(kernels);
  const DigitCosts& digits = kernels.digits(kPanel);
  for (std::size_t choice = 0; choice < digits.count; ++choice) {
    const int low_bits = digits.choices[choice].bits;
    for (std::size_t rows = 1; rows <= 9; ++rows) {
      test_linear(kernels, 8, 19, 45, 45, rows, low_bits, false, false, rows % 2 == 0);
      test_linear(kernels, 8, 32, 64, 32, rows, low_bits, true, rows % 2 == 0, false);
      test_linear(kernels, 8, 16, 30, 6, rows, low_bits, true, true, true);
      test_linear(kernels, 4, 21, 96, 32, rows, low_bits, true, true, rows % 2 == 0);
      test_linear(kernels, 4, 16, 256, 256, rows, low_bits, false, true, false);
      test_linear(kernels, 4, 5, 30, 10, rows, low_bits, true, true, true);
    }
    for (const std::size_t rows : {16U, 17U, 32U, 45U}) {
      test_linear(kernels, 8, 40, 192, 192, rows, low_bits, false, false, rows % 2 == 0);
      test_linear(kernels, 8, 19, 80, 40, rows, low_bits, true, true, false);
      test_linear(kernels, 4, 33, 96, 32, rows, low_bits, true, rows % 2 == 0, true);
    }
    test_linear(kernels, 8, 576, 576, 576, 11, low_bits, false, false, false);
    test_linear(kernels, 8, 60, 384, 128, 19, low_bits, true, true, true);
    test_linear(kernels, 8, 33, 1537, 1537, 3, low_bits, false, false, true);
    test_linear(kernels, 4, 16, 2112, 64, 18, low_bits, false, true, true);
    test_linear(kernels, 4, 16, 2112, 2112, 18, low_bits, false, true, true);
  }
  for (int rows = 1; rows <= 4; ++rows) {
    for (const std::size_t length : {1U, 7U, 16U, 33U, 100U}) {
      test_attention<std::int8_t, std::int16_t>(kernels, rows, 16, length, 127, 300, 255);
      test_attention<std::int8_t, std::int16_t>(kernels, rows, 13, length, 127, 32767, 31);
      test_attention<std::int16_t, std::int16_t>(kernels, rows, 8, length, 900, 300, 255);
      test_attention<std::int8_t, std::int32_t>(kernels, rows, 20, length, 127, 90000, 255);
      test_attention<std::int32_t, std::int32_t>(kernels, rows, 6, length, 100, 100000, 40000);
    }
  }
  std::printf("%s: passed\n", kernels.name);
}

}  // namespace

int main() {
  for (const std::string& name : available_kernels()) {
    test_all(choose_kernels(name));
  }
#if defined(SANGBO_EMULATED)
  std::printf("emulated: ");
  test_all(kEmulatedAvxVnni);
  std::printf("emulated: ");
  test_all(kEmulatedAvx512Vnni);
  std::printf("emulated: ");
  test_all(kEmulatedAmx);
#endif
  return 0;
}
