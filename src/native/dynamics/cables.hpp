// Cells of many compartments: a tree of nodes with capacitances, leaks and channels, joined by
// axial conductances, with places where synapses and electrodes act.
//
// C dV/dt = −Σ g (V − E) + I + Σ axial (V' − V). Conductances live half a step ahead of V, so a
// step is one linear system, solved by Hines's elimination from the leaves to the root: implicit in
// the middle of the step (Crank and Nicolson, second order) or at its end (first order, damps
// anything).
//
// Cells of a population are alike. Eight of them lie side by side in a block, or one where there
// are few; a block's doubles are its potentials, gates and what synapses hold, each of them a row
// of its cells.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../buffer.hpp"

namespace sangbo::dynamics {

inline constexpr std::size_t kDoubles = 8;  // doubles of a vector

// A rate of a gate at V, with x = (V − middle)·slope: amplitude·e^x, amplitude/(1 + e^−x) or
// amplitude·x/(1 − e^−x); 1/ms.
enum class Course : std::uint32_t { kExponential, kSigmoid, kLinear };
struct Rate {
  Course course;
  double amplitude;
  double middle;
  double slope;
};

// dx/dt = forward·(1 − x) − backward·x; the channel's conductance has x^power.
struct Gate {
  std::uint32_t power;
  Rate forward;
  Rate backward;
  std::size_t at;  // in a block
};

struct Channel {
  const std::uint32_t* nodes;
  std::size_t count;          // of nodes
  const double* conductance;  // of each, nS, with all gates open
  double reversal;            // mV
  const Gate* gates;
  std::size_t gate_count;
  bool adjacent;  // nodes follow each other
};

// Receptors whose states bind transmitter: dp/dt = (free + T·bound)·p, with T mM in the cleft; of
// each spike for so many steps, its weight times `amount`. Open is Σ share·p, or o^power/(o^power +
// half) of that.
struct Scheme {
  std::size_t states;   // at most kStates
  const double* start;  // at rest
  const double* share;
  const double* free;   // in half a step; states × states, row by row
  const double* bound;  // the same, per mM
  const double* decay;  // e^free
  double size;          // the largest sum of a column's sizes: of free,
  double bound_size;    // and of bound
  double conductance;   // nS
  double amount;        // mM of a weight of 1
  std::uint32_t pulse;  // steps
  std::uint32_t power;  // 0: linear
  double half;

  static constexpr std::size_t kStates = 8;
};

// What is left of a spike that meets `count` vesicles: each is there or not, and one that is there
// is released with the probability u. A vesicle comes back with 1 − e^(−Δ/recovery) in Δ ms, and u
// follows facilitation as in ShortTerm. Without `quantal` that is done with means.
struct Vesicles {
  std::uint32_t count;  // at most kMost
  double use;
  double recovery;      // ms
  double facilitation;  // ms, or 0
  bool quantal;

  static constexpr std::uint32_t kMost = 32;
  // Rows: how many there are, u after the last spike, and its time (ms; below 0: none yet).
  static constexpr std::size_t kRows = 3;
};

// Where something arrives: a current, a scheme, or a conductance of up to two exponentials,
// g = Σ gain·x, dx/dt = −x/τ, x + weight at each spike; behind magnesium's block
// 1/(1 + block·e^(−slope·V)) where `block` is not 0.
struct Site {
  std::uint32_t node;
  std::uint32_t exponentials;  // 0: a current, or a scheme
  double reversal;
  double gain[2];
  double decay[2];  // in half a step
  double block;
  double slope;
  const Scheme* scheme;      // or null
  const Vesicles* vesicles;  // or null: all that comes arrives
  // In a block: the exponentials, or the scheme's states, T and what arrived in the steps of a
  // pulse; then vesicles; then V of the step before, where there is a block.
  std::size_t at;

  [[nodiscard]] std::size_t rows() const {
    return (scheme == nullptr ? exponentials : scheme->states + 1 + scheme->pulse) +
           (vesicles == nullptr ? 0 : Vesicles::kRows);
  }
};

// What can be read of a cell.
struct Probe {
  enum class Kind : std::uint32_t { kNode, kConductance, kCurrent };
  Kind kind;
  std::uint32_t index;  // node or site
};

// A cell as kernels see it: plain pointers, because files of kernels are compiled for machines that
// may not be this one.
struct CellView {
  std::size_t nodes;
  const std::uint32_t* parents;  // of each node but the first, before it
  const double* axial;           // to the parent, nS
  const double* inertia;         // capacitance by the time of a solution, nS
  const double* diagonal;        // with inertia, leak and axial conductances, nS
  const double* leak;            // leak by its reversal potential, pA
  const Channel* channels;
  std::size_t channel_count;
  const Site* sites;
  std::size_t site_count;
  std::size_t block;  // doubles
  double step;        // ms
  double threshold;   // mV
  std::uint32_t detector;
  bool middle;  // solve for the middle of the step
};

struct CellAdvance {
  const CellView* cell;
  std::size_t count;  // cells
  std::size_t width;  // cells of a block: 1 or kDoubles
  double* states;     // of the first block
  float* const*
      inputs;  // of each site, this step; null where nothing arrives, ever; zeroed once read
  std::uint64_t step;
  std::uint64_t seed;
  std::uint32_t stream;  // of the population
  std::uint32_t first;   // cell, in its population
  double* scratch;       // scratch_doubles()
  std::uint16_t* fired;  // one bit for each cell
};

class Cells {
 public:
  // One cell: parents of all nodes (the first has none), capacitances (pF), axial conductances to
  // the parents, leaks (nS), their currents at 0 mV (pA), and when and where a spike is.
  struct Tree {
    std::vector<std::uint32_t> parents;
    std::vector<double> capacitance;
    std::vector<double> axial;
    std::vector<double> leak;
    std::vector<double> current;
    double v;
    double step;
    double threshold;
    std::uint32_t detector;
    bool middle;
  };

  explicit Cells(Tree tree);

  void channel(std::vector<std::uint32_t> nodes, std::vector<double> conductance, double reversal,
               std::vector<Gate> gates, const std::vector<double>& start);
  void site(Site site);
  // What a scheme points at.
  struct Kinetics {
    std::vector<double> start;
    std::vector<double> share;
    std::vector<double> free;
    std::vector<double> bound;
    std::vector<double> decay;
    double conductance;
    double amount;
    std::uint32_t pulse;
    std::uint32_t power;
    double half;
  };
  void site(Site site, Kinetics kinetics);
  // Of the site that was added last.
  void vesicles(Vesicles vesicles);
  void probe(Probe probe) { probes_.push_back(probe); }
  // Lays the blocks of `count` cells out; nothing can be added after.
  void build(std::uint32_t count);

  [[nodiscard]] const CellView& view() const { return view_; }
  [[nodiscard]] std::size_t width() const { return width_; }
  [[nodiscard]] std::size_t sites() const { return sites_.size(); }
  [[nodiscard]] std::size_t nodes() const { return tree_.parents.size(); }
  [[nodiscard]] std::size_t scratch_doubles() const;
  // Of the block that `cell` is the first of.
  [[nodiscard]] double* states(std::uint32_t cell) {
    return states_.as<double>() + cell / width_ * view_.block;
  }
  [[nodiscard]] double read(std::uint32_t probe, std::uint32_t cell) const;
  // Everything that changes, cell by cell.
  [[nodiscard]] std::vector<double> saved() const;
  void restore(const std::vector<double>& saved);

 private:
  [[nodiscard]] double at(std::size_t row, std::uint32_t cell) const {
    return states_.as<double>()[cell / width_ * view_.block + row * width_ + cell % width_];
  }
  [[nodiscard]] std::size_t rows() const { return view_.block / width_; }
  [[nodiscard]] double conductance(const Site& site, std::uint32_t cell) const;

  Tree tree_;
  std::vector<double> inertia_;
  std::vector<double> diagonal_;
  std::vector<Channel> channels_;
  std::vector<std::unique_ptr<std::vector<std::uint32_t>>> channel_nodes_;
  std::vector<std::unique_ptr<std::vector<double>>> conductances_;
  std::vector<std::unique_ptr<std::vector<Gate>>> gates_;
  std::vector<std::vector<double>> starts_;
  std::vector<Site> sites_;
  std::vector<std::unique_ptr<Kinetics>> kinetics_;
  std::vector<std::unique_ptr<Scheme>> schemes_;
  std::vector<std::unique_ptr<Vesicles>> vesicles_;
  std::vector<Probe> probes_;
  CellView view_{};
  std::size_t width_ = 1;
  std::uint32_t count_ = 0;
  Buffer states_;
};

}  // namespace sangbo::dynamics
