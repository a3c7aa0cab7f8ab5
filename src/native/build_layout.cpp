// Building operations that move elements or slide windows over reals: they read rows other than
// their own, so all of these must be there.
#include <utility>

#include "operations/layout.hpp"
#include "operations/rows.hpp"
#include "program.hpp"

namespace sangbo {

ValueId Program::reshape(std::string name, ValueId input, std::size_t each, std::size_t channels) {
  const Domain domain{values_[input].domain.axis, each};
  const int given = values_[input].given;  // which has no gaps, so that rows are as long as we like
  const std::size_t stage = given < 0 ? read({input}, false, domain) : 0;
  const ValueId id = write_rows(std::move(name), Kind::kReal, domain, channels, stage);
  if (given < 0) {
    add_rows(stage, domain, make_reshape(id, input));
  } else {
    add_rows(stage, domain, make_padding(id, static_cast<std::size_t>(given)));
  }
  return id;
}

ValueId Program::gather(std::string name, ValueId input, std::vector<std::size_t> rows,
                        std::vector<std::size_t> channels) {
  const Domain domain{values_[input].domain.axis, rows.size()};
  const std::size_t stage = read({input}, false, domain);
  const ValueId id = write_rows(std::move(name), Kind::kReal, domain, channels.size(), stage);
  add_rows(stage, domain, make_gather(id, input, std::move(rows), std::move(channels)));
  return id;
}

ValueId Program::beside(std::string name, const std::vector<ValueId>& values) {
  const Domain domain = values_[values.front()].domain;
  const std::size_t stage = read(values, true, domain);
  std::size_t channels = 0;
  for (const ValueId value : values) {
    channels += values_[value].channels;
  }
  const ValueId id = write_rows(std::move(name), Kind::kReal, domain, channels, stage);
  add_rows(stage, domain, make_beside(id, values));
  return id;
}

ValueId Program::in_turn(std::string name, const std::vector<ValueId>& values,
                         const std::vector<std::size_t>& lengths) {
  Domain domain{values_[values.front()].domain.axis, 0};
  for (const ValueId value : values) {
    domain.each += values_[value].domain.each;
  }
  const std::size_t channels = values_[values.front()].channels;
  const std::size_t stage = read(values, false, domain);
  const ValueId id = write_rows(std::move(name), Kind::kReal, domain, channels, stage);
  add_rows(stage, domain, make_in_turn(id, values, lengths));
  return id;
}

ValueId Program::constant(std::string name, ValueId like, const std::vector<float>& tensor,
                          std::size_t channels) {
  const Domain domain{values_[like].domain.axis, tensor.size() / channels};
  const ValueId id = write_rows(std::move(name), Kind::kReal, domain, channels, 0);
  add_rows(0, domain, make_constant(id, tensor, channels));
  return id;
}

ValueId Program::pool(std::string name, ValueId input, bool largest, const Windows& windows,
                      bool outside) {
  const Domain domain{values_[input].domain.axis, windows[0].outputs * windows[1].outputs};
  const std::size_t stage = read({input}, false, domain);
  const ValueId id =
      write_rows(std::move(name), Kind::kReal, domain, values_[input].channels, stage);
  add_rows(stage, domain, make_pool(id, input, largest, windows, outside));
  return id;
}

}  // namespace sangbo
