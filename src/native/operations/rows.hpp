// Operations that work row by row, and the chain that runs several of them over a block of rows
// while the rows are in cache.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "../program.hpp"

namespace sangbo {

class Chain final : public Job {
 public:
  explicit Chain(Domain domain) : domain_(domain) {}
  void add(std::unique_ptr<RowOperation> operation);

  [[nodiscard]] std::size_t items(const Run& run) const override;
  [[nodiscard]] std::size_t grain(const Run& run) const override;
  void run(Run& run, unsigned thread, std::size_t first, std::size_t last) const override;

 private:
  Domain domain_;
  std::size_t block_ = 1;
  std::vector<std::unique_ptr<RowOperation>> operations_;
};

// Copies rows of an input as they are given from `place`.
std::unique_ptr<RowOperation> make_padding(ValueId output, std::size_t place);
std::unique_ptr<RowOperation> make_embedding(ValueId output, ValueId index,
                                             const PackedWeight& weight);
std::unique_ptr<RowOperation> make_table(ValueId output, ValueId index, const StoredWeight& stored);
std::unique_ptr<RowOperation> make_select(ValueId output, ValueId input, ValueId rows);
// Reads rows as the caller gives them from `given`, where that is a place.
std::unique_ptr<RowOperation> make_neuron(ValueId output, ValueId input,
                                          std::optional<std::size_t> given, std::size_t channels,
                                          const std::vector<float>& inverse, std::int32_t lowest,
                                          std::int32_t highest);
std::unique_ptr<RowOperation> make_norm(ValueId output, ValueId input, bool layer,
                                        const std::vector<float>& weight,
                                        const std::vector<float>& bias, float epsilon);
std::unique_ptr<RowOperation> make_activation(ValueId output, ValueId input, Function function,
                                              float slope);
std::unique_ptr<RowOperation> make_softmax(ValueId output, ValueId input, std::size_t chosen);
std::unique_ptr<RowOperation> make_affine(ValueId output, ValueId input,
                                          const std::vector<float>& weight,
                                          const std::vector<float>& bias, std::size_t channels);
std::unique_ptr<RowOperation> make_binary(ValueId output, ValueId left, ValueId right,
                                          bool multiply);
// All channels of a row times the one channel of another.
std::unique_ptr<RowOperation> make_scaling(ValueId output, ValueId left, ValueId right);
std::unique_ptr<RowOperation> make_rotary(ValueId output, ValueId input, ValueId positions,
                                          const RotaryTables& tables, std::size_t heads);

// Rows of `channels` values, one behind the other, with zeros behind each, a multiple of 16 long.
std::vector<float> padded(const std::vector<float>& from, std::size_t channels);
// One such row.
std::vector<float> padded(const std::vector<float>& from);

}  // namespace sangbo
