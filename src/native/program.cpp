#include "program.hpp"

#include <algorithm>
#include <atomic>
#include <limits>
#include <utility>

#include "error.hpp"
#include "operations/jobs.hpp"
#include "operations/rows.hpp"
#include "run.hpp"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace sangbo {
namespace {

// A workspace larger than this is given back after the run.
constexpr std::size_t kKeptWorkspace = std::size_t{8} << 20;

}  // namespace

void Digits::sample(const std::int32_t* levels, std::size_t count) {
  std::array<std::uint64_t, std::tuple_size_v<decltype(over_)>> over{};
  for (std::size_t i = 0; i < count; i += 4) {
    std::uint32_t largest = 0;
    for (std::size_t j = i; j < i + 4; ++j) {
      largest |= static_cast<std::uint32_t>(levels[j] < 0 ? -levels[j] : levels[j]);
    }
    for (std::size_t c = 0; c < costs_.count; ++c) {
      over[c] += (largest >> (costs_.choices[c].bits - 1)) != 0 ? 1U : 0U;
    }
  }
  fours_.fetch_add(count / 4, std::memory_order_relaxed);
  for (std::size_t c = 0; c < costs_.count; ++c) {
    over_[c].fetch_add(over[c], std::memory_order_relaxed);
  }
}

void Digits::choose() {
  const auto fours = static_cast<double>(fours_.load(std::memory_order_relaxed));
  if (fours == 0) {
    return;
  }
  int best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t c = 0; c < costs_.count; ++c) {
    const auto over = static_cast<double>(over_[c].load(std::memory_order_relaxed));
    const double cost = costs_.choices[c].plain + costs_.extra * over / fours;
    if (cost < least) {
      least = cost;
      best = costs_.choices[c].bits;
    }
  }
  bits_.store(best, std::memory_order_relaxed);
}

Program::Program(const Kernels& kernels, unsigned threads) : kernels_(kernels), pool_(threads) {
  stages_.emplace_back();
}

Program::~Program() = default;

std::size_t Program::domain() { return domains_++; }

std::size_t Program::new_place(std::size_t bytes, std::size_t domain) {
  Place place;
  place.bytes = bytes;
  place.domain = domain;
  places_.push_back(place);
  return places_.size() - 1;
}

ValueId Program::input(std::string name, Kind kind, std::size_t domain, std::size_t channels) {
  const ValueId id = write(std::move(name), kind, domain, channels, 0);
  places_[static_cast<std::size_t>(values_[id].place)].external = externals_++;
  return id;
}

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

// The earliest stage in which an operation with these inputs can run. Row operations of one domain
// may follow each other within a stage, because the same thread does all of them for a row; every
// other operation waits for the end of the stage that writes its input.
std::size_t Program::read(std::initializer_list<ValueId> inputs, bool row_wise,
                          std::size_t domain) {
  std::size_t stage = 0;
  for (const ValueId input : inputs) {
    const Value& value = values_[input];
    const bool given =
        value.place >= 0 && places_[static_cast<std::size_t>(value.place)].external >= 0;
    const bool follows = row_wise && written_by_rows_[input] && value.domain == domain;
    stage = std::max(stage, value.written + (given || follows ? 0 : 1));
  }
  while (stages_.size() <= stage) {
    stages_.emplace_back();
  }
  for (const ValueId input : inputs) {
    values_[input].read = std::max(values_[input].read, stage);
  }
  return stage;
}

ValueId Program::write(std::string name, Kind kind, std::size_t domain, std::size_t channels,
                       std::size_t stage) {
  Value value;
  value.name = std::move(name);
  value.kind = kind;
  value.channels = channels;
  value.domain = domain;
  value.written = stage;
  value.read = stage;
  if (kind != Kind::kLevels) {
    value.place = static_cast<int>(new_place(value.padded() * sizeof(float), domain));
  }
  values_.push_back(std::move(value));
  written_by_rows_.push_back(false);
  value_levels_.push_back(0);
  return values_.size() - 1;
}

void Program::add_row_operation(std::size_t stage, std::size_t domain,
                                std::unique_ptr<RowOperation> operation) {
  Stage& at = stages_[stage];
  Chain*& chain = at.chains[domain];
  if (chain == nullptr) {
    auto made = std::make_unique<Chain>(domain);
    chain = made.get();
    at.jobs.push_back(std::move(made));
  }
  chain->add(std::move(operation));
}

ValueId Program::row_value(std::string name, Kind kind, std::size_t domain, std::size_t channels,
                           std::size_t stage) {
  const ValueId id = write(std::move(name), kind, domain, channels, stage);
  written_by_rows_[id] = true;
  return id;
}

void Program::need_plain(ValueId id) {
  Value& value = values_[id];
  if (value.place < 0) {
    value.place = static_cast<int>(new_place(value.padded() * sizeof(std::int32_t), value.domain));
  }
}

std::size_t Program::need_encoding(ValueId id, std::size_t group) {
  Value& value = values_[id];
  for (std::size_t i = 0; i < value.encodings.size(); ++i) {
    if (value.encodings[i].group == group) {
      return i;
    }
  }
  Encoding e{};
  e.group = group;
  e.groups = value.channels / group;
  const std::size_t width = e.padded();
  // Rows a multiple of 4096 bytes apart would fall on the same lines of the cache.
  std::size_t low = round_up(2 * width, kLine);
  low += low % 4096 == 0 ? kLine : 0;
  e.low = new_place(low, value.domain);
  e.extras = new_place(width / 4 * 3 * sizeof(Extra), value.domain);
  e.extra_counts = new_place(sizeof(std::uint32_t), value.domain);
  e.sums = new_place(e.groups * sizeof(std::int32_t), value.domain);
  e.magnitudes = new_place(sizeof(std::int64_t), value.domain);
  e.digits = digits_.size();
  digits_.push_back(std::make_unique<Digits>(kernels_.digits(padded_group(group) / 4)));
  value.encodings.push_back(e);
  return value.encodings.size() - 1;
}

ValueId Program::embedding(std::string name, ValueId index, std::size_t weight) {
  const std::size_t domain = values_[index].domain;
  const std::size_t stage = read({index}, true, domain);
  const PackedWeight& packed = *weights_[weight];
  const ValueId id = row_value(std::move(name), Kind::kReal, domain, packed.inputs(), stage);
  add_row_operation(stage, domain, make_embedding(id, index, packed));
  return id;
}

ValueId Program::table(std::string name, ValueId index, const StoredWeight& stored) {
  const std::size_t domain = values_[index].domain;
  const std::size_t stage = read({index}, true, domain);
  const ValueId id = row_value(std::move(name), Kind::kReal, domain, stored.inputs, stage);
  add_row_operation(stage, domain, make_table(id, index, stored));
  return id;
}

ValueId Program::select(std::string name, ValueId input, ValueId rows) {
  const std::size_t domain = values_[rows].domain;
  // Any row of the input may be wanted, so all of them must be there.
  const std::size_t stage = read({input, rows}, false, domain);
  const ValueId id =
      row_value(std::move(name), Kind::kReal, domain, values_[input].channels, stage);
  add_row_operation(stage, domain, make_select(id, input, rows));
  return id;
}

ValueId Program::linear(std::string name, ValueId input, std::size_t weight, float threshold,
                        const std::vector<float>& bias) {
  const std::size_t domain = values_[input].domain;
  const PackedWeight& packed = *weights_[weight];
  const std::size_t encoding = need_encoding(input, packed.group());
  const std::size_t stage = read({input}, false, domain);
  const ValueId id = write(std::move(name), Kind::kReal, domain, packed.outputs(), stage);
  stages_[stage].jobs.push_back(make_linear(id, input, encoding, packed, threshold, bias));
  return id;
}

ValueId Program::neuron(std::string name, ValueId input, const std::vector<float>& inverse,
                        std::int32_t lowest, std::int32_t highest) {
  const std::size_t domain = values_[input].domain;
  const std::size_t stage = read({input}, true, domain);
  const ValueId id =
      row_value(std::move(name), Kind::kLevels, domain, values_[input].channels, stage);
  value_levels_[id] = std::max(-lowest, highest);
  add_row_operation(stage, domain, make_neuron(id, input, inverse, lowest, highest));
  return id;
}

ValueId Program::norm(std::string name, ValueId input, bool layer, const std::vector<float>& weight,
                      const std::vector<float>& bias, float epsilon) {
  const std::size_t domain = values_[input].domain;
  const std::size_t stage = read({input}, true, domain);
  const ValueId id =
      row_value(std::move(name), Kind::kReal, domain, values_[input].channels, stage);
  add_row_operation(stage, domain, make_norm(id, input, layer, weight, bias, epsilon));
  return id;
}

ValueId Program::activation(std::string name, ValueId input, bool gelu) {
  const std::size_t domain = values_[input].domain;
  const std::size_t stage = read({input}, true, domain);
  const ValueId id =
      row_value(std::move(name), Kind::kReal, domain, values_[input].channels, stage);
  add_row_operation(stage, domain, make_activation(id, input, gelu));
  return id;
}

ValueId Program::binary(std::string name, ValueId left, ValueId right, bool multiply) {
  const std::size_t domain = values_[left].domain;
  const std::size_t stage = read({left, right}, true, domain);
  const ValueId id = row_value(std::move(name), Kind::kReal, domain, values_[left].channels, stage);
  add_row_operation(stage, domain, make_binary(id, left, right, multiply));
  return id;
}

ValueId Program::rotary(std::string name, ValueId input, ValueId positions,
                        const RotaryTables& tables, std::size_t heads) {
  const std::size_t domain = values_[input].domain;
  const std::size_t stage = read({input, positions}, true, domain);
  const ValueId id =
      row_value(std::move(name), Kind::kReal, domain, values_[input].channels, stage);
  add_row_operation(stage, domain, make_rotary(id, input, positions, tables, heads));
  return id;
}

ValueId Program::attention(std::string name, ValueId query, ValueId key, ValueId value,
                           const AttentionShape& shape) {
  const std::size_t domain = values_[query].domain;
  for (const ValueId levels : {query, key, value}) {
    need_plain(levels);
  }
  CacheShape cache{};
  cache.heads = shape.key_heads;
  cache.size = values_[key].channels / shape.key_heads;
  const int cached = std::max(value_levels_[key], value_levels_[value]);
  constexpr int kByte = std::numeric_limits<std::int8_t>::max();
  constexpr int kShort = std::numeric_limits<std::int16_t>::max();
  cache.element = cached > kShort ? 4 : cached > kByte ? 2 : 1;
  const std::size_t layer = caches_.size();
  caches_.push_back(cache);
  const std::size_t appended = read({key, value}, true, domain);
  add_row_operation(appended, domain, make_append(key, value, layer));
  const std::size_t stage = std::max(read({query}, false, domain), appended + 1);
  while (stages_.size() <= stage) {
    stages_.emplace_back();
  }
  values_[query].read = std::max(values_[query].read, stage);
  const ValueId id = write(std::move(name), Kind::kReal, domain, values_[query].channels, stage);
  stages_[stage].jobs.push_back(make_attention(id, query, layer, cache, shape));
  tallies_ += 1;
  attention_tally_[id] = tallies_;
  return id;
}

void Program::output(ValueId id) {
  if (values_[id].kind == Kind::kLevels) {
    need_plain(id);
  }
  places_[static_cast<std::size_t>(values_[id].place)].external = externals_++;
}

void Program::finish() {
#if defined(__GLIBC__)
  malloc_trim(0);  // whoever loaded the network left free memory behind, some 30 MB of it
#endif
  const auto live = [&](std::size_t place, const Value& value) {
    places_[place].first = value.written;
    places_[place].last = value.read;
  };
  for (const Value& value : values_) {
    if (value.place >= 0) {
      live(static_cast<std::size_t>(value.place), value);
    }
    for (const Encoding& e : value.encodings) {
      for (const std::size_t place : {e.low, e.extras, e.extra_counts, e.sums, e.magnitudes}) {
        live(place, value);
      }
    }
  }
  std::vector<Place*> order;
  for (Place& place : places_) {
    if (place.external < 0) {
      order.push_back(&place);
    }
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const Place* a, const Place* b) { return a->first < b->first; });
  for (Place* place : order) {
    int best = -1;
    for (std::size_t s = 0; s < slots_.size(); ++s) {
      const Slot& slot = slots_[s];
      const auto waste = [&](const Slot& x) {
        return x.bytes > place->bytes ? x.bytes - place->bytes : 2 * (place->bytes - x.bytes);
      };
      if (slot.domain == place->domain && slot.free_from <= place->first &&
          (best < 0 || waste(slot) < waste(slots_[static_cast<std::size_t>(best)]))) {
        best = static_cast<int>(s);
      }
    }
    if (best < 0) {
      slots_.push_back({place->bytes, place->domain, 0});
      best = static_cast<int>(slots_.size()) - 1;
    }
    Slot& slot = slots_[static_cast<std::size_t>(best)];
    slot.bytes = std::max(slot.bytes, place->bytes);
    slot.free_from = place->last + 1;
    place->slot = best;
  }
}

void Program::run(const Call& call) {
  const std::lock_guard lock(running_);
  Run run(*this, call);
  pool_.run([&](unsigned thread) { run.work(thread); });
  if (workspace_.bytes() > kKeptWorkspace) {
    workspace_ = Buffer();
  }
  run.check();
  for (const auto& digits : digits_) {
    digits->choose();
  }
  runs_ += 1;
  std::uint64_t causal = 0;
  std::uint64_t full = 0;
  for (const Segment& segment : call.segments) {
    const std::uint64_t before = segment.cache->length();
    const std::uint64_t rows = segment.rows;
    segment.cache->extend(segment.rows);
    causal += rows * before + rows * (rows + 1) / 2;
    full += rows * (before + rows);
  }
  if (call.counts != nullptr) {
    call.counts->add_run(call.rows, causal, full);
  }
}

std::unique_ptr<Cache> Program::cache(std::size_t capacity) const {
  return std::make_unique<Cache>(caches_, capacity);
}

std::unique_ptr<Counts> Program::counts() const {
  return std::make_unique<Counts>(kernels_, threads(), values_.size() + tallies_, domains_);
}

std::size_t Program::packed_bytes() const {
  std::size_t total = 0;
  for (const auto& weight : weights_) {
    total += weight->bytes();
  }
  return total;
}

std::size_t Program::tally(ValueId value, std::size_t which) const {
  return which == 0 ? value : values_.size() + attention_tally_.at(value) - 1;
}

}  // namespace sangbo
