#include "search.hpp"

namespace sangbo::compress::avx2 {

#include "search.inl"

}  // namespace sangbo::compress::avx2
