// What Python sees of compressed weights; sangbo.compress is its only user.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "../error.hpp"
#include "entropy.hpp"
#include "generated.hpp"
#include "generator.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using sangbo::compress::Search;

template <class T>
using Given = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class T>
using Taken = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <class T>
using Matrix = nb::ndarray<T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

template <class Symbol>
nb::bytes encode(const Given<Symbol>& symbols) {
  std::vector<std::uint8_t> code;
  {
    const nb::gil_scoped_release released;
    code = sangbo::compress::encode(symbols.data(), symbols.size());
  }
  return nb::bytes(code.data(), code.size());
}

template <class Symbol>
void decode(const Given<std::uint8_t>& code, const Taken<Symbol>& symbols) {
  const nb::gil_scoped_release released;
  sangbo::compress::decode(code.data(), code.size(), symbols.data(), symbols.size());
}

double find(Search& search, const Given<float>& target, const Given<float>& importance,
            unsigned coefficient, const Taken<std::uint8_t>& bytes,
            const Taken<std::int8_t>& weights) {
  if (importance.size() != target.size() || weights.size() != target.size() ||
      bytes.size() != search.block_bytes(target.size())) {
    throw sangbo::Error("expected one importance for each weight, and the bytes of their block");
  }
  const nb::gil_scoped_release released;
  const double least =
      search.find(target.data(), importance.data(), target.size(), coefficient, bytes.data());
  search.generate({bytes.data(), target.size(), coefficient}, weights.data());
  return least;
}

// All columns of a matrix: bits (columns, bytes), coefficients (columns, blocks) and, column by
// column, the weights of every block.
void generate(const Matrix<const std::uint8_t>& bits,
              const Matrix<const std::uint8_t>& coefficients,
              const std::vector<std::size_t>& blocks, unsigned length, unsigned quarters,
              const Matrix<std::int8_t>& weights) {
  std::size_t count = 0, size = 0;
  for (const std::size_t block : blocks) {
    count += block;
    size += sangbo::compress::block_bytes(block, length, quarters);
  }
  const std::size_t columns = weights.shape(0);
  if (bits.shape(0) != columns || coefficients.shape(0) != columns || bits.shape(1) != size ||
      coefficients.shape(1) != blocks.size() || weights.shape(1) != count) {
    throw sangbo::Error("expected the bits and coefficients of all blocks of generated weights");
  }
  const nb::gil_scoped_release released;
  for (std::size_t column = 0; column < columns; ++column) {
    const std::uint8_t* bytes = bits.data() + column * size;
    std::int8_t* made = weights.data() + column * count;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const unsigned coefficient = coefficients.data()[column * blocks.size() + i];
      sangbo::compress::generate({bytes, blocks[i], coefficient}, length, quarters, made);
      bytes += sangbo::compress::block_bytes(blocks[i], length, quarters);
      made += blocks[i];
    }
  }
}

}  // namespace

NB_MODULE(_compress, module) {
  module.doc() = "Compressed weights.";
  nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const sangbo::Error& error) {
      const nb::object type = nb::module_::import_("sangbo.errors").attr("GraphError");
      PyErr_SetString(type.ptr(), error.what());
    }
  });
  module.def("encode8", &encode<std::uint8_t>);
  module.def("encode16", &encode<std::uint16_t>);
  module.def("decode8", &decode<std::uint8_t>);
  module.def("decode16", &decode<std::uint16_t>);
  module.def("block_bytes", &sangbo::compress::block_bytes, "count"_a, "length"_a, "quarters"_a);
  module.def("generate", &generate, "bits"_a, "coefficients"_a, "blocks"_a, "length"_a,
             "quarters"_a, "weights"_a);
  nb::class_<Search>(module, "Search")
      .def(nb::init<unsigned, unsigned>(), "length"_a, "quarters"_a)
      .def("find", &find, "target"_a, "importance"_a, "coefficient"_a, "block"_a, "weights"_a);
}
