#include "search.hpp"

namespace sangbo::compress::portable {

#include "search.inl"

}  // namespace sangbo::compress::portable
