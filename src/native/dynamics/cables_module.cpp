// What Python sees of cells of many compartments.
#include "cables_module.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "../error.hpp"
#include "arrays.hpp"

namespace nb = nanobind;

namespace sangbo::dynamics {
namespace {

// A cell on its way from Python to a population.
struct MadeCells {
  std::unique_ptr<Cells> cells;

  [[nodiscard]] Cells& open() const {
    if (!cells) {
      throw Error("expected a cell that no population has, found one that has been given away");
    }
    return *cells;
  }
  [[nodiscard]] std::unique_ptr<Cells> give() {
    static_cast<void>(open());
    return std::move(cells);
  }
};

// Course, amplitude (1/ms), middle (mV), slope (1/mV).
using GivenRate = std::tuple<std::uint32_t, double, double, double>;
// Power, forward and backward rate, and where it starts.
using GivenGate = std::tuple<std::uint32_t, GivenRate, GivenRate, double>;

Rate rate(const GivenRate& given) {
  const auto& [course, amplitude, middle, slope] = given;
  return {static_cast<Course>(course), amplitude, middle, slope};
}

}  // namespace

void bind_cells(nb::module_& module, nb::class_<Network>& network) {
  nb::class_<MadeCells>(module, "Cells")
      .def(
          "__init__",
          [](MadeCells* self, const Given<std::uint32_t>& parents, const Given<double>& capacitance,
             const Given<double>& axial, const Given<double>& leak, const Given<double>& current,
             double v, double step, double threshold, std::uint32_t detector, bool middle) {
            new (self) MadeCells{std::make_unique<Cells>(
                Cells::Tree{taken(parents), taken(capacitance), taken(axial), taken(leak),
                            taken(current), v, step, threshold, detector, middle})};
          })
      .def("channel",
           [](MadeCells& made, const Given<std::uint32_t>& nodes, const Given<double>& conductance,
              double reversal, const std::vector<GivenGate>& given) {
             std::vector<Gate> gates;
             std::vector<double> start;
             for (const auto& [power, forward, backward, at] : given) {
               gates.push_back({power, rate(forward), rate(backward), 0});
               start.push_back(at);
             }
             made.open().channel(taken(nodes), taken(conductance), reversal, std::move(gates),
                                 start);
           })
      .def("current_site",
           [](MadeCells& made, std::uint32_t node) {
             Site site{};
             site.node = node;
             made.open().site(site);
           })
      .def("conductance_site",
           [](MadeCells& made, std::uint32_t node, double reversal,
              const std::vector<std::pair<double, double>>& exponentials, double block,
              double slope) {
             Site site{};
             site.node = node;
             site.reversal = reversal;
             site.exponentials = static_cast<std::uint32_t>(exponentials.size());
             if (exponentials.empty() || exponentials.size() > std::size(site.gain)) {
               throw Error("expected one or two exponentials, found " +
                           std::to_string(exponentials.size()));
             }
             for (std::size_t k = 0; k < exponentials.size(); ++k) {
               site.gain[k] = exponentials[k].first;
               site.decay[k] = exponentials[k].second;
             }
             site.block = block;
             site.slope = slope;
             made.open().site(site);
           })
      .def("scheme_site",
           [](MadeCells& made, std::uint32_t node, double reversal, double block, double slope,
              const Given<double>& start, const Given<double>& share, const Given<double>& free,
              const Given<double>& bound, const Given<double>& decay, double conductance,
              double amount, std::uint32_t pulse, std::uint32_t power, double half) {
             Site site{};
             site.node = node;
             site.reversal = reversal;
             site.block = block;
             site.slope = slope;
             made.open().site(site, {taken(start), taken(share), taken(free), taken(bound),
                                     taken(decay), conductance, amount, pulse, power, half});
           })
      .def(
          "vesicles",
          [](MadeCells& made, std::uint32_t count, double use, double recovery, double facilitation,
             bool quantal) { made.open().vesicles({count, use, recovery, facilitation, quantal}); })
      .def("probe", [](MadeCells& made, std::uint32_t kind, std::uint32_t index) {
        made.open().probe({static_cast<Probe::Kind>(kind), index});
      });
  network
      .def("cells", [](Network& n, std::string name, std::uint32_t size,
                       MadeCells& made) { return n.cells(std::move(name), size, made.give()); })
      .def("probe",
           [](Network& n, std::uint32_t population, std::uint32_t index) {
             const Population& p = n.at(population);
             std::vector<float> found(p.size);
             for (std::uint32_t cell = 0; cell < p.size; ++cell) {
               found[cell] = static_cast<float>(p.cells->read(index, cell));
             }
             return given(std::move(found));
           })
      .def("saved_cells",
           [](Network& n, std::uint32_t population) {
             return given(n.at(population).cells->saved());
           })
      .def("restore_cells", [](Network& n, std::uint32_t population, const Given<double>& saved) {
        n.at(population).cells->restore(taken(saved));
      });
}

}  // namespace sangbo::dynamics
