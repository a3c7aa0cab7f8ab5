#pragma once

#include <stdexcept>

namespace sangbo {

// What Python sees as sangbo.errors.EngineError.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The caller was interrupted (Ctrl-C); what Python raised is still set.
struct Interrupted : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace sangbo
