// Operations that are more than row by row.
#pragma once

#include <memory>

#include "../program.hpp"

namespace sangbo {

std::unique_ptr<Job> make_linear(ValueId output, ValueId input, std::size_t encoding,
                                 const PackedWeight& weight, float threshold,
                                 const std::vector<float>& bias);
std::unique_ptr<Job> make_attention(ValueId output, ValueId query, std::size_t layer,
                                    const CacheShape& cache, const Program::AttentionShape& shape);

}  // namespace sangbo
