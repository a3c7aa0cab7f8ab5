// What Python sees of the native engine; sangbo.engines.native is its only user.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <optional>

#include "cache.hpp"
#include "counts.hpp"
#include "error.hpp"
#include "isa.hpp"
#include "program.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using sangbo::Cache;
using sangbo::Counts;
using sangbo::Program;
using sangbo::StoredWeight;
using sangbo::ValueId;

using Array = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<nb::c_contig, nb::device::cpu>;
using Reals = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;

std::vector<float> reals(const std::optional<Reals>& array) {
  return array ? std::vector<float>(array->data(), array->data() + array->size())
               : std::vector<float>();
}

StoredWeight stored(const Array& values, int bits, std::size_t group,
                    const std::optional<Array>& scale, const std::optional<Array>& minimum) {
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

// A flag that stops a run from another thread.
struct Stop {
  std::atomic<bool> flag{false};
};

void run(Program& program, const std::vector<std::size_t>& rows, const std::vector<Array>& inputs,
         const std::vector<Output>& outputs, const std::vector<std::pair<Cache*, std::size_t>>& of,
         Counts* counts, const Stop* stop) {
  sangbo::Call call;
  call.rows = rows;
  for (const Array& input : inputs) {
    // Places are written by nobody where the program only reads them.
    call.externals.push_back(static_cast<std::byte*>(const_cast<void*>(input.data())));
  }
  for (const Output& output : outputs) {
    call.externals.push_back(static_cast<std::byte*>(output.data()));
  }
  for (const auto& [cache, count] : of) {
    call.segments.push_back({cache, count});
  }
  call.counts = counts;
  call.cancelled = stop == nullptr ? nullptr : &stop->flag;
  call.interrupted = [] {
    const nb::gil_scoped_acquire held;
    return PyErr_CheckSignals() != 0;
  };
  try {
    const nb::gil_scoped_release released;
    program.run(call);
  } catch (const sangbo::Interrupted&) {
    throw nb::python_error();
  }
}

}  // namespace

NB_MODULE(_native, module) {
  module.doc() = "The native core of Sangbo.";
  nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const sangbo::Error& error) {
      const nb::object type = nb::module_::import_("sangbo.errors").attr("EngineError");
      PyErr_SetString(type.ptr(), error.what());
    }
  });

  module.def("available_kernels", &sangbo::available_kernels);

  nb::class_<Stop>(module, "Stop")
      .def(nb::init<>())
      .def("set", [](Stop& stop) { stop.flag.store(true); })
      .def("clear", [](Stop& stop) { stop.flag.store(false); });

  nb::class_<Cache>(module, "Cache")
      .def_prop_ro("length", &Cache::length)
      .def_prop_ro("capacity", &Cache::capacity)
      .def_prop_ro("bytes", &Cache::bytes)
      .def("truncate", &Cache::truncate);

  nb::class_<Counts>(module, "Counts")
      .def("take", &Counts::take)
      .def("take_totals", &Counts::take_totals);

  nb::class_<Program>(module, "Program")
      .def(
          "__init__",
          [](Program* self, const std::string& isa, unsigned threads) {
            new (self) Program(sangbo::choose_kernels(isa), threads);
          },
          "isa"_a, "threads"_a)
      .def("domain", &Program::domain)
      .def("input",
           [](Program& p, std::string name, bool index, std::size_t domain, std::size_t channels) {
             const auto kind = index ? sangbo::Kind::kIndex : sangbo::Kind::kReal;
             return p.input(std::move(name), kind, domain, channels);
           })
      .def(
          "weight",
          [](Program& p, const Array& values, int bits, std::size_t group, const Array& scale,
             const std::optional<Array>& minimum) {
            return p.weight(stored(values, bits, group, scale, minimum));
          },
          "values"_a, "bits"_a, "group"_a, "scale"_a, "minimum"_a.none())
      .def("embedding", &Program::embedding)
      .def(
          "table",
          [](Program& p, std::string name, ValueId index, const Array& values, int bits,
             std::size_t group, const std::optional<Array>& scale,
             const std::optional<Array>& minimum) {
            return p.table(std::move(name), index, stored(values, bits, group, scale, minimum));
          },
          "name"_a, "index"_a, "values"_a, "bits"_a, "group"_a, "scale"_a.none(),
          "minimum"_a.none())
      .def("select", &Program::select)
      .def(
          "linear",
          [](Program& p, std::string name, ValueId input, std::size_t weight, float threshold,
             const std::optional<Reals>& bias) {
            return p.linear(std::move(name), input, weight, threshold, reals(bias));
          },
          "name"_a, "input"_a, "weight"_a, "threshold"_a, "bias"_a.none())
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
      .def("activation", &Program::activation)
      .def("binary", &Program::binary)
      .def("rotary",
           [](Program& p, std::string name, ValueId input, ValueId positions, const Reals& cosine,
              const Reals& sine, std::size_t heads) {
             return p.rotary(std::move(name), input, positions,
                             {cosine.data(), sine.data(), cosine.shape(0)}, heads);
           })
      .def("attention",
           [](Program& p, std::string name, ValueId query, ValueId key, ValueId value,
              std::size_t heads, std::size_t key_heads, bool causal, std::int32_t highest,
              float scale, float inverse, float threshold) {
             return p.attention(std::move(name), query, key, value,
                                {heads, key_heads, causal, highest, scale, inverse, threshold});
           })
      .def("output", &Program::output)
      .def("finish", &Program::finish)
      .def("run", &run, "rows"_a, "inputs"_a, "outputs"_a, "segments"_a, "counts"_a.none(),
           "stop"_a.none())
      .def("cache", &Program::cache)
      .def("counts", &Program::counts)
      .def("tally", &Program::tally)
      .def_prop_ro("isa", [](const Program& p) { return p.kernels().name; })
      .def_prop_ro("threads", &Program::threads)
      .def_prop_ro("packed_bytes", &Program::packed_bytes);
}
