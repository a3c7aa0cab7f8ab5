#include "cables.hpp"

#include <algorithm>
#include <cmath>

#include "../error.hpp"

namespace sangbo::dynamics {
namespace {

// The largest sum of a column's sizes.
double column_size(const std::vector<double>& matrix, std::size_t states) {
  double most = 0;
  for (std::size_t c = 0; c < states; ++c) {
    double sum = 0;
    for (std::size_t r = 0; r < states; ++r) {
      sum += std::abs(matrix[r * states + c]);
    }
    most = std::max(most, sum);
  }
  return most;
}

constexpr std::uint32_t kFew = 4;  // cells; fewer are not worth a block of kDoubles

}  // namespace

Cells::Cells(Tree tree) : tree_(std::move(tree)) {
  const std::size_t count = tree_.parents.size();
  if (count == 0 || tree_.capacitance.size() != count || tree_.axial.size() != count ||
      tree_.leak.size() != count || tree_.current.size() != count || tree_.detector >= count) {
    throw Error("expected as many of everything as there are nodes, found a cell that has not");
  }
  for (std::size_t i = 1; i < count; ++i) {
    if (tree_.parents[i] >= i) {
      throw Error("expected parents before their children, found node " + std::to_string(i));
    }
  }
  inertia_.resize(count);
  diagonal_.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    inertia_[i] = tree_.capacitance[i] / (tree_.middle ? 0.5 * tree_.step : tree_.step);
    diagonal_[i] += inertia_[i] + tree_.leak[i];
    if (i > 0) {
      diagonal_[i] += tree_.axial[i];
      diagonal_[tree_.parents[i]] += tree_.axial[i];
    }
  }
}

void Cells::channel(std::vector<std::uint32_t> nodes, std::vector<double> conductance,
                    double reversal, std::vector<Gate> gates, const std::vector<double>& start) {
  if (nodes.empty() || conductance.size() != nodes.size() || gates.empty() ||
      start.size() != gates.size() ||
      *std::max_element(nodes.begin(), nodes.end()) >= this->nodes()) {
    throw Error("expected a conductance for each node of a channel, found others");
  }
  bool adjacent = true;
  for (std::size_t k = 1; k < nodes.size(); ++k) {
    adjacent = adjacent && nodes[k] == nodes[k - 1] + 1;
  }
  channel_nodes_.push_back(std::make_unique<std::vector<std::uint32_t>>(std::move(nodes)));
  conductances_.push_back(std::make_unique<std::vector<double>>(std::move(conductance)));
  conductances_.back()->resize(round_up(channel_nodes_.back()->size(), kDoubles));
  gates_.push_back(std::make_unique<std::vector<Gate>>(std::move(gates)));
  starts_.push_back(start);
  channels_.push_back({channel_nodes_.back()->data(), channel_nodes_.back()->size(),
                       conductances_.back()->data(), reversal, gates_.back()->data(),
                       gates_.back()->size(), adjacent});
}

void Cells::site(Site site) {
  if (site.node >= nodes()) {
    throw Error("expected a node of 0 to " + std::to_string(nodes() - 1) + ", found " +
                std::to_string(site.node));
  }
  sites_.push_back(site);
}

void Cells::site(Site site, Kinetics kinetics) {
  const std::size_t states = kinetics.start.size();
  if (states == 0 || states > Scheme::kStates || kinetics.share.size() != states ||
      kinetics.free.size() != states * states || kinetics.bound.size() != states * states ||
      kinetics.decay.size() != states * states || kinetics.pulse == 0) {
    throw Error("expected a scheme of 1 to " + std::to_string(Scheme::kStates) +
                " states and a pulse of a step or more, found another");
  }
  kinetics_.push_back(std::make_unique<Kinetics>(std::move(kinetics)));
  const Kinetics& k = *kinetics_.back();
  schemes_.push_back(std::make_unique<Scheme>(
      Scheme{states, k.start.data(), k.share.data(), k.free.data(), k.bound.data(), k.decay.data(),
             column_size(k.free, states), column_size(k.bound, states), k.conductance, k.amount,
             k.pulse, k.power, k.half}));
  site.scheme = schemes_.back().get();
  this->site(site);
}

void Cells::vesicles(Vesicles vesicles) {
  if (sites_.empty() || sites_.back().rows() == 0 || vesicles.count == 0 ||
      vesicles.count > Vesicles::kMost) {
    throw Error("expected 1 to " + std::to_string(Vesicles::kMost) +
                " vesicles of a synapse, found " + std::to_string(vesicles.count));
  }
  vesicles_.push_back(std::make_unique<Vesicles>(vesicles));
  sites_.back().vesicles = vesicles_.back().get();
}

void Cells::build(std::uint32_t count) {
  count_ = count;
  width_ = count < kFew ? 1 : kDoubles;
  // Vectors run past the end of what is no multiple of theirs.
  const auto padded = [&](std::size_t rows) {
    return width_ == 1 ? round_up(rows, kDoubles) : rows;
  };
  std::size_t rows = padded(nodes() + kDoubles);
  for (const auto& gates : gates_) {
    const auto channel = static_cast<std::size_t>(&gates - gates_.data());
    for (Gate& gate : *gates) {
      gate.at = rows;
      rows += padded(channels_[channel].count);
    }
  }
  for (Site& site : sites_) {
    site.at = rows;
    rows += site.rows() + (site.block > 0 ? 1 : 0);
  }
  rows = round_up(rows, kDoubles);
  view_ = {nodes(),          tree_.parents.data(), tree_.axial.data(), inertia_.data(),
           diagonal_.data(), tree_.current.data(), channels_.data(),   channels_.size(),
           sites_.data(),    sites_.size(),        rows * width_,      tree_.step,
           tree_.threshold,  tree_.detector,       tree_.middle};
  const std::size_t blocks = (std::size_t{count} + width_ - 1) / width_;
  states_ = Buffer(blocks * view_.block * sizeof(double));
  for (std::size_t b = 0; b < blocks; ++b) {
    double* block = states_.as<double>() + b * view_.block;
    std::fill(block, block + padded(nodes() + kDoubles) * width_, tree_.v);
    for (std::size_t c = 0; c < channels_.size(); ++c) {
      for (std::size_t k = 0; k < channels_[c].gate_count; ++k) {
        double* gate = block + channels_[c].gates[k].at * width_;
        std::fill(gate, gate + padded(channels_[c].count) * width_, starts_[c][k]);
      }
    }
    for (const Site& site : sites_) {
      if (site.block > 0) {
        double* before = block + (site.at + site.rows()) * width_;
        std::fill(before, before + width_, tree_.v);
      }
      if (const Vesicles* vesicles = site.vesicles; vesicles != nullptr) {
        double* held = block + (site.at + site.rows() - Vesicles::kRows) * width_;
        std::fill(held, held + width_, vesicles->count);
        std::fill(held + 2 * width_, held + 3 * width_, -1.0);
      }
      for (std::size_t k = 0; site.scheme != nullptr && k < site.scheme->states; ++k) {
        double* state = block + (site.at + k) * width_;
        std::fill(state, state + width_, site.scheme->start[k]);
      }
    }
  }
}

std::size_t Cells::scratch_doubles() const {
  return 4 * (round_up(nodes(), kDoubles) + kDoubles) * width_;
}

double Cells::conductance(const Site& site, std::uint32_t cell) const {
  double g = 0;
  for (std::size_t k = 0; k < site.exponentials; ++k) {
    g += site.gain[k] * at(site.at + k, cell);
  }
  if (const Scheme* scheme = site.scheme; scheme != nullptr) {
    double open = 0;
    for (std::size_t k = 0; k < scheme->states; ++k) {
      open += scheme->share[k] * at(site.at + k, cell);
    }
    if (scheme->power > 0) {
      const double much = std::pow(open, scheme->power);
      open = much / (much + scheme->half);
    }
    g = scheme->conductance * open;
  }
  if (site.block > 0) {
    g /= 1 + site.block * std::exp(-site.slope * at(site.node, cell));
  }
  return g;
}

double Cells::read(std::uint32_t index, std::uint32_t cell) const {
  const Probe& probe = probes_[index];
  switch (probe.kind) {
    case Probe::Kind::kNode: return at(probe.index, cell);
    case Probe::Kind::kConductance: return conductance(sites_[probe.index], cell);
    case Probe::Kind::kCurrent: break;
  }
  const Site& site = sites_[probe.index];
  return conductance(site, cell) * (at(site.node, cell) - site.reversal);
}

std::vector<double> Cells::saved() const {
  std::vector<double> all;
  all.reserve(std::size_t{count_} * rows());
  for (std::uint32_t cell = 0; cell < count_; ++cell) {
    for (std::size_t row = 0; row < rows(); ++row) {
      all.push_back(at(row, cell));
    }
  }
  return all;
}

void Cells::restore(const std::vector<double>& saved) {
  if (saved.size() != std::size_t{count_} * rows()) {
    throw Error("expected a checkpoint of these cells, found one of others");
  }
  for (std::uint32_t cell = 0; cell < count_; ++cell) {
    double* block = states(cell);
    for (std::size_t row = 0; row < rows(); ++row) {
      block[row * width_ + cell % width_] = saved[cell * rows() + row];
    }
  }
}

}  // namespace sangbo::dynamics
