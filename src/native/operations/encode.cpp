#include "encode.hpp"

#include <algorithm>

namespace sangbo {

std::int64_t encode(const Kernels& kernels, const Layout& layout, int low_bits,
                    const Sampler& sampler, const std::int32_t* levels, std::int32_t* spread,
                    const EncodedRow& to) {
  const std::int64_t magnitude = kernels.total(levels, layout.groups, layout.group, to.sums);
  const std::size_t group = padded_group(layout.group);
  const std::int32_t* source = levels;  // rows end in zeros, up to a multiple of 16
  if (group != layout.group && layout.groups > 1) {
    for (std::size_t g = 0; g < layout.groups; ++g) {
      std::copy_n(levels + g * layout.group, layout.group, spread + g * group);
      std::fill_n(spread + g * group + layout.group, group - layout.group, 0);
    }
    source = spread;
  }
  if (sampler.digits != nullptr) {
    sampler.digits->sample(sampler.thread, source, layout.padded());
  }
  const std::size_t extras = kernels.split(source, layout.padded(), low_bits, to.low, to.extras);
  *to.extra_count = static_cast<std::uint32_t>(extras);
  return magnitude;
}

}  // namespace sangbo
