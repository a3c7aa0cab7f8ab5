// Who is connected to whom. A rule makes one row at a time, from numbers of that row's own stream,
// so that rows can be made by any thread in any order, and again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "random.hpp"

namespace sangbo::dynamics {

// One number for each synapse: constant a; uniform in a … b; normal with mean a, deviation b; or
// e to the power of such. Draws outside low … high are drawn again.
struct Distribution {
  enum class Kind { kConstant, kUniform, kNormal, kLogNormal };
  Kind kind = Kind::kConstant;
  double a = 0;
  double b = 0;
  double low = 0;
  double high = 0;

  double draw(Random& random) const;
};

// Positions of neurons, `dimensions` to each, and the edge lengths of the torus they lie on (0: it
// is none in this direction).
struct Space {
  std::size_t dimensions = 0;
  std::vector<double> pre;
  std::vector<double> post;
  std::vector<double> torus;

  [[nodiscard]] double distance(std::uint32_t i, std::uint32_t j) const;
};

class Rule {
 public:
  Rule() = default;
  Rule(const Rule&) = delete;
  Rule& operator=(const Rule&) = delete;
  virtual ~Rule() = default;

  // Whether a row is that of a target, and its partners are sources.
  [[nodiscard]] virtual bool by_target() const { return false; }
  // Adds the partners of row `index`.
  virtual void row(std::uint32_t index, Random& random, std::vector<std::uint32_t>& to) const = 0;
  // Where the numbers of this row's synapses begin in what the caller listed, if it did.
  [[nodiscard]] virtual std::size_t listed(std::uint32_t) const { return 0; }
};

struct Sizes {
  std::uint32_t pre;
  std::uint32_t post;
  bool autapses = true;  // false only where a population meets itself
};

std::unique_ptr<Rule> one_to_one(Sizes sizes);
std::unique_ptr<Rule> all_to_all(Sizes sizes);
std::unique_ptr<Rule> fixed_probability(Sizes sizes, double probability);
std::unique_ptr<Rule> fixed_in_degree(Sizes sizes, std::uint32_t degree, bool multapses);
std::unique_ptr<Rule> fixed_out_degree(Sizes sizes, std::uint32_t degree, bool multapses);
// `total` synapses, both ends of each drawn at will.
std::unique_ptr<Rule> fixed_total(Sizes sizes, std::uint64_t total, std::uint64_t seed,
                                  std::uint32_t owner);
// Probability p·e^(−d/scale), p·e^(−d²/2scale²), or p where d ≤ scale; 0 beyond `reach`.
enum class Profile { kExponential, kGaussian, kDisc };
std::unique_ptr<Rule> by_distance(Sizes sizes, Space space, Profile profile, double probability,
                                  double scale, double reach);
// Pairs that the caller listed, sorted by source: targets of source i at begins[i] … begins[i+1].
std::unique_ptr<Rule> pairs(std::vector<std::uint64_t> begins, std::vector<std::uint32_t> targets);

}  // namespace sangbo::dynamics
