#include "entropy.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "../error.hpp"

namespace sangbo::compress {

namespace {

constexpr std::size_t kLanes = 8;
constexpr unsigned kBits = 14;  // frequencies add up to 2^14
constexpr std::uint32_t kWhole = 1U << kBits;
constexpr std::uint32_t kLeast = 1U << 16U;  // a state is 2^16…2^32 − 1; words are 16 bits

template <class T>
void append(std::vector<std::uint8_t>& code, T value) {
  for (unsigned byte = 0; byte < sizeof(T); ++byte) {
    code.push_back(static_cast<std::uint8_t>(value >> (8 * byte)));
  }
}

// Frequencies that add up to 2^14, none of them 0, near the counts.
std::vector<std::uint32_t> normalised(const std::vector<std::size_t>& counts, std::size_t total) {
  std::vector<std::uint32_t> found;
  std::int64_t left = kWhole;
  for (const std::size_t count : counts) {
    const double share = static_cast<double>(count) * kWhole / static_cast<double>(total);
    found.push_back(std::max(1U, static_cast<std::uint32_t>(share)));
    left -= found.back();
  }
  // What rounding left over goes to, or comes from, the most frequent.
  while (left != 0) {
    const auto largest = std::max_element(found.begin(), found.end());
    const std::int64_t taken =
        left > 0 ? left : std::max(left, -static_cast<std::int64_t>(*largest / 2));
    *largest = static_cast<std::uint32_t>(*largest + taken);
    left -= taken;
  }
  return found;
}

template <class Symbol>
std::vector<std::uint8_t> coded(const Symbol* symbols, std::size_t count) {
  std::vector<std::size_t> seen(std::size_t{1} << (8 * sizeof(Symbol)), 0);
  for (std::size_t i = 0; i < count; ++i) {
    ++seen[symbols[i]];
  }
  std::vector<Symbol> alphabet;
  std::vector<std::size_t> counts;
  for (std::size_t s = 0; s < seen.size(); ++s) {
    if (seen[s] != 0) {
      alphabet.push_back(static_cast<Symbol>(s));
      counts.push_back(seen[s]);
    }
  }
  if (count == 0 || alphabet.size() > kWhole) {
    return {};
  }
  const std::vector<std::uint32_t> frequencies = normalised(counts, count);
  std::vector<std::uint8_t> code;
  append(code, static_cast<std::uint32_t>(alphabet.size()));
  for (const Symbol symbol : alphabet) {
    append(code, symbol);
  }
  std::vector<std::uint32_t> frequency(seen.size()), start(seen.size());
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    append(code, static_cast<std::uint16_t>(frequencies[i]));
    frequency[alphabet[i]] = frequencies[i];
    start[alphabet[i]] = sum;
    sum += frequencies[i];
  }
  // The last symbol first, so that they come out in order.
  std::array<std::uint32_t, kLanes> states;
  states.fill(kLeast);
  std::vector<std::uint16_t> words;
  for (std::size_t i = count; i-- > 0;) {
    std::uint32_t& state = states[i % kLanes];
    const std::uint32_t often = frequency[symbols[i]];
    if (std::uint64_t{state} >= (std::uint64_t{often} << (32U - kBits))) {
      words.push_back(static_cast<std::uint16_t>(state));
      state >>= 16U;
    }
    state = (state / often) * kWhole + state % often + start[symbols[i]];
  }
  for (const std::uint32_t state : states) {
    append(code, state);
  }
  for (auto word = words.rbegin(); word != words.rend(); ++word) {
    append(code, *word);
  }
  return code;
}

// Reads what `append` wrote, never beyond the end.
class Reader {
 public:
  Reader(const std::uint8_t* code, std::size_t size) : at_(code), end_(code + size) {}

  template <class T>
  T take() {
    if (static_cast<std::size_t>(end_ - at_) < sizeof(T)) {
      throw Error("expected more bytes of coded weights, found their end");
    }
    std::uint32_t value = 0;
    for (unsigned byte = 0; byte < sizeof(T); ++byte) {
      value |= std::uint32_t{at_[byte]} << (8 * byte);
    }
    at_ += sizeof(T);
    return static_cast<T>(value);
  }

  [[nodiscard]] bool empty() const { return at_ == end_; }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
};

template <class Symbol>
void decoded(const std::uint8_t* code, std::size_t size, Symbol* symbols, std::size_t count) {
  Reader reader(code, size);
  const auto different = reader.take<std::uint32_t>();
  if (different == 0 || different > kWhole) {
    throw Error("expected a table of 1 to 16384 symbols, found " + std::to_string(different));
  }
  std::vector<Symbol> alphabet(different);
  for (Symbol& symbol : alphabet) {
    symbol = reader.take<Symbol>();
  }
  std::vector<std::uint32_t> frequency(different), start(different);
  std::vector<std::uint16_t> which(kWhole);
  std::uint32_t sum = 0;
  for (std::uint32_t i = 0; i < different; ++i) {
    frequency[i] = reader.take<std::uint16_t>();
    start[i] = sum;
    if (frequency[i] == 0 || frequency[i] > kWhole - sum) {
      throw Error("expected frequencies of symbols that add up, found others");
    }
    std::fill_n(which.begin() + sum, frequency[i], static_cast<std::uint16_t>(i));
    sum += frequency[i];
  }
  if (sum != kWhole) {
    throw Error("expected frequencies of symbols that add up, found others");
  }
  std::array<std::uint32_t, kLanes> states;
  for (std::uint32_t& state : states) {
    state = reader.take<std::uint32_t>();
    if (state < kLeast) {
      throw Error("expected the beginning of coded weights, found something else");
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t& state = states[i % kLanes];
    const std::uint32_t place = state % kWhole;
    const std::uint16_t found = which[place];
    symbols[i] = alphabet[found];
    state = frequency[found] * (state / kWhole) + place - start[found];
    if (state < kLeast) {
      state = (state << 16U) | reader.take<std::uint16_t>();
    }
  }
  // A code that was cut, grew or changed does not end where it began.
  if (!reader.empty() || std::any_of(states.begin(), states.end(),
                                     [](std::uint32_t state) { return state != kLeast; })) {
    throw Error("expected coded weights that end where they began, found others");
  }
}

}  // namespace

std::vector<std::uint8_t> encode(const std::uint8_t* symbols, std::size_t count) {
  return coded(symbols, count);
}

std::vector<std::uint8_t> encode(const std::uint16_t* symbols, std::size_t count) {
  return coded(symbols, count);
}

void decode(const std::uint8_t* code, std::size_t size, std::uint8_t* symbols, std::size_t count) {
  decoded(code, size, symbols, count);
}

void decode(const std::uint8_t* code, std::size_t size, std::uint16_t* symbols, std::size_t count) {
  decoded(code, size, symbols, count);
}

}  // namespace sangbo::compress
