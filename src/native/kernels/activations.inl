// Functions of each element, and the softmax of a row, in the order of docs/exactness.md.

inline Floats absolute(Floats x) { return x < all(0.0F) ? -x : x; }
inline Floats sigmoid_of(Floats x) { return all(1.0F) / (all(1.0F) + exponential(-x)); }
inline Floats tanh_of(Floats x) {
  return all(2.0F) / (all(1.0F) + exponential(-(x * all(2.0F)))) - all(1.0F);
}
inline Floats relu_of(Floats x) { return x < all(0.0F) ? all(0.0F) : x; }
inline Floats relu6_of(Floats x) { return x > all(6.0F) ? all(6.0F) : relu_of(x); }

inline Floats gelu_of(Floats x) {
  const Floats z = absolute(x) * all(0.70710678F);
  const Floats t = all(1.0F) / (all(1.0F) + all(0.3275911F) * z);
  Floats p = all(1.061405429F);
  p = p * t + all(-1.453152027F);
  p = p * t + all(1.421413741F);
  p = p * t + all(-0.284496736F);
  p = p * t + all(0.254829592F);
  const Floats tail = ((p * t) * exponential(-(z * z))) * all(0.5F);
  return x * (x < all(0.0F) ? tail : all(1.0F) - tail);
}

inline Floats gelu_tanh_of(Floats x) {
  const Floats cubic = ((x * x) * x) * all(0.044715F);
  const Floats u = (x + cubic) * all(1.5957691216F);
  return x / (all(1.0F) + exponential(-u));
}

inline Floats square_root_of(Floats x) {
  Floats y = relu_of(x);
  for (std::size_t i = 0; i < kLanes; ++i) {
    y[i] = __builtin_sqrtf(y[i]);
  }
  return y;
}

template <class Apply>
inline void apply_each(const float* x, std::size_t padded, float* y, Apply apply) {
  for (std::size_t i = 0; i < padded; i += kLanes) {
    store(y + i, apply(load(x + i)));
  }
}

void activate(Function function, float slope, const float* x, std::size_t padded, float* y) {
  switch (function) {
    case Function::kSilu:
      return apply_each(x, padded, y, [](Floats v) { return v / (all(1.0F) + exponential(-v)); });
    case Function::kGelu: return apply_each(x, padded, y, [](Floats v) { return gelu_of(v); });
    case Function::kGeluTanh:
      return apply_each(x, padded, y, [](Floats v) { return gelu_tanh_of(v); });
    case Function::kQuickGelu:
      return apply_each(x, padded, y,
                        [](Floats v) { return v / (all(1.0F) + exponential(-(v * all(1.702F)))); });
    case Function::kRelu: return apply_each(x, padded, y, [](Floats v) { return relu_of(v); });
    case Function::kRelu6: return apply_each(x, padded, y, [](Floats v) { return relu6_of(v); });
    case Function::kLeakyRelu:
      return apply_each(x, padded, y, [slope](Floats v) {
        return v < all(0.0F) ? (slope == 0.0F ? all(0.0F) : v * all(slope)) : v;
      });
    case Function::kHardswish:
      return apply_each(x, padded, y,
                        [](Floats v) { return (v * relu6_of(v + all(3.0F))) / all(6.0F); });
    case Function::kSigmoid:
      return apply_each(x, padded, y, [](Floats v) { return sigmoid_of(v); });
    case Function::kTanh: return apply_each(x, padded, y, [](Floats v) { return tanh_of(v); });
    default: return apply_each(x, padded, y, [](Floats v) { return square_root_of(v); });
  }
}

// Keeps the `chosen` largest of y, of equal ones the first, and makes all others 0.
inline void keep_largest(std::size_t count, std::size_t chosen, float* y) {
  float bound = __builtin_inff();  // everything above it is kept
  std::size_t kept = 0;
  std::size_t at_bound = 0;
  while (kept < chosen) {
    float next = -1.0F;
    for (std::size_t i = 0; i < count; ++i) {
      next = y[i] < bound && y[i] > next ? y[i] : next;
    }
    at_bound = 0;
    for (std::size_t i = 0; i < count; ++i) {
      at_bound += y[i] == next ? 1U : 0U;
    }
    at_bound = chosen - kept < at_bound ? chosen - kept : at_bound;
    kept += at_bound;
    bound = next;
    if (next < 0.0F) {
      return;
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (y[i] == bound && at_bound > 0) {
      --at_bound;
    } else if (!(y[i] > bound)) {
      y[i] = 0.0F;
    }
  }
}

void softmax(const float* x, std::size_t count, std::size_t chosen, float* y) {
  float largest = -__builtin_inff();
  for (std::size_t i = 0; i < count; ++i) {
    largest = x[i] > largest ? x[i] : largest;
  }
  for (std::size_t i = 0; i < count; i += kLanes) {
    store(y + i, exponential(load(x + i) - all(largest)));
  }
  divide(y, sum(y, count), (count + 15) / 16 * 16, y);
  if (chosen != 0) {
    keep_largest(count, chosen, y);
    divide(y, sum(y, count), (count + 15) / 16 * 16, y);
  }
}
