#include <cstring>

#include "../run.hpp"
#include "rows.hpp"

namespace sangbo {
namespace {

// A table that the output head also uses: rows are gathered from its packed form.
class Shared final : public RowOperation {
 public:
  Shared(ValueId output, ValueId index, const PackedWeight& weight)
      : output_(output), index_(index), weight_(weight) {}

  void rows(Run& run, unsigned, std::size_t first, std::size_t last) const override {
    for (std::size_t row = first; row < last; ++row) {
      const std::int32_t index = run.index(index_, row);
      if (index < 0 || static_cast<std::size_t>(index) >= weight_.outputs()) {
        run.fail(Fault::kIndex, output_);
        continue;
      }
      weight_.row(static_cast<std::size_t>(index), run.reals(output_, row));
    }
  }

 private:
  ValueId output_;
  ValueId index_;
  const PackedWeight& weight_;
};

// A table as it is stored: only the rows that are asked for are ever read.
class Stored final : public RowOperation {
 public:
  Stored(ValueId output, ValueId index, const StoredWeight& stored)
      : output_(output), index_(index), stored_(stored) {}

  void rows(Run& run, unsigned, std::size_t first, std::size_t last) const override {
    for (std::size_t row = first; row < last; ++row) {
      const std::int32_t index = run.index(index_, row);
      if (index < 0 || static_cast<std::size_t>(index) >= stored_.outputs) {
        run.fail(Fault::kIndex, output_);
        continue;
      }
      const auto at = static_cast<std::size_t>(index);
      float* y = run.reals(output_, row);
      if (stored_.bits == 32) {
        std::memcpy(y, stored_.values + at * stored_.inputs * sizeof(float),
                    stored_.inputs * sizeof(float));
      } else {
        stored_row(stored_, at, y);
      }
    }
  }

 private:
  ValueId output_;
  ValueId index_;
  StoredWeight stored_;
};

}  // namespace

std::unique_ptr<RowOperation> make_embedding(ValueId output, ValueId index,
                                             const PackedWeight& weight) {
  return std::make_unique<Shared>(output, index, weight);
}

std::unique_ptr<RowOperation> make_table(ValueId output, ValueId index,
                                         const StoredWeight& stored) {
  return std::make_unique<Stored>(output, index, stored);
}

}  // namespace sangbo
