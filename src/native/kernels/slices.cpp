// Histograms by bit slices (AVX-512 BW, VBMI2, VPOPCNTDQ): one bit of 512 magnitudes fills a
// register, so an AND of slices and a count of ones tell how often a magnitude occurs among all of
// them.
#include "kernels.hpp"

#if defined(SANGBO_INTRINSICS)  // tests may emulate them
#include SANGBO_INTRINSICS
#else
#include <immintrin.h>
#endif

namespace sangbo {
namespace {

constexpr std::size_t kSlice = 512;  // magnitudes whose bits fill a register
constexpr std::size_t kMostSlices = kMostCounted / kSlice;
constexpr int kLowBits = 3;

// Of magnitudes below 2^Bits, which are counted so.
template <int Bits>
using Slices = __m512i[Bits][kMostSlices];

// Bits of 64 magnitudes become the words at `word` of their slices.
template <int Bits>
void slice(__m512i bytes, Slices<Bits>& slices, std::size_t word) {
  for (int bit = 0; bit < Bits; ++bit) {
    const std::uint64_t ones =
        _mm512_test_epi8_mask(bytes, _mm512_set1_epi8(static_cast<char>(1 << bit)));
    __builtin_memcpy(reinterpret_cast<char*>(slices[bit]) + word * sizeof ones, &ones, sizeof ones);
  }
}

__m512i halves(__m512i a, __m512i b) {
  return _mm512_add_epi64(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}
__m512i quarters(__m512i a, __m512i b) {
  return _mm512_add_epi64(_mm512_shuffle_i64x2(a, b, 0x88), _mm512_shuffle_i64x2(a, b, 0xdd));
}

// The sum of each register's lanes, in the order of the registers.
__m512i sums(const __m512i (&of)[8]) {
  return quarters(quarters(halves(of[0], of[1]), halves(of[2], of[3])),
                  quarters(halves(of[4], of[5]), halves(of[6], of[7])));
}

template <int kTable>
void add_ones(__m512i& to, __m512i group, __m512i second, __m512i first) {
  to = _mm512_add_epi64(
      to, _mm512_popcnt_epi64(_mm512_ternarylogic_epi64(group, second, first, kTable)));
}

// Adds how often each of the eight magnitudes occurs whose upper bits are those of `upper`.
template <int Bits>
void count_eight(const Slices<Bits>& slices, std::size_t used, std::size_t upper,
                 std::uint64_t* counts) {
  const __m512i none = _mm512_setzero_si512();
  constexpr std::size_t kUpperBits = Bits - kLowBits;
  __m512i zero[kUpperBits];  // all ones where that upper bit is to be 0
  for (std::size_t bit = 0; bit < kUpperBits; ++bit) {
    zero[bit] = _mm512_set1_epi64((upper >> bit & 1U) != 0 ? 0 : -1);
  }
  __m512i groups[kMostSlices];
  __m512i any = none;
  for (std::size_t s = 0; s < used; ++s) {
    __m512i group = _mm512_xor_si512(slices[kLowBits][s], zero[0]);
    for (std::size_t bit = 1; bit < kUpperBits; ++bit) {  // group & (slice ^ zero)
      group = _mm512_ternarylogic_epi64(group, slices[kLowBits + bit][s], zero[bit], 0x60);
    }
    groups[s] = group;
    any = _mm512_or_si512(any, group);
  }
  if (_mm512_test_epi64_mask(any, any) == 0) {
    return;
  }
  __m512i found[8] = {none, none, none, none, none, none, none, none};
  for (std::size_t s = 0; s < used; ++s) {
    const __m512i first = slices[0][s];
    const __m512i second = slices[1][s];
    const __m512i without = _mm512_andnot_si512(slices[2][s], groups[s]);
    const __m512i with = _mm512_and_si512(slices[2][s], groups[s]);
    add_ones<0x10>(found[0], without, second, first);
    add_ones<0x20>(found[1], without, second, first);
    add_ones<0x40>(found[2], without, second, first);
    add_ones<0x80>(found[3], without, second, first);
    add_ones<0x10>(found[4], with, second, first);
    add_ones<0x20>(found[5], with, second, first);
    add_ones<0x40>(found[6], with, second, first);
    add_ones<0x80>(found[7], with, second, first);
  }
  _mm512_storeu_si512(counts, _mm512_add_epi64(_mm512_loadu_si512(counts), sums(found)));
}

// Magnitudes below 2^Bits are counted in slices, the others one by one.
template <int Bits>
std::size_t histogram(const std::uint16_t* from, std::size_t count, std::uint64_t* counts,
                      std::uint16_t* above) {
  constexpr std::size_t kWord = 64;
  const std::size_t words = (count + kWord - 1) / kWord;
  const std::size_t used = (count + kSlice - 1) / kSlice;
  Slices<Bits> slices;
  for (auto& bit : slices) {
    bit[used - 1] = _mm512_setzero_si512();
  }
  std::uint16_t larger[kMostCounted + 32];
  std::size_t found = 0;
  std::uint32_t most = 0;
  __m512i seen = _mm512_setzero_si512();
  const __m512i bound = _mm512_set1_epi16((1 << Bits) - 1);
  const auto low = [&](const std::uint16_t* next, std::size_t size) {
    const auto some = static_cast<__mmask32>(size >= 32 ? ~0U : (1U << size) - 1U);
    const __m512i v = _mm512_maskz_loadu_epi16(some, next);
    const __mmask32 over = _mm512_cmpgt_epu16_mask(v, bound);
    _mm512_storeu_si512(larger + found, _mm512_maskz_compress_epi16(over, v));
    found += static_cast<std::size_t>(__builtin_popcount(over));
    const __m512i kept = _mm512_maskz_mov_epi16(~over, v);
    seen = _mm512_or_si512(seen, kept);
    return kept;
  };
  for (std::size_t word = 0; word < words; ++word) {
    const std::size_t at = word * kWord;
    const std::size_t left = count - at;
    const __m512i first = low(from + at, left);
    const __m512i second = left > 32 ? low(from + at + 32, left - 32) : _mm512_setzero_si512();
    slice<Bits>(_mm512_packus_epi16(first, second), slices, word);  // in any order
  }
  std::uint16_t bits[32];
  _mm512_storeu_si512(bits, seen);
  for (const std::uint16_t lane : bits) {
    most |= lane;
  }
  for (std::size_t upper = 0; upper <= most >> kLowBits; ++upper) {
    count_eight<Bits>(slices, used, upper, counts + (upper << kLowBits));
  }
  counts[0] -= used * kSlice - (count - found);  // what fills up, and the larger ones
  std::size_t listed = 0;
  for (std::size_t i = 0; i < found; ++i) {
    if (larger[i] < kTabled) {
      ++counts[larger[i]];
    } else {
      above[listed++] = larger[i];
    }
  }
  return listed;
}

// How many of `count` magnitudes, a multiple of 32, are `bound` or more.
std::size_t above_bound(const std::uint16_t* from, std::size_t count, std::int16_t bound) {
  const __m512i most = _mm512_set1_epi16(static_cast<std::int16_t>(bound - 1));
  std::size_t found = 0;
  for (std::size_t i = 0; i < count; i += 32) {
    found += static_cast<std::size_t>(
        __builtin_popcount(_mm512_cmpgt_epu16_mask(_mm512_loadu_si512(from + i), most)));
  }
  return found;
}

}  // namespace

// Each further bit doubles the work on slices, and spares magnitudes that are counted one by one:
// the first of them tell what is worth it.
std::size_t slice_histogram(const std::uint16_t* from, std::size_t count, std::uint64_t* counts,
                            std::uint16_t* above) {
  const std::size_t looked = (count < kSlice ? count : kSlice) / 32 * 32;
  const std::size_t large = above_bound(from, looked, 128);
  const std::size_t medium = above_bound(from, looked, 64) - large;
  if (8 * medium > looked) {
    return histogram<7>(from, count, counts, above);
  }
  const std::size_t small = above_bound(from, looked, 32) - large - medium;
  return 16 * (small + medium) > looked ? histogram<6>(from, count, counts, above)
                                        : histogram<5>(from, count, counts, above);
}

}  // namespace sangbo
