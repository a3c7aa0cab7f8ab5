// The table of what works on rows of reals.

constexpr RowKernels kRowKernels = {
    rms, layer, activate, softmax, add, multiply, scale, divide, larger, rotate, step_cell,
};
