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

#include "build_module.hpp"
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

using sangbo::Array;
using Output = nb::ndarray<nb::c_contig, nb::device::cpu>;

// A flag that stops a run from another thread.
struct Stop {
  std::atomic<bool> flag{false};
};

void run(Program& program, const std::vector<std::size_t>& rows, const std::vector<Array>& inputs,
         const std::vector<Output>& outputs,
         const std::vector<std::pair<Cache*, std::vector<std::size_t>>>& of, Counts* counts,
         const Stop* stop) {
  sangbo::Call call;
  call.rows = rows;
  for (const Array& input : inputs) {
    // Places are written by nobody where the program only reads them.
    call.externals.push_back(static_cast<std::byte*>(const_cast<void*>(input.data())));
  }
  for (const Output& output : outputs) {
    call.externals.push_back(static_cast<std::byte*>(output.data()));
  }
  for (const auto& [cache, counts_of] : of) {
    call.segments.push_back({cache, counts_of});
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
      .def_prop_ro("length", [](const Cache& cache) { return cache.length(); })
      .def_prop_ro("capacity", &Cache::capacity)
      .def_prop_ro("bytes", &Cache::bytes)
      .def("truncate", &Cache::truncate);

  nb::class_<Counts>(module, "Counts")
      .def("take", &Counts::take)
      .def("take_totals", &Counts::take_totals);

  nb::class_<Program> program(module, "Program");
  program
      .def(
          "__init__",
          [](Program* self, const std::string& isa, unsigned threads) {
            new (self) Program(sangbo::choose_kernels(isa), threads);
          },
          "isa"_a, "threads"_a)
      .def("run", &run, "rows"_a, "inputs"_a, "outputs"_a, "segments"_a, "counts"_a.none(),
           "stop"_a.none())
      .def("cache", &Program::cache)
      .def("counts", &Program::counts)
      .def("tally", [](const Program& p, sangbo::ValueId id) { return p.value(id).tally; })
      .def("total", [](const Program& p, sangbo::ValueId id) { return p.value(id).total; })
      .def_prop_ro("isa", [](const Program& p) { return p.kernels().name; })
      .def_prop_ro("threads", &Program::threads)
      .def_prop_ro("packed_bytes", &Program::packed_bytes);
  sangbo::bind_building(program);
}
