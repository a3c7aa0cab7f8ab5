// Lossless coding of symbols that are not all alike: asymmetric numeral systems (rANS, Duda 2013,
// arXiv 1311.2540) with one static table, in 8 lanes that are decoded side by side.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sangbo::compress {

// The code of `count` symbols, each of 8 or 16 bits: its table, then its lanes. Empty where there
// are too many different symbols for a table.
std::vector<std::uint8_t> encode(const std::uint8_t* symbols, std::size_t count);
std::vector<std::uint8_t> encode(const std::uint16_t* symbols, std::size_t count);

// The symbols again. Throws Error where `code` is not the whole code of so many symbols.
void decode(const std::uint8_t* code, std::size_t size, std::uint8_t* symbols, std::size_t count);
void decode(const std::uint8_t* code, std::size_t size, std::uint16_t* symbols, std::size_t count);

}  // namespace sangbo::compress
