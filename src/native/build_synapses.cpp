// Building synaptic operations.
#include <algorithm>
#include <atomic>
#include <limits>
#include <utility>

#include "operations/convolution.hpp"
#include "operations/jobs.hpp"
#include "program.hpp"

namespace sangbo {
namespace {

// The outputs [first, first + count) of a weight, at chosen taps where these are not all; `values`
// holds what must be copied for that.
StoredWeight part_of(const StoredWeight& whole, std::size_t first, std::size_t count,
                     std::size_t channels, const std::vector<std::size_t>& rows,
                     const std::vector<std::size_t>& columns, std::size_t across,
                     std::vector<std::uint8_t>& values) {
  StoredWeight part = whole;
  const std::size_t groups = whole.inputs / whole.group;
  const std::size_t taps = rows.size() * columns.size();
  const std::size_t row = whole.bits == 4 ? whole.inputs / 2 : whole.inputs;
  const std::size_t grid = first * groups * (whole.half ? 2 : 4);
  part.outputs = count;
  part.values += first * row;
  part.scale = static_cast<const std::byte*>(whole.scale) + grid;
  part.minimum =
      whole.minimum == nullptr ? nullptr : static_cast<const std::byte*>(whole.minimum) + grid;
  if (taps * channels == whole.inputs) {
    return part;
  }
  for (std::size_t o = 0; o < count; ++o) {
    for (const std::size_t y : rows) {
      for (const std::size_t x : columns) {
        const std::uint8_t* from = part.values + o * row + (y * across + x) * channels;
        values.insert(values.end(), from, from + channels);
      }
    }
  }
  part.values = values.data();
  part.inputs = taps * channels;
  part.group = part.inputs;
  return part;
}

}  // namespace

std::size_t Program::weight(const StoredWeight& stored) {
  auto packed = std::make_unique<PackedWeight>(stored, kernels_.weight_offset, arena_);
  std::atomic<std::size_t> next{0};
  constexpr std::size_t kGrain = 16;
  pool_.run([&](unsigned) {
    while (true) {
      const std::size_t first = next.fetch_add(kGrain, std::memory_order_relaxed);
      if (first >= packed->panels()) {
        return;
      }
      packed->pack(stored, first, std::min(packed->panels(), first + kGrain));
    }
  });
  weights_.push_back(std::move(packed));
  return weights_.size() - 1;
}

ValueId Program::linear(std::string name, ValueId input, std::size_t weight,
                        const LinearShape& shape) {
  const Domain domain = values_[input].domain;
  const PackedWeight& packed = *weights_[weight];
  const std::size_t encoding = need_encoding(input, packed.group());
  const std::size_t stage = read({input}, false, domain);
  const ValueId id = write(std::move(name), Kind::kReal, domain, packed.outputs(), stage);
  stages_[stage].jobs.push_back(make_linear(id, input, encoding, packed, shape));
  return id;
}

ValueId Program::gated(std::string name, ValueId input, ValueId gate, std::size_t weight,
                       const LinearShape& shape) {
  const Domain domain = values_[input].domain;
  const PackedWeight& packed = *weights_[weight];
  const std::size_t encoding = need_encoding(input, packed.group());
  need_plain(input);
  const std::size_t stage = read({input, gate}, false, domain);
  const ValueId id = write(std::move(name), Kind::kReal, domain, packed.outputs(), stage);
  values_[id].tallies = 1;
  values_[id].total = totals_++;
  stages_[stage].jobs.push_back(make_gated(id, input, gate, encoding, packed, shape));
  return id;
}

ValueId Program::convolution(std::string name, ValueId input, const StoredWeight& weight,
                             const Windows& windows, std::size_t groups, const LinearShape& shape) {
  const auto& [down, across] = windows;
  const std::size_t inputs = values_[input].channels;
  const Domain domain{values_[input].domain.axis, down.outputs * across.outputs};
  if (groups == inputs && groups == weight.outputs && weight.inputs <= kDepthwiseTaps) {
    const std::size_t strip = need_strip(input, 1);
    const std::size_t stage = read({input}, false, domain);
    const ValueId id = write_rows(std::move(name), Kind::kReal, domain, weight.outputs, stage);
    add_rows(stage, domain, make_depthwise(id, input, strip, weight, windows, shape));
    return id;
  }
  const std::size_t channels = inputs / groups;
  const bool single = weight.group == weight.inputs;
  const Taps vertical(down);
  const Taps horizontal(across);
  const bool phased = single && weight.bits == 8;
  ConvolutionPlan plan{std::nullopt,
                       0,
                       groups,
                       vertical,
                       horizontal,
                       Phases(vertical, phased),
                       Phases(horizontal, phased),
                       {}};
  if (down.trivial() && across.trivial() && groups == 1) {
    plan.encoding = need_encoding(input, weight.group);
  } else {
    plan.strip = need_strip(input, groups);
  }
  const std::size_t outputs = weight.outputs / groups;
  for (std::size_t g = 0; g < groups; ++g) {
    for (const auto& rows : plan.rows.taps) {
      for (std::size_t p = 0; p < plan.columns.taps.size(); ++p) {
        const auto& columns = plan.columns.taps[p];
        std::vector<std::uint8_t> values;
        const StoredWeight stored =
            part_of(weight, g * outputs, outputs, channels, rows, columns, across.kernel, values);
        const Layout layout{stored.group, stored.inputs / stored.group};
        plan.parts.push_back({weights_[this->weight(stored)].get(), layout,
                              pieces_of(rows, columns, plan.across, plan.columns, p, layout)});
      }
    }
  }
  const std::size_t stage = read({input}, plan.encoding.has_value(), domain);
  const ValueId id = write_rows(std::move(name), Kind::kReal, domain, weight.outputs, stage);
  add_rows(stage, domain, make_convolution(id, input, std::move(plan), shape));
  return id;
}

ValueId Program::attention(std::string name, ValueId query, ValueId key, ValueId value,
                           const AttentionShape& shape) {
  const std::size_t strip = need_strip(query, 1);
  const std::size_t key_strip = need_strip(key, 1);
  const std::size_t value_strip = need_strip(value, 1);
  const Domain queries = values_[query].domain;
  KeySource source{};
  source.domain = values_[key].domain;
  source.cached = shape.cached;
  source.shape.heads = shape.key_heads;
  source.shape.size = values_[key].channels / shape.key_heads;
  const std::int32_t largest = std::max(values_[key].largest, values_[value].largest);
  constexpr int kByte = std::numeric_limits<std::int8_t>::max();
  constexpr int kShort = std::numeric_limits<std::int16_t>::max();
  source.shape.element = largest > kShort ? 4 : largest > kByte ? 2 : 1;
  const std::size_t appended = read({key, value}, true, source.domain);
  if (source.cached) {
    source.index = caches_.keys.size();
    caches_.keys.push_back({source.shape, source.domain});
    segmented_.insert(segmented_.end(), {queries.axis, source.domain.axis});
  } else {
    const Domain entries{source.domain.axis, 1};
    const std::size_t padded = round_up(source.domain.each, kPanel);
    const auto bytes = [&](std::size_t stride) {
      return round_up(source.shape.heads * stride * source.shape.bytes(), kLine);
    };
    source.keys = new_place(bytes(source.shape.key_stride(padded)), entries);
    source.values = new_place(bytes(source.shape.value_stride(padded)), entries);
    source.largest = new_place(sizeof(Largest), source.domain);
  }
  add_rows(appended, source.domain, make_append(key, key_strip, value, value_strip, source));
  const std::size_t stage = read({query}, false, queries, appended + 1);
  if (!source.cached) {
    live({source.keys, source.values, source.largest}, appended, stage);
  }
  const ValueId id = write(std::move(name), Kind::kReal, queries, values_[query].channels, stage);
  values_[id].tallies = 2;
  values_[id].total = totals_++;
  if (source.cached) {
    crossings_.push_back({id, queries.axis, source.domain});
  }
  stages_[stage].jobs.push_back(make_attention(id, query, strip, source, shape));
  return id;
}

ValueId Program::recurrent(std::string name, ValueId input, const ValueId* initial,
                           const std::size_t* weight, const std::vector<float>& bias,
                           const RecurrentShape& shape, bool whole) {
  const Domain domain = values_[input].domain;
  std::vector<ValueId> inputs{input};
  if (initial != nullptr) {
    inputs.push_back(*initial);
    segmented_.push_back(values_[*initial].domain.axis);
  }
  const std::size_t index = caches_.states.size();
  if (!whole) {
    segmented_.push_back(domain.axis);
    caches_.states.push_back({shape.size * (shape.cell == Cell::kLstm ? 2 : 1), domain.axis});
  }
  const std::size_t stage = read(inputs, false, domain);
  const ValueId id = write(std::move(name), Kind::kReal, domain, shape.size, stage);
  if (!whole && shape.reverse) {
    backwards_.push_back(id);
  }
  if (weight == nullptr) {
    stages_[stage].jobs.push_back(make_recurrent(id, input, initial, nullptr, shape, whole, index));
    return id;
  }
  const PackedWeight& packed = *weights_[*weight];
  const StateShare share{&packed, bias, new_digits(packed.group())};
  values_[id].tallies = 1;
  stages_[stage].jobs.push_back(make_recurrent(id, input, initial, &share, shape, whole, index));
  return id;
}

}  // namespace sangbo
