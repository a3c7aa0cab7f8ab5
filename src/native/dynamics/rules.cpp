#include "rules.hpp"

#include <algorithm>
#include <cmath>

namespace sangbo::dynamics {
namespace {

class OneToOne : public Rule {
 public:
  explicit OneToOne(Sizes s) : size_(std::min(s.pre, s.post)) {}
  void row(std::uint32_t index, Random&, std::vector<std::uint32_t>& to) const override {
    if (index < size_) {
      to.push_back(index);
    }
  }

 private:
  std::uint32_t size_;
};

class AllToAll : public Rule {
 public:
  explicit AllToAll(Sizes s) : sizes_(s) {}
  void row(std::uint32_t index, Random&, std::vector<std::uint32_t>& to) const override {
    for (std::uint32_t j = 0; j < sizes_.post; ++j) {
      if (sizes_.autapses || j != index) {
        to.push_back(j);
      }
    }
  }

 private:
  Sizes sizes_;
};

// Jumps from one synapse to the next: the gap is geometric.
class FixedProbability : public Rule {
 public:
  FixedProbability(Sizes s, double p) : sizes_(s), all_(p >= 1), scale_(1 / std::log1p(-p)) {}
  void row(std::uint32_t index, Random& random, std::vector<std::uint32_t>& to) const override {
    double j = -1;
    while (true) {
      j += 1 + (all_ ? 0 : std::floor(std::log(random.uniform()) * scale_));
      if (!(j < sizes_.post)) {
        return;
      }
      const auto found = static_cast<std::uint32_t>(j);
      if (sizes_.autapses || found != index) {
        to.push_back(found);
      }
    }
  }

 private:
  Sizes sizes_;
  bool all_;
  double scale_;
};

// `degree` partners of `candidates`, with or without repetition.
void choose(std::uint32_t degree, std::uint32_t candidates, bool repeat, std::int64_t never,
            Random& random, std::vector<std::uint32_t>& to) {
  const std::size_t begin = to.size();
  if (repeat) {
    while (to.size() - begin < degree) {
      const std::uint32_t found = random.below(candidates);
      if (found != never) {
        to.push_back(found);
      }
    }
    return;
  }
  // Selection where most are taken, rejection where few are.
  if (degree > candidates / 4) {
    std::uint32_t left = degree;
    std::uint32_t open = candidates - (never >= 0 ? 1 : 0);
    for (std::uint32_t j = 0; j < candidates && left > 0; ++j) {
      if (j != never) {
        if (random.below(open) < left) {
          to.push_back(j);
          --left;
        }
        --open;
      }
    }
    return;
  }
  thread_local std::vector<std::uint64_t> taken;
  taken.assign((candidates + 63) / 64, 0);
  while (to.size() - begin < degree) {
    const std::uint32_t found = random.below(candidates);
    std::uint64_t& word = taken[found / 64];
    const std::uint64_t bit = std::uint64_t{1} << (found % 64);
    if (found != never && (word & bit) == 0) {
      word |= bit;
      to.push_back(found);
    }
  }
}

class FixedDegree : public Rule {
 public:
  FixedDegree(Sizes s, std::uint32_t degree, bool multapses, bool by_target)
      : sizes_(s), degree_(degree), multapses_(multapses), by_target_(by_target) {}
  [[nodiscard]] bool by_target() const override { return by_target_; }
  void row(std::uint32_t index, Random& random, std::vector<std::uint32_t>& to) const override {
    choose(degree_, by_target_ ? sizes_.pre : sizes_.post, multapses_,
           sizes_.autapses ? -1 : std::int64_t{index}, random, to);
  }

 private:
  Sizes sizes_;
  std::uint32_t degree_;
  bool multapses_;
  bool by_target_;
};

// How many of `n` trials succeed, each with probability p.
std::uint64_t binomial(std::uint64_t n, double p, Random& random) {
  if (p >= 1) {
    return n;
  }
  if (static_cast<double>(n) * p < 64) {
    std::uint64_t found = 0;
    double at = 0;
    const double scale = 1 / std::log1p(-p);
    while (true) {
      at += 1 + std::floor(std::log(random.uniform()) * scale);
      if (at > static_cast<double>(n)) {
        return found;
      }
      ++found;
    }
  }
  // Split at the median order statistic would be exact; at these sizes the normal is within a
  // thousandth of a deviation.
  const double mean = static_cast<double>(n) * p;
  const double found = std::round(mean + std::sqrt(mean * (1 - p)) * random.normal());
  return static_cast<std::uint64_t>(std::clamp(found, 0.0, static_cast<double>(n)));
}

class FixedTotal : public Rule {
 public:
  FixedTotal(Sizes s, std::uint64_t total, std::uint64_t seed, std::uint32_t owner)
      : sizes_(s), counts_(s.post) {
    Random random(seed, Purpose::kTotals, owner, 0);
    for (std::uint32_t j = 0; j < s.post; ++j) {
      const std::uint64_t found = binomial(total, 1.0 / (s.post - j), random);
      counts_[j] = static_cast<std::uint32_t>(found);
      total -= found;
    }
  }
  [[nodiscard]] bool by_target() const override { return true; }
  void row(std::uint32_t index, Random& random, std::vector<std::uint32_t>& to) const override {
    choose(counts_[index], sizes_.pre, true, sizes_.autapses ? -1 : std::int64_t{index}, random,
           to);
  }

 private:
  Sizes sizes_;
  std::vector<std::uint32_t> counts_;
};

class ByDistance : public Rule {
 public:
  ByDistance(Sizes s, Space space, Profile profile, double probability, double scale, double reach)
      : sizes_(s),
        space_(std::move(space)),
        profile_(profile),
        probability_(probability),
        scale_(scale),
        reach_(reach) {}
  void row(std::uint32_t index, Random& random, std::vector<std::uint32_t>& to) const override {
    for (std::uint32_t j = 0; j < sizes_.post; ++j) {
      const double d = space_.distance(index, j);
      if (d <= reach_ && random.uniform() < chance(d) && (sizes_.autapses || j != index)) {
        to.push_back(j);
      }
    }
  }

 private:
  [[nodiscard]] double chance(double d) const {
    switch (profile_) {
      case Profile::kExponential: return probability_ * std::exp(-d / scale_);
      case Profile::kGaussian: return probability_ * std::exp(-d * d / (2 * scale_ * scale_));
      case Profile::kDisc: return d <= scale_ ? probability_ : 0;
    }
    return 0;
  }

  Sizes sizes_;
  Space space_;
  Profile profile_;
  double probability_;
  double scale_;
  double reach_;
};

class Pairs : public Rule {
 public:
  Pairs(std::vector<std::uint64_t> begins, std::vector<std::uint32_t> targets)
      : begins_(std::move(begins)), targets_(std::move(targets)) {}
  void row(std::uint32_t index, Random&, std::vector<std::uint32_t>& to) const override {
    to.insert(to.end(), targets_.begin() + static_cast<std::ptrdiff_t>(begins_[index]),
              targets_.begin() + static_cast<std::ptrdiff_t>(begins_[index + 1]));
  }
  [[nodiscard]] std::size_t listed(std::uint32_t index) const override { return begins_[index]; }

 private:
  std::vector<std::uint64_t> begins_;
  std::vector<std::uint32_t> targets_;
};

}  // namespace

double Distribution::draw(Random& random) const {
  if (kind == Kind::kConstant) {
    return a;
  }
  while (true) {
    const double found = kind == Kind::kUniform  ? a + (b - a) * random.uniform()
                         : kind == Kind::kNormal ? a + b * random.normal()
                                                 : std::exp(a + b * random.normal());
    if (low <= found && found <= high) {
      return found;
    }
  }
}

double Space::distance(std::uint32_t i, std::uint32_t j) const {
  double sum = 0;
  for (std::size_t k = 0; k < dimensions; ++k) {
    double d = std::abs(pre[i * dimensions + k] - post[j * dimensions + k]);
    if (torus[k] > 0) {
      d = std::min(d, torus[k] - d);
    }
    sum += d * d;
  }
  return std::sqrt(sum);
}

std::unique_ptr<Rule> one_to_one(Sizes s) { return std::make_unique<OneToOne>(s); }
std::unique_ptr<Rule> all_to_all(Sizes s) { return std::make_unique<AllToAll>(s); }
std::unique_ptr<Rule> fixed_probability(Sizes s, double p) {
  return std::make_unique<FixedProbability>(s, p);
}
std::unique_ptr<Rule> fixed_in_degree(Sizes s, std::uint32_t degree, bool multapses) {
  return std::make_unique<FixedDegree>(s, degree, multapses, true);
}
std::unique_ptr<Rule> fixed_out_degree(Sizes s, std::uint32_t degree, bool multapses) {
  return std::make_unique<FixedDegree>(s, degree, multapses, false);
}
std::unique_ptr<Rule> fixed_total(Sizes s, std::uint64_t total, std::uint64_t seed,
                                  std::uint32_t owner) {
  return std::make_unique<FixedTotal>(s, total, seed, owner);
}
std::unique_ptr<Rule> by_distance(Sizes s, Space space, Profile profile, double probability,
                                  double scale, double reach) {
  return std::make_unique<ByDistance>(s, std::move(space), profile, probability, scale, reach);
}
std::unique_ptr<Rule> pairs(std::vector<std::uint64_t> begins, std::vector<std::uint32_t> targets) {
  return std::make_unique<Pairs>(std::move(begins), std::move(targets));
}

}  // namespace sangbo::dynamics
