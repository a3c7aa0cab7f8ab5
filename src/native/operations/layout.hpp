// Operations that move elements, and pools.
#pragma once

#include <memory>
#include <vector>

#include "../program.hpp"

namespace sangbo {

std::unique_ptr<RowOperation> make_reshape(ValueId output, ValueId input);
std::unique_ptr<RowOperation> make_gather(ValueId output, ValueId input,
                                          std::vector<std::size_t> rows,
                                          std::vector<std::size_t> channels);
std::unique_ptr<RowOperation> make_beside(ValueId output, std::vector<ValueId> values);
std::unique_ptr<RowOperation> make_in_turn(ValueId output, std::vector<ValueId> values,
                                           std::vector<std::size_t> lengths);
std::unique_ptr<RowOperation> make_constant(ValueId output, const std::vector<float>& tensor,
                                            std::size_t channels);
std::unique_ptr<RowOperation> make_pool(ValueId output, ValueId input, bool largest,
                                        const Windows& windows, bool outside);

}  // namespace sangbo
