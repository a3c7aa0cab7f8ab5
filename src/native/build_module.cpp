#include "build_module.hpp"

#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <map>
#include <optional>
#include <tuple>

#include "error.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace sangbo {
namespace {

using Reals = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Sizes = std::array<std::size_t, 7>;

std::vector<float> reals(const std::optional<Reals>& array) {
  return array ? std::vector<float>(array->data(), array->data() + array->size())
               : std::vector<float>();
}

// A weight as sangbo.engines.native_build gives it: values, bits, group, scale and minimum.
using Given = std::tuple<Array, int, std::size_t, std::optional<Array>, std::optional<Array>>;

StoredWeight stored(const Given& given) {
  const auto& [values, bits, group, scale, minimum] = given;
  StoredWeight weight{};
  weight.values = static_cast<const std::uint8_t*>(values.data());
  weight.bits = bits;
  weight.outputs = values.shape(0);
  weight.inputs = values.shape(1) * (bits == 4 ? 2 : 1);
  weight.group = group;
  if (scale) {
    weight.scale = scale->data();
    weight.half = scale->dtype().bits == 16;
  }
  weight.minimum = minimum ? minimum->data() : nullptr;
  return weight;
}

// size, kernel, stride, before, dilation, spread, outputs
Windows windows(const std::array<Sizes, 2>& sizes) {
  Windows found;
  for (std::size_t axis = 0; axis < found.size(); ++axis) {
    const auto& [size, kernel, stride, before, dilation, spread, outputs] = sizes[axis];
    found[axis] = {size, kernel, stride, before, dilation, spread, outputs};
  }
  return found;
}

template <class Choice>
Choice choose(const std::map<std::string, Choice>& choices, const std::string& name) {
  const auto found = choices.find(name);
  if (found == choices.end()) {
    throw Error("expected a function or cell that the native engine has, found '" + name + "'");
  }
  return found->second;
}

const std::map<std::string, Function> kFunctions = {{"silu", Function::kSilu},
                                                    {"gelu", Function::kGelu},
                                                    {"gelu_tanh", Function::kGeluTanh},
                                                    {"quick_gelu", Function::kQuickGelu},
                                                    {"relu", Function::kRelu},
                                                    {"relu6", Function::kRelu6},
                                                    {"leaky_relu", Function::kLeakyRelu},
                                                    {"hardswish", Function::kHardswish},
                                                    {"sigmoid", Function::kSigmoid},
                                                    {"tanh", Function::kTanh},
                                                    {"sqrt", Function::kSqrt}};
const std::map<std::string, Cell> kCells = {
    {"lstm", Cell::kLstm}, {"gru", Cell::kGru}, {"ssru", Cell::kSsru}};

void bind_rows(nb::class_<Program>& program) {
  program.def("axis", &Program::axis)
      .def("input",
           [](Program& p, std::string name, bool index, Axis axis, std::size_t each,
              std::size_t channels) {
             const Kind kind = index ? Kind::kIndex : Kind::kReal;
             return p.input(std::move(name), kind, {axis, each}, channels);
           })
      .def("weight", [](Program& p, const Given& weight) { return p.weight(stored(weight)); })
      .def("embedding", &Program::embedding)
      .def("table",
           [](Program& p, std::string name, ValueId index, const Given& weight) {
             return p.table(std::move(name), index, stored(weight));
           })
      .def("select", &Program::select)
      .def("neuron",
           [](Program& p, std::string name, ValueId input, const Reals& inverse,
              std::int32_t lowest, std::int32_t highest) {
             return p.neuron(std::move(name), input, reals(inverse), lowest, highest);
           })
      .def(
          "norm",
          [](Program& p, std::string name, ValueId input, bool layer, const Reals& weight,
             const std::optional<Reals>& bias, float epsilon) {
            return p.norm(std::move(name), input, layer, reals(weight), reals(bias), epsilon);
          },
          "name"_a, "input"_a, "layer"_a, "weight"_a, "bias"_a.none(), "epsilon"_a)
      .def("activation",
           [](Program& p, std::string name, ValueId input, const std::string& function,
              float slope) {
             return p.activation(std::move(name), input, choose(kFunctions, function), slope);
           })
      .def("softmax", &Program::softmax)
      .def(
          "affine",
          [](Program& p, std::string name, ValueId input, const std::optional<Reals>& weight,
             const std::optional<Reals>& bias) {
            return p.affine(std::move(name), input, reals(weight), reals(bias));
          },
          "name"_a, "input"_a, "weight"_a.none(), "bias"_a.none())
      .def("binary", &Program::binary)
      .def("rotary", [](Program& p, std::string name, ValueId input, ValueId positions,
                        const Reals& cosine, const Reals& sine, std::size_t heads) {
        return p.rotary(std::move(name), input, positions,
                        {cosine.data(), sine.data(), cosine.shape(0)}, heads);
      });
}

void bind_layout(nb::class_<Program>& program) {
  program.def("reshape", &Program::reshape)
      .def("gather", &Program::gather)
      .def("beside", &Program::beside)
      .def("in_turn", &Program::in_turn)
      .def("constant",
           [](Program& p, std::string name, ValueId like, const Reals& tensor,
              std::size_t channels) {
             return p.constant(std::move(name), like, reals(tensor), channels);
           })
      .def("pool", [](Program& p, std::string name, ValueId input, bool largest,
                      const std::array<Sizes, 2>& sizes, bool outside) {
        return p.pool(std::move(name), input, largest, windows(sizes), outside);
      });
}

void bind_synapses(nb::class_<Program>& program) {
  program
      .def(
          "linear",
          [](Program& p, std::string name, ValueId input, std::optional<ValueId> gate,
             std::size_t weight, float threshold, const std::optional<Reals>& bias) {
            const LinearShape shape{threshold, reals(bias)};
            return gate ? p.gated(std::move(name), input, *gate, weight, shape)
                        : p.linear(std::move(name), input, weight, shape);
          },
          "name"_a, "input"_a, "gate"_a.none(), "weight"_a, "threshold"_a, "bias"_a.none())
      .def(
          "convolution",
          [](Program& p, std::string name, ValueId input, const Given& weight,
             const std::array<Sizes, 2>& sizes, std::size_t groups, float threshold,
             const std::optional<Reals>& bias) {
            return p.convolution(std::move(name), input, stored(weight), windows(sizes), groups,
                                 {threshold, reals(bias)});
          },
          "name"_a, "input"_a, "weight"_a, "windows"_a, "groups"_a, "threshold"_a, "bias"_a.none())
      .def(
          "attention",
          [](Program& p, std::string name, ValueId query, ValueId key, ValueId value,
             std::size_t heads, std::size_t key_heads, bool causal, bool cached,
             std::int32_t highest, float scale, float inverse, float threshold,
             const std::optional<Reals>& distances) {
            return p.attention(std::move(name), query, key, value,
                               {heads, key_heads, causal, cached, highest, scale, inverse,
                                threshold, reals(distances)});
          },
          "name"_a, "query"_a, "key"_a, "value"_a, "heads"_a, "key_heads"_a, "causal"_a, "cached"_a,
          "highest"_a, "scale"_a, "inverse"_a, "threshold"_a, "distances"_a.none())
      .def(
          "recurrent",
          [](Program& p, std::string name, ValueId input, std::optional<ValueId> initial,
             std::optional<std::size_t> weight, const std::optional<Reals>& bias,
             const std::string& cell, std::size_t size, bool reverse, bool whole,
             std::int32_t lowest, std::int32_t highest, float inverse, float threshold) {
            const RecurrentShape shape{
                choose(kCells, cell), size, reverse, lowest, highest, inverse, threshold};
            return p.recurrent(std::move(name), input, initial ? &*initial : nullptr,
                               weight ? &*weight : nullptr, reals(bias), shape, whole);
          },
          "name"_a, "input"_a, "initial"_a.none(), "weight"_a.none(), "bias"_a.none(), "cell"_a,
          "size"_a, "reverse"_a, "whole"_a, "lowest"_a, "highest"_a, "inverse"_a, "threshold"_a);
}

}  // namespace

void bind_building(nb::class_<Program>& program) {
  bind_rows(program);
  bind_layout(program);
  bind_synapses(program);
  program.def("classify", &Program::classify)
      .def("output", &Program::output)
      .def("finish", &Program::finish);
}

}  // namespace sangbo
