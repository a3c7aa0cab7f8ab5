// One step of recurrent cells, in the order of docs/exactness.md. Gates of a size that is no
// multiple of 16 lie at odd places, so the last lanes may read beyond their gate: every row has
// room for that, and what comes of it is overwritten or never read.

void lstm_cell(const float* x, const float* u, std::size_t size, float* state, float* y) {
  float* cell = state + (size + 15) / 16 * 16;
  for (std::size_t i = 0; i < size; i += kLanes) {
    const auto gate = [&](std::size_t g) {
      return load(x + g * size + i) + load(u + g * size + i);
    };
    const Floats kept = sigmoid_of(gate(1)) * load(cell + i);
    const Floats c = kept + sigmoid_of(gate(0)) * tanh_of(gate(2));
    const Floats h = sigmoid_of(gate(3)) * tanh_of(c);
    store(cell + i, c);
    store(state + i, h);
    store(y + i, h);
  }
}

void gru_cell(const float* x, const float* u, std::size_t size, float* state, float* y) {
  for (std::size_t i = 0; i < size; i += kLanes) {
    const auto own = [&](std::size_t g) { return load(x + g * size + i); };
    const auto share = [&](std::size_t g) { return load(u + g * size + i); };
    const Floats z = sigmoid_of(own(1) + share(1));
    const Floats n = tanh_of(own(2) + sigmoid_of(own(0) + share(0)) * share(2));
    const Floats h = (all(1.0F) - z) * n + z * load(state + i);
    store(state + i, h);
    store(y + i, h);
  }
}

void ssru_cell(const float* x, std::size_t size, float* state, float* y) {
  for (std::size_t i = 0; i < size; i += kLanes) {
    const Floats kept = sigmoid_of(load(x + i));
    const Floats c = kept * load(state + i) + (all(1.0F) - kept) * load(x + size + i);
    store(state + i, c);
    store(y + i, relu_of(c));
  }
}

void step_cell(Cell kind, const float* x, const float* u, std::size_t size, float* state,
               float* y) {
  switch (kind) {
    case Cell::kLstm: return lstm_cell(x, u, size, state, y);
    case Cell::kGru: return gru_cell(x, u, size, state, y);
    default: return ssru_cell(x, size, state, y);
  }
}
