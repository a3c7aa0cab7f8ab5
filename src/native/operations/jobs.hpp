// Operations that are more than row by row.
#pragma once

#include <memory>
#include <vector>

#include "../program.hpp"

namespace sangbo {

std::unique_ptr<Job> make_linear(ValueId output, ValueId input, std::size_t encoding,
                                 const PackedWeight& weight, const LinearShape& shape);
std::unique_ptr<Job> make_gated(ValueId output, ValueId input, ValueId gate, std::size_t encoding,
                                const PackedWeight& weight, const LinearShape& shape);

// Where the keys and values of an attention operation lie: in the caches of sequences, or for this
// run alone, a whole sequence for each entry of an axis.
struct KeySource {
  KeyShape shape;
  Domain domain;
  bool cached;
  std::size_t index = 0;    // in the caches, or
  std::size_t keys = 0;     // places, of entries
  std::size_t values = 0;   //
  std::size_t largest = 0;  // place of a Largest, of rows
};

// Writes rows of keys and values where attention finds them.
std::unique_ptr<RowOperation> make_append(ValueId key, std::size_t key_strip, ValueId value,
                                          std::size_t value_strip, const KeySource& source);
std::unique_ptr<Job> make_attention(ValueId output, ValueId query, std::size_t strip,
                                    const KeySource& source, const AttentionShape& shape);

// A cell's own weights, and what its states are encoded by.
struct StateShare {
  const PackedWeight* weight;
  std::vector<float> bias;
  std::size_t digits;
};

// States are kept as number `index` of the caches, unless the rows are whole sequences.
std::unique_ptr<Job> make_recurrent(ValueId output, ValueId input, const ValueId* initial,
                                    const StateShare* share, const RecurrentShape& shape,
                                    bool whole, std::size_t index);

}  // namespace sangbo
