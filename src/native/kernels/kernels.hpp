// The functions that exist once per instruction set, and the plain structs they take.
//
// The files that implement them are compiled with their own machine flags, so nothing here may be
// an inline function that the linker could pick for the whole library.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sangbo {

// Outputs that are packed together: the weights of 4 consecutive inputs of 16 outputs lie side by
// side, 64 bytes for 8-bit weights, and 8 inputs in 64 bytes for 4-bit weights.
inline constexpr std::size_t kPanel = 16;

// Magnitudes below this have a place in a table of counts.
inline constexpr std::size_t kTabled = 4096;
// Most magnitudes that are counted in one call.
inline constexpr std::size_t kMostCounted = 8192;

// Bits of low digits that take two bytes: they hold almost any level whole. How the bytes lie is
// the kernels' own business: as 16-bit numbers, or as a row of low bytes, behind it one of high
// bytes, and behind that a bit for each four of these that are not all zero.
inline constexpr int kWide = 16;

// Levels up to this, positive or negative, are two digits of 8 bits.
inline constexpr std::int32_t kTwoDigits = 0x7f7f;

// Bytes that low digits of so many levels (a multiple of 8) take at most.
constexpr std::size_t low_bytes(std::size_t count) { return 2 * count + (count + 255) / 256 * 8; }

// What low digits cost: kernels that sum products in 16 bits sum more of narrow digits, and levels
// that the low digits cannot hold need further ones. The choice never changes a result.
struct DigitCosts {
  struct Choice {
    int bits;      // of the low digits
    double plain;  // time for each four of inputs, in any unit
  };
  std::size_t count;
  Choice choices[4];
  double extra;  // time for each further digit of a four
};

// A further digit of 4 consecutive levels: they are worth digits[i] << shift more than their low
// digits say. `place` is the number of the four among the row's inputs.
struct Extra {
  std::uint32_t place : 24;
  std::uint32_t shift : 8;
  std::int8_t digits[4];
};

// Rows of levels as linear operations read them: n = low + Σ digit << shift.
struct LevelRows {
  const std::int8_t* low;  // aligned to 8
  std::size_t low_stride;  // bytes
  const Extra* extras;
  std::size_t extras_stride;
  const std::uint32_t* extra_counts;
  const std::int32_t* sums;  // Σ n of each group of inputs
  std::size_t sums_stride;
  int low_bits;  // one of the kernels' DigitCosts
};

// One linear operation on levels; see docs/exactness.md for the order of its float operations.
struct LinearTask {
  LevelRows levels;
  const std::uint8_t* values;
  int bits;            // 8 or 4
  std::size_t groups;  // groups of inputs, each with its own scale
  std::size_t quads;   // fours of inputs in a group
  const void* scales;  // [panel][group][16], half or float
  const void* minima;  // the same, or null
  bool half;
  const float* bias;  // [panel][16], or null
  float threshold;
  float* out;
  std::size_t out_stride;
};

// Channels that may be read at a time.
inline constexpr std::size_t kDepthwiseBlock = 32;

// A depthwise convolution of one output position: each channel is summed over its own taps, whose
// levels have 16 bits and may be read up to a multiple of kDepthwiseBlock.
struct DepthwiseTask {
  const std::int16_t* const* levels;  // of each tap, those of a pair one behind the other
  const std::int16_t* weights;        // [pair][width][2]
  std::size_t groups;                 // groups of taps, each with its own scale
  std::size_t pairs;                  // of taps of a group
  std::size_t channels;
  std::size_t width;    // channels up to a multiple of kDepthwiseBlock
  const float* scales;  // [group][width]
  const float* minima;  // the same, or null
  const float* bias;    // [width], or null
  float threshold;
};

enum class Function : std::uint8_t {
  kSilu,
  kGelu,
  kGeluTanh,
  kQuickGelu,
  kRelu,
  kRelu6,
  kLeakyRelu,
  kHardswish,
  kSigmoid,
  kTanh,
  kSqrt,
};

enum class Cell : std::uint8_t { kLstm, kGru, kSsru };

// Up to 4 query rows of one key head against its cached keys and values.
struct AttendTask {
  int rows;
  int element;             // bytes of a cached level: 1, 2 or 4
  bool wide;               // queries and probabilities are int32, else int16
  const void* queries[4];  // padded with a zero to an even size
  std::size_t visible[4];
  std::size_t size;           // channels of a head
  const void* keys;           // [positions / 16][size / 2][16][2]
  const void* values;         // [size / 16][positions / 2][16][2]
  std::size_t values_stride;  // elements from one panel of values to the next
  float scale;                // of a score
  const float* biases[4];     // what is added to the scores of each key, or null
  float inverse;              // of the probabilities' threshold
  std::int32_t highest;       // probability level
  float threshold;            // of the values
  std::int32_t* scores;       // scratch, 4 rows
  void* probabilities;        // 4 rows of int16 or int32
  std::size_t stride;         // of both, a multiple of 16
  std::int64_t sums[4];       // out: Σ p
  float* out[4];
};

// Reals between synaptic operations, in rows padded to a multiple of 16 (`padded`); see
// docs/exactness.md for the order of their operations.
struct RowKernels {
  void (*rms)(const float* x, const float* weight, std::size_t count, float epsilon, float* y);
  void (*layer)(const float* x, const float* weight, const float* bias, std::size_t count,
                float epsilon, float* y);
  void (*activate)(Function function, float slope, const float* x, std::size_t padded, float* y);
  // Keeps the `chosen` largest where that is not 0.
  void (*softmax)(const float* x, std::size_t count, std::size_t chosen, float* y);
  void (*add)(const float* a, const float* b, std::size_t padded, float* y);
  void (*multiply)(const float* a, const float* b, std::size_t padded, float* y);
  void (*scale)(const float* a, float b, std::size_t padded, float* y);   // a·b
  void (*divide)(const float* a, float b, std::size_t padded, float* y);  // a / b
  void (*larger)(const float* a, const float* b, std::size_t padded, float* y);
  void (*rotate)(const float* x, const float* cosine, const float* sine, std::size_t heads,
                 std::size_t half, float* y);
  // One step of a recurrent cell of `size` channels. x holds the row's own gates, u the state's
  // share W·h + b (null for ssru), side by side; `state` is h, then c where the cell has one, each
  // padded, before and after.
  void (*cell)(Cell cell, const float* x, const float* u, std::size_t size, float* state, float* y);
};

struct Kernels {
  const char* name;
  const DigitCosts& (*digits)(std::size_t quads);  // for groups of so many fours of inputs
  int weight_offset;  // what packing adds to an 8-bit weight: 128 for unsigned bytes, else 0
  bool planes;        // whether levels of two bytes lie as two planes of bytes

  // Fills out[rows][panels·16].
  void (*linear)(const LinearTask&, std::size_t first_panel, std::size_t last_panel,
                 std::size_t first_row, std::size_t last_row);
  void (*attend)(AttendTask&);
  // Fills `out`; nobody says what pads up to a multiple of 16 hold afterwards.
  void (*depthwise)(const DepthwiseTask&, float* out);

  // Levels of `count` reals (padded to 16, pads become 0); `inverse` has `count` values padded
  // alike, or one where `gains` is false. Returns false where a real is NaN or infinite.
  bool (*settle)(const float* x, const float* inverse, bool gains, std::int32_t lowest,
                 std::int32_t highest, std::size_t count, std::int32_t* levels);
  // Splits `count` levels (a multiple of 8) into low digits, one or two bytes each, and extras;
  // returns how many extras.
  std::size_t (*split)(const std::int32_t* levels, std::size_t count, int low_bits,
                       std::int8_t* low, Extra* extras);
  // Σ n of each group of `group` levels; returns Σ |n| of all.
  std::int64_t (*total)(const std::int32_t* levels, std::size_t groups, std::size_t group,
                        std::int32_t* sums);

  // Both at once for levels up to kTwoDigits, whose low digits are kWide and which need no further
  // ones. The groups are multiples of 8.
  std::int64_t (*split_short)(const std::int16_t* levels, std::size_t groups, std::size_t group,
                              std::int8_t* low, std::int32_t* sums);
  // Levels in 16 bits; returns whether all are up to kTwoDigits.
  bool (*narrow)(const std::int32_t* levels, std::size_t count, std::int16_t* to);

  // Magnitudes of levels, cut to 16 bits; returns the bits of all of them, uncut.
  std::uint32_t (*magnitudes)(const std::int32_t* levels, std::size_t count, std::uint16_t* to);
  std::uint32_t (*short_magnitudes)(const std::int16_t* levels, std::size_t count,
                                    std::uint16_t* to);

  // Adds how often each of `count` magnitudes (1 to kMostCounted) occurs to `counts`, which has a
  // place for each below kTabled and at least 256; lists the others in `above`; returns how many.
  std::size_t (*histogram)(const std::uint16_t* from, std::size_t count, std::uint64_t* counts,
                           std::uint16_t* above);

  RowKernels reals;
};

// The float32 that a float16 stands for.
float widen_half(std::uint16_t half);

extern const Kernels kPortable;
#if defined(SANGBO_X86)
extern const Kernels kAvx2;
extern const Kernels kAvxVnni;
extern const Kernels kAvx512Vnni;
extern const Kernels kAmx;
// A histogram for machines with AVX-512 BW, VBMI2 and VPOPCNTDQ.
std::size_t slice_histogram(const std::uint16_t* from, std::size_t count, std::uint64_t* counts,
                            std::uint16_t* above);
#endif
#if defined(SANGBO_NEON)
extern const Kernels kNeonDotprod;
#endif

}  // namespace sangbo
