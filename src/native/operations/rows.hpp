// Operations that work row by row, and the chain that runs several of them over a block of rows
// while the rows are in cache.
#pragma once

#include <memory>
#include <vector>

#include "../program.hpp"

namespace sangbo {

class Chain final : public Job {
 public:
  explicit Chain(std::size_t domain) : domain_(domain) {}
  void add(std::unique_ptr<RowOperation> operation) { operations_.push_back(std::move(operation)); }

  [[nodiscard]] std::size_t items(const Run& run) const override;
  [[nodiscard]] std::size_t grain(const Run& run) const override;
  void run(Run& run, unsigned thread, std::size_t first, std::size_t last) const override;

 private:
  std::size_t domain_;
  std::vector<std::unique_ptr<RowOperation>> operations_;
};

std::unique_ptr<RowOperation> make_embedding(ValueId output, ValueId index,
                                             const PackedWeight& weight);
std::unique_ptr<RowOperation> make_table(ValueId output, ValueId index, const StoredWeight& stored);
std::unique_ptr<RowOperation> make_select(ValueId output, ValueId input, ValueId rows);
std::unique_ptr<RowOperation> make_neuron(ValueId output, ValueId input,
                                          const std::vector<float>& inverse, std::int32_t lowest,
                                          std::int32_t highest);
std::unique_ptr<RowOperation> make_norm(ValueId output, ValueId input, bool layer,
                                        const std::vector<float>& weight,
                                        const std::vector<float>& bias, float epsilon);
std::unique_ptr<RowOperation> make_activation(ValueId output, ValueId input, bool gelu);
std::unique_ptr<RowOperation> make_binary(ValueId output, ValueId left, ValueId right,
                                          bool multiply);
std::unique_ptr<RowOperation> make_rotary(ValueId output, ValueId input, ValueId positions,
                                          const RotaryTables& tables, std::size_t heads);
// Writes rows of keys and values into their sequences' caches.
std::unique_ptr<RowOperation> make_append(ValueId key, ValueId value, std::size_t layer);

// `from` with zeros behind it, a multiple of 16 long.
std::vector<float> padded(const std::vector<float>& from);

}  // namespace sangbo
