// What Python sees of the spike core; sangbo.dynamics is its only user.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <memory>

#include "../error.hpp"
#include "arrays.hpp"
#include "cables_module.hpp"
#include "network.hpp"
#include "python_exchange.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using sangbo::dynamics::Distribution;
using sangbo::dynamics::Given;
using sangbo::dynamics::given;
using sangbo::dynamics::Model;
using sangbo::dynamics::Network;
using sangbo::dynamics::Population;
using sangbo::dynamics::Projection;
using sangbo::dynamics::Rule;
using sangbo::dynamics::Sizes;
using sangbo::dynamics::Stimulus;
using sangbo::dynamics::Storage;
using sangbo::dynamics::taken;

template <class T>
nb::ndarray<nb::numpy, T, nb::ndim<1>> moved(std::vector<T>& values) {
  std::vector<T> all;
  all.swap(values);
  return given(std::move(all));
}

std::vector<std::string> strings(const sangbo::dynamics::Names& names) {
  return {names.at, names.at + names.count};
}

// A rule on its way from Python to a projection.
struct Made {
  std::unique_ptr<Rule> rule;
};

Made by_distance(Sizes sizes, std::size_t dimensions, const Given<double>& pre,
                 const Given<double>& post, const Given<double>& torus, int profile,
                 double probability, double scale, double reach) {
  return {sangbo::dynamics::by_distance(sizes, {dimensions, taken(pre), taken(post), taken(torus)},
                                        static_cast<sangbo::dynamics::Profile>(profile),
                                        probability, scale, reach)};
}

std::uint32_t project(Network& network, std::uint32_t pre, std::uint32_t post, std::uint32_t input,
                      Made& made, bool wide, const Distribution& weight, const Distribution& delay,
                      const Given<float>& weights, const Given<std::uint32_t>& delays,
                      std::uint32_t longest, float unit, float largest, int shift) {
  Projection p{};
  p.pre = pre;
  p.post = post;
  p.input = input;
  p.rule = std::move(made.rule);
  p.storage = wide ? Storage::kWide : Storage::kCompact;
  p.weight = weight;
  p.delay = delay;
  p.listed_weights = taken(weights);
  p.listed_delays = taken(delays);
  p.longest = longest;
  p.unit = unit;
  p.largest = largest;
  p.shift = shift;
  return network.project(std::move(p));
}

// Products of one learning rule: dependency, mantissa, exponent, and factors (variable, constant,
// sign).
using Products = std::vector<
    std::tuple<int, std::int32_t, std::int32_t, std::vector<std::tuple<int, std::int32_t, bool>>>>;

std::vector<sangbo::dynamics::Product> made(const Products& products) {
  std::vector<sangbo::dynamics::Product> all;
  for (const auto& [dependency, mantissa, exponent, factors] : products) {
    sangbo::dynamics::Product product{
        static_cast<sangbo::dynamics::Dependency>(dependency), mantissa, exponent, {}};
    for (const auto& [variable, constant, sign] : factors) {
      product.factors.push_back(
          {static_cast<sangbo::dynamics::Variable>(variable), constant, sign});
    }
    all.push_back(std::move(product));
  }
  return all;
}

}  // namespace

NB_MODULE(_dynamics, module) {
  module.doc() = "The spike core of Sangbo.";
  nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const sangbo::Error& error) {
      const nb::object type = nb::module_::import_("sangbo.errors").attr("SimulationError");
      PyErr_SetString(type.ptr(), error.what());
    }
  });
  module.def("available_kernels", &sangbo::dynamics::available);
  module.def("models", [] {
    std::vector<std::tuple<std::string, std::vector<std::string>, std::vector<std::string>,
                           std::vector<std::string>, bool>>
        found;
    const auto& kernels = sangbo::dynamics::choose("");
    for (std::size_t i = 0; i < kernels.count; ++i) {
      const Model& m = kernels.models[i];
      found.emplace_back(m.name(), strings(m.states), strings(m.parameters), strings(m.inputs),
                         m.integers);
    }
    return found;
  });

  nb::class_<Sizes>(module, "Sizes")
      .def("__init__", [](Sizes* self, std::uint32_t pre, std::uint32_t post, bool autapses) {
        new (self) Sizes{pre, post, autapses};
      });
  nb::class_<Distribution>(module, "Distribution")
      .def("__init__",
           [](Distribution* self, int kind, double a, double b, double low, double high) {
             new (self) Distribution{static_cast<Distribution::Kind>(kind), a, b, low, high};
           });
  nb::class_<Made>(module, "Rule");
  module.def("one_to_one", [](Sizes s) { return Made{sangbo::dynamics::one_to_one(s)}; });
  module.def("all_to_all", [](Sizes s) { return Made{sangbo::dynamics::all_to_all(s)}; });
  module.def("fixed_probability",
             [](Sizes s, double p) { return Made{sangbo::dynamics::fixed_probability(s, p)}; });
  module.def("fixed_in_degree", [](Sizes s, std::uint32_t degree, bool multapses) {
    return Made{sangbo::dynamics::fixed_in_degree(s, degree, multapses)};
  });
  module.def("fixed_out_degree", [](Sizes s, std::uint32_t degree, bool multapses) {
    return Made{sangbo::dynamics::fixed_out_degree(s, degree, multapses)};
  });
  module.def("fixed_total",
             [](Sizes s, std::uint64_t total, std::uint64_t seed, std::uint32_t owner) {
               return Made{sangbo::dynamics::fixed_total(s, total, seed, owner)};
             });
  module.def("by_distance", &by_distance);
  module.def("pairs", [](const Given<std::uint64_t>& begins, const Given<std::uint32_t>& targets) {
    return Made{sangbo::dynamics::pairs(taken(begins), taken(targets))};
  });

  nb::class_<Network> network(module, "Network");
  sangbo::dynamics::bind_cells(module, network);
  network
      .def("__init__",
           [](Network* self, std::uint64_t seed, unsigned threads, const std::string& isa,
              std::uint32_t rank,
              std::uint32_t ranks) { new (self) Network(seed, threads, isa, {rank, ranks}); })
      .def("exchange",
           [](Network& n, nb::object send, nb::object receive, std::uint32_t block, bool early) {
             n.exchange(std::make_unique<sangbo::dynamics::PythonExchange>(std::move(send),
                                                                           std::move(receive)),
                        block, early);
           })
      .def("own",
           [](Network& n, std::uint32_t population) {
             const Population& p = n.at(population);
             return std::pair(p.first, p.first + p.own);
           })
      .def("population", &Network::population)
      .def("listed",
           [](Network& n, std::string name, std::uint32_t size, const Given<std::uint64_t>& steps,
              const Given<std::uint32_t>& neurons) {
             return n.listed(std::move(name), size, taken(steps), taken(neurons));
           })
      .def("set_parameter",
           [](Network& n, std::uint32_t population, std::uint32_t index,
              const Given<float>& values) { n.set_parameter(population, index, taken(values)); })
      .def("set_state",
           [](Network& n, std::uint32_t population, std::uint32_t index,
              const Given<float>& values) { n.set_state(population, index, values.data()); })
      .def("state",
           [](Network& n, std::uint32_t population, std::uint32_t index) {
             const Population& p = n.at(population);
             const float* at = p.states[index].as<float>();
             return given(std::vector<float>(at, at + p.own));
           })
      .def("project", &project)
      .def("stdp",
           [](Network& n, std::uint32_t projection, double step, const std::array<double, 4>& taus,
              const std::array<float, 4>& changes, float largest, const std::array<bool, 2>& scaled,
              std::uint32_t every, float gain, float goal, float loss, bool scaled_loss) {
             using sangbo::dynamics::Decay;
             n.projection(projection).stdp = sangbo::dynamics::Stdp{Decay(step, taus[0]),
                                                                    Decay(step, taus[1]),
                                                                    Decay(step, taus[2]),
                                                                    Decay(step, taus[3]),
                                                                    changes[0],
                                                                    changes[1],
                                                                    changes[2],
                                                                    changes[3],
                                                                    largest,
                                                                    scaled[0],
                                                                    scaled[1],
                                                                    loss,
                                                                    scaled_loss,
                                                                    every,
                                                                    gain,
                                                                    goal};
           })
      .def("loihi_learning",
           [](Network& n, std::uint32_t projection, std::uint32_t epoch, std::uint32_t decimate,
              const std::vector<std::tuple<std::int32_t, std::int32_t, double>>& traces,
              const std::vector<Products>& products, std::int32_t sign, bool stochastic,
              std::int16_t tag) {
             sangbo::dynamics::LearningRule rule{};
             rule.epoch = epoch;
             rule.decimate = decimate;
             for (std::size_t k = 0; k < traces.size(); ++k) {
               const auto& [impulse, fraction, keep] = traces[k];
               (k < 2 ? rule.x[k] : rule.y[k - 2]) = {impulse, fraction, keep};
             }
             rule.weight = made(products.at(0));
             rule.tag = made(products.at(1));
             rule.sign = sign;
             rule.stochastic = stochastic;
             rule.seed = n.seed();
             rule.owner = projection;
             n.projection(projection).learning = std::move(rule);
             n.projection(projection).tag = tag;
           })
      .def("tags",
           [](Network& n, std::uint32_t projection) {
             std::vector<std::int32_t> found;
             const sangbo::dynamics::Projection& p = n.projection(projection);
             for (std::uint32_t source = 0; source < n.at(p.pre).size; ++source) {
               for (const auto& rows : p.rows) {
                 const auto* synapses =
                     reinterpret_cast<const sangbo::dynamics::LearningSynapse*>(rows.synapses);
                 for (std::uint32_t i = rows.begins[source]; i < rows.begins[source + 1]; ++i) {
                   found.push_back(synapses[i].tag);
                 }
               }
             }
             return given(std::move(found));
           })
      .def("traces",
           [](Network& n, std::uint32_t projection) {
             std::vector<std::uint8_t> sources;
             std::vector<std::uint8_t> targets;
             for (const auto& source : n.projection(projection).learned.at(0).sources) {
               sources.insert(sources.end(), source.traces.begin(), source.traces.end());
             }
             for (const auto& part : n.projection(projection).learned) {
               for (const auto& target : part.targets) {
                 targets.insert(targets.end(), target.traces.begin(), target.traces.end());
               }
             }
             return std::pair(given(std::move(sources)), given(std::move(targets)));
           })
      .def("reward",
           [](Network& n, std::uint32_t projection, double step, double tau, std::uint32_t every,
              float least, float largest) {
             n.projection(projection).reward = sangbo::dynamics::Reward{
                 sangbo::dynamics::Decay(step, tau), every, least, largest};
           })
      .def("level", [](Network& n, std::uint32_t projection,
                       float level) { n.projection(projection).level = level; })
      .def("marks", [](Network& n, std::uint32_t projection) { return given(n.marks(projection)); })
      .def("keep",
           [](Network& n, std::uint32_t projection, const Given<std::uint8_t>& kept) {
             n.keep(projection, {kept.data(), kept.shape(0)});
           })
      .def("short_term",
           [](Network& n, std::uint32_t projection, double step, double use, double recovery,
              double facilitation) {
             n.projection(projection).short_term =
                 sangbo::dynamics::ShortTerm{step, use, recovery, facilitation};
           })
      .def("settle", &Network::settle, nb::call_guard<nb::gil_scoped_release>())
      .def("poisson",
           [](Network& n, std::uint32_t population, std::uint32_t input,
              const Given<std::uint32_t>& thresholds, float weight) {
             Stimulus s{};
             s.input = input;
             s.thresholds = taken(thresholds);
             s.weight = weight;
             n.stimulate(population, std::move(s));
           })
      .def("noise",
           [](Network& n, std::uint32_t population, std::uint32_t input, float mean,
              float deviation) {
             Stimulus s{};
             s.input = input;
             s.mean = mean;
             s.deviation = deviation;
             n.stimulate(population, std::move(s));
           })
      .def("current",
           [](Network& n, std::uint32_t population, std::uint32_t input,
              const Given<std::uint64_t>& times, const Given<float>& values,
              const Given<std::uint32_t>& neurons) {
             Stimulus s{};
             s.input = input;
             s.times = taken(times);
             s.values = taken(values);
             s.neurons = taken(neurons);
             n.stimulate(population, std::move(s));
           })
      .def("set_current",
           [](Network& n, std::uint32_t population, std::size_t index,
              const Given<std::uint64_t>& times, const Given<float>& values) {
             Stimulus& s = n.at(population).stimuli.at(index);
             s.times = taken(times);
             s.values = taken(values);
           })
      .def("set_listed",
           [](Network& n, std::uint32_t population, const Given<std::uint64_t>& steps,
              const Given<std::uint32_t>& neurons) {
             n.at(population).listed_steps = taken(steps);
             n.at(population).listed_neurons = taken(neurons);
           })
      .def("record", &Network::record)
      .def("sample",
           [](Network& n, std::uint32_t population, const Given<std::uint32_t>& neurons,
              std::uint32_t state, std::uint32_t every) {
             n.sample(population, {taken(neurons), state, every, {}, {}});
           })
      .def("build", &Network::build, nb::call_guard<nb::gil_scoped_release>())
      .def("run", &Network::run, nb::call_guard<nb::gil_scoped_release>())
      .def("take_spikes",
           [](Network& n, std::uint32_t population) {
             Population& p = n.at(population);
             return std::pair(moved(p.recorded_steps), moved(p.recorded_neurons));
           })
      .def("take_samples",
           [](Network& n, std::uint32_t population, std::size_t index) {
             auto& sample = n.at(population).samples[index];
             return std::pair(moved(sample.steps), moved(sample.values));
           })
      .def("synapses",
           [](const Network& n, std::uint32_t projection) {
             std::vector<std::uint32_t> sources;
             std::vector<std::uint32_t> targets;
             std::vector<float> weights;
             std::vector<std::uint32_t> delays;
             for (const auto& s : n.synapses(projection)) {
               sources.push_back(s.source);
               targets.push_back(s.target);
               weights.push_back(s.weight);
               delays.push_back(s.delay);
             }
             return std::tuple(given(std::move(sources)), given(std::move(targets)),
                               given(std::move(weights)), given(std::move(delays)));
           })
      .def("inputs", [](const Network& n, std::uint32_t population,
                        std::uint32_t input) { return given(n.inputs(population, input)); })
      .def("set_inputs",
           [](Network& n, std::uint32_t population, std::uint32_t input, const Given<float>& all) {
             n.set_inputs(population, input, taken(all));
           })
      .def("plasticity",
           [](Network& n, std::uint32_t projection) { return given(n.plasticity(projection)); })
      .def("set_plasticity",
           [](Network& n, std::uint32_t projection, const Given<std::uint32_t>& words) {
             n.set_plasticity(projection, taken(words));
           })
      .def("sent",
           [](const Network& n, std::uint32_t population) {
             auto sent = n.sent(population);
             return std::pair(given(std::move(sent.first)), given(std::move(sent.second)));
           })
      .def("set_sent",
           [](Network& n, std::uint32_t population, const Given<std::uint64_t>& steps,
              const Given<std::uint32_t>& neurons) {
             n.set_sent(population, taken(steps), taken(neurons));
           })
      .def("set_step", &Network::set_step)
      .def("spikes", [](Network& n, std::uint32_t population) { return n.at(population).total; })
      .def("synapse_count",
           [](Network& n, std::uint32_t projection) { return n.projection(projection).synapses; })
      .def("events", &Network::events)
      .def_prop_ro("step", &Network::step)
      .def_prop_ro("isa", &Network::isa)
      .def_prop_ro("threads", &Network::threads);
}
