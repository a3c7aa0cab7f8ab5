// Building operations that compute each row for itself.
#include <algorithm>
#include <optional>
#include <utility>

#include "operations/rows.hpp"
#include "program.hpp"

namespace sangbo {

ValueId Program::input(std::string name, Kind kind, Domain domain, std::size_t channels) {
  const ValueId id = write(std::move(name), kind, domain, channels, 0);
  const auto given = static_cast<std::size_t>(values_[id].place);
  if (values_[id].padded() == channels) {
    places_[given].external = externals_++;
    return id;
  }
  const std::size_t place = new_place(channels * sizeof(float), domain);
  places_[place].external = externals_++;
  values_[id].by_rows = true;
  values_[id].given = static_cast<int>(place);
  values_[id].filled = false;
  return id;
}

ValueId Program::embedding(std::string name, ValueId index, std::size_t weight) {
  const Domain domain = values_[index].domain;
  const std::size_t stage = read({index}, true, domain);
  const PackedWeight& packed = *weights_[weight];
  const ValueId id = write_rows(std::move(name), Kind::kReal, domain, packed.inputs(), stage);
  add_rows(stage, domain, make_embedding(id, index, packed));
  return id;
}

ValueId Program::table(std::string name, ValueId index, const StoredWeight& stored) {
  const Domain domain = values_[index].domain;
  const std::size_t stage = read({index}, true, domain);
  const ValueId id = write_rows(std::move(name), Kind::kReal, domain, stored.inputs, stage);
  add_rows(stage, domain, make_table(id, index, stored));
  return id;
}

ValueId Program::select(std::string name, ValueId input, ValueId rows) {
  const Domain domain = values_[rows].domain;
  // Any row of the input may be wanted, so all of them must be there.
  const std::size_t stage = read({input, rows}, false, domain);
  const ValueId id =
      write_rows(std::move(name), Kind::kReal, domain, values_[input].channels, stage);
  add_rows(stage, domain, make_select(id, input, rows));
  return id;
}

ValueId Program::neuron(std::string name, ValueId input, const std::vector<float>& inverse,
                        std::int32_t lowest, std::int32_t highest) {
  const Domain domain = values_[input].domain;
  const std::size_t channels = values_[input].channels;
  // Channels that are all alike may come without gaps between rows, as they are given.
  std::optional<std::size_t> given;
  if (values_[input].given >= 0 && inverse.size() == 1) {
    given = static_cast<std::size_t>(values_[input].given);
  }
  const std::size_t stage = given ? 0 : read({input}, true, domain);
  const ValueId id = write_rows(std::move(name), Kind::kLevels, domain, channels, stage);
  values_[id].largest = std::max(-lowest, highest);
  values_[id].tallies = 1;
  add_rows(stage, domain, make_neuron(id, input, given, channels, inverse, lowest, highest));
  return id;
}

ValueId Program::norm(std::string name, ValueId input, bool layer, const std::vector<float>& weight,
                      const std::vector<float>& bias, float epsilon) {
  const Domain domain = values_[input].domain;
  const std::size_t stage = read({input}, true, domain);
  const ValueId id =
      write_rows(std::move(name), Kind::kReal, domain, values_[input].channels, stage);
  add_rows(stage, domain, make_norm(id, input, layer, weight, bias, epsilon));
  return id;
}

ValueId Program::activation(std::string name, ValueId input, Function function, float slope) {
  const Domain domain = values_[input].domain;
  const std::size_t stage = read({input}, true, domain);
  const ValueId id =
      write_rows(std::move(name), Kind::kReal, domain, values_[input].channels, stage);
  add_rows(stage, domain, make_activation(id, input, function, slope));
  return id;
}

ValueId Program::softmax(std::string name, ValueId input, std::size_t chosen) {
  const Domain domain = values_[input].domain;
  const std::size_t stage = read({input}, true, domain);
  const ValueId id =
      write_rows(std::move(name), Kind::kReal, domain, values_[input].channels, stage);
  add_rows(stage, domain, make_softmax(id, input, chosen));
  return id;
}

ValueId Program::affine(std::string name, ValueId input, const std::vector<float>& weight,
                        const std::vector<float>& bias) {
  const Domain domain = values_[input].domain;
  const std::size_t channels = values_[input].channels;
  const std::size_t stage = read({input}, true, domain);
  const ValueId id = write_rows(std::move(name), Kind::kReal, domain, channels, stage);
  add_rows(stage, domain, make_affine(id, input, weight, bias, channels));
  return id;
}

ValueId Program::binary(std::string name, ValueId left, ValueId right, bool multiply) {
  const Domain domain = values_[left].domain;
  const std::size_t channels = values_[left].channels;
  const bool single = values_[right].channels != channels;
  const std::size_t stage = read({left, right}, true, domain);
  const ValueId id = write_rows(std::move(name), Kind::kReal, domain, channels, stage);
  add_rows(stage, domain,
           single ? make_scaling(id, left, right) : make_binary(id, left, right, multiply));
  return id;
}

ValueId Program::rotary(std::string name, ValueId input, ValueId positions,
                        const RotaryTables& tables, std::size_t heads) {
  const Domain domain = values_[input].domain;
  const std::size_t stage = read({input, positions}, true, domain);
  const ValueId id =
      write_rows(std::move(name), Kind::kReal, domain, values_[input].channels, stage);
  add_rows(stage, domain, make_rotary(id, input, positions, tables, heads));
  return id;
}

}  // namespace sangbo
