#include "program.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "error.hpp"
#include "operations/rows.hpp"
#include "run.hpp"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace sangbo {
namespace {

// A workspace larger than this is given back after the run, unless the run before needed as much.
constexpr std::size_t kKeptWorkspace = std::size_t{8} << 20;

}  // namespace

Program::Program(const Kernels& kernels, unsigned threads) : kernels_(kernels), pool_(threads) {
  stages_.emplace_back();
}

Program::~Program() = default;

std::size_t Program::new_place(std::size_t bytes, Domain domain) {
  Place place;
  place.bytes = bytes;
  place.domain = domain;
  places_.push_back(place);
  return places_.size() - 1;
}

std::size_t Program::new_digits(std::size_t group) {
  digits_.push_back(std::make_unique<Digits>(kernels_.digits(padded_group(group) / 4), threads()));
  return digits_.size() - 1;
}

void Program::live(std::initializer_list<std::size_t> places, std::size_t first, std::size_t last) {
  for (const std::size_t place : places) {
    places_[place].first = first;
    places_[place].last = last;
  }
}

// The earliest stage in which an operation with these inputs can run. Row operations of one domain
// may follow each other within a stage, because the same thread does all of them for a row; every
// other operation waits for the end of the stage that writes its input.
std::size_t Program::read(const std::vector<ValueId>& inputs, bool row_wise, Domain domain,
                          std::size_t at_least) {
  std::size_t stage = at_least;
  for (const ValueId input : inputs) {
    Value& value = values_[input];
    if (!value.filled) {  // the first to read it wants its rows padded
      value.filled = true;
      add_rows(0, value.domain, make_padding(input, static_cast<std::size_t>(value.given)));
    }
    const bool given =
        value.place >= 0 && places_[static_cast<std::size_t>(value.place)].external >= 0;
    const bool follows = row_wise && value.by_rows && value.domain == domain;
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

ValueId Program::write(std::string name, Kind kind, Domain domain, std::size_t channels,
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
  return values_.size() - 1;
}

void Program::add_rows(std::size_t stage, Domain domain, std::unique_ptr<RowOperation> operation) {
  Stage& at = stages_[stage];
  Chain*& chain = at.chains[domain];
  if (chain == nullptr) {
    auto made = std::make_unique<Chain>(domain);
    chain = made.get();
    at.jobs.push_back(std::move(made));
  }
  chain->add(std::move(operation));
}

ValueId Program::write_rows(std::string name, Kind kind, Domain domain, std::size_t channels,
                            std::size_t stage) {
  const ValueId id = write(std::move(name), kind, domain, channels, stage);
  values_[id].by_rows = true;
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
    if (value.encodings[i].layout.group == group) {
      return i;
    }
  }
  Encoding e{};
  e.layout = {group, value.channels / group};
  e.low = new_place(e.layout.low_bytes(), value.domain);
  e.extras = new_place(e.layout.extras() * sizeof(Extra), value.domain);
  e.extra_counts = new_place(sizeof(std::uint32_t), value.domain);
  e.sums = new_place(e.layout.groups * sizeof(std::int32_t), value.domain);
  e.magnitudes = new_place(sizeof(std::int64_t), value.domain);
  e.digits = new_digits(group);
  value.encodings.push_back(e);
  return value.encodings.size() - 1;
}

std::size_t Program::need_strip(ValueId id, std::size_t groups) {
  Value& value = values_[id];
  for (std::size_t i = 0; i < value.strips.size(); ++i) {
    if (value.strips[i].groups == groups) {
      return i;
    }
  }
  value.strips.push_back({groups, strips_++,
                          new_place(value.channels * sizeof(std::int16_t), value.domain),
                          new_place(sizeof(std::uint8_t), value.domain),
                          new_place(value.channels * sizeof(std::int32_t), value.domain)});
  return value.strips.size() - 1;
}

void Program::classify(ValueId id, std::vector<std::uint8_t> classes) {
  Value& value = values_[id];
  if (classes.size() != value.domain.each) {
    throw Error("expected a class for each row of '" + value.name + "'");
  }
  value.tallies = *std::max_element(classes.begin(), classes.end()) + std::size_t{1};
  value.classes = std::move(classes);
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
  // Rows that only the chain which writes them reads need no memory beyond its block.
  std::map<std::pair<std::size_t, Domain>, std::size_t> blocks;  // bytes a row, by chain
  const auto keep = [&](const Value& value, std::size_t place) {
    if (places_[place].external < 0) {
      std::size_t& bytes = blocks[{value.written, value.domain}];
      places_[place].local = static_cast<std::int64_t>(bytes);
      bytes += round_up(places_[place].bytes, kLine);
      local_bytes_ = std::max(local_bytes_, bytes);
    }
  };
  for (Value& value : values_) {
    value.tally = tallies_;
    if (value.by_rows && value.written == value.read) {
      if (value.place >= 0) {
        keep(value, static_cast<std::size_t>(value.place));
      }
      for (const Encoding& e : value.encodings) {
        for (const std::size_t place : {e.low, e.extras, e.extra_counts, e.sums, e.magnitudes}) {
          keep(value, place);
        }
      }
      for (const Strip& strip : value.strips) {
        for (const std::size_t place : {strip.shorts, strip.large, strip.wide}) {
          keep(value, place);
        }
      }
    }
    tallies_ += value.tallies;
    if (value.place >= 0) {
      live({static_cast<std::size_t>(value.place)}, value.written, value.read);
    }
    for (const Encoding& e : value.encodings) {
      live({e.low, e.extras, e.extra_counts, e.sums, e.magnitudes}, value.written, value.read);
    }
    for (const Strip& strip : value.strips) {
      live({strip.shorts, strip.large, strip.wide}, value.written, value.read);
    }
  }
  std::vector<Place*> order;
  for (Place& place : places_) {
    if (place.external < 0 && place.local < 0) {
      order.push_back(&place);
    }
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const Place* a, const Place* b) { return a->first < b->first; });
  for (Place* place : order) {
    const std::size_t bytes = place->bytes * place->domain.each;
    int best = -1;
    for (std::size_t s = 0; s < slots_.size(); ++s) {
      const Slot& slot = slots_[s];
      const auto waste = [&](const Slot& x) {
        return x.bytes > bytes ? x.bytes - bytes : 2 * (bytes - x.bytes);
      };
      if (slot.axis == place->domain.axis && slot.free_from <= place->first &&
          (best < 0 || waste(slot) < waste(slots_[static_cast<std::size_t>(best)]))) {
        best = static_cast<int>(s);
      }
    }
    if (best < 0) {
      slots_.push_back({bytes, place->domain.axis, 0});
      best = static_cast<int>(slots_.size()) - 1;
    }
    Slot& slot = slots_[static_cast<std::size_t>(best)];
    slot.bytes = std::max(slot.bytes, bytes);
    slot.free_from = place->last + 1;
    place->slot = best;
  }
}

void Program::check_segments(const Call& call) const {
  for (const Axis axis : segmented_) {
    std::size_t rows = 0;
    for (const Segment& segment : call.segments) {
      rows += segment.rows[axis];
    }
    if (rows != call.rows[axis]) {
      throw Error("expected segments of " + std::to_string(call.rows[axis]) +
                  " rows in all, found " + std::to_string(rows));
    }
  }
  for (const ValueId id : backwards_) {
    for (const Segment& segment : call.segments) {
      if (segment.cache->length(values_[id].domain.axis) > 0) {
        throw Error("expected '" + values_[id].name +
                    "', which runs backwards, to be given whole sequences, found one with rows "
                    "behind it");
      }
    }
  }
  for (const Crossing& crossing : crossings_) {
    const std::string& name = values_[crossing.output].name;
    for (const Segment& segment : call.segments) {
      const Axis axis = crossing.keys.axis;
      const std::size_t held = segment.cache->length(axis) + segment.rows[axis];
      if (crossing.keys.each > 1 && held > 1) {
        throw Error("expected one sample for each sequence that '" + name + "' attends to, found " +
                    std::to_string(held));
      }
      if (held == 0 && segment.rows[crossing.queries] > 0) {
        throw Error("expected rows before '" + name + "' attends to them, found 0");
      }
    }
  }
}

void Program::run(const Call& call) {
  const std::lock_guard lock(running_);
  check_segments(call);
  for (const Segment& segment : call.segments) {
    segment.cache->reserve(segment.rows);
  }
  Run run(*this, call);
  pool_.run([&](unsigned thread) { run.work(thread); });
  const std::size_t needed = run.workspace_bytes();
  if (workspace_.bytes() > std::max(kKeptWorkspace, 2 * needed_)) {
    workspace_ = Buffer();
  }
  needed_ = needed;
  run.check();
  for (const auto& digits : digits_) {
    digits->choose();
  }
  runs_ += 1;
  for (const Segment& segment : call.segments) {
    segment.cache->extend(segment.rows);
  }
  if (call.counts != nullptr) {
    call.counts->add_run(call.rows, run.totals());
  }
}

std::unique_ptr<Cache> Program::cache(std::size_t capacity) const {
  return std::make_unique<Cache>(caches_, capacity);
}

std::unique_ptr<Counts> Program::counts() const {
  return std::make_unique<Counts>(kernels_, threads(), tallies_, caches_.axes, totals_);
}

std::size_t Program::jobs() const {
  std::size_t jobs = 0;
  for (const Stage& stage : stages_) {
    jobs += stage.jobs.size();
  }
  return jobs;
}

std::size_t Program::packed_bytes() const {
  std::size_t total = 0;
  for (const auto& weight : weights_) {
    total += weight->bytes();
  }
  return total;
}

}  // namespace sangbo
