"""Linear operations, on reals and on levels."""

from __future__ import annotations

import numpy as np

from sangbo.engines.base import Array
from sangbo.engines.counting import count_linear
from sangbo.engines.reference.state import State, evaluate
from sangbo.engines.reference.weights import accumulate
from sangbo.graph import Linear


@evaluate.register
def _(operation: Linear, state: State) -> Array:
    x, weight = state.values[operation.input], operation.weight
    flat = x.reshape(-1, x.shape[-1])
    computed = open_rows(operation, state)
    if computed is not None:
        flat = flat[computed]
    if weight.bits == 32:
        y: Array = flat @ state.tensor(weight.values).T
    else:
        theta = np.float32(state.threshold(operation.input) or 0)
        y = accumulate(flat, weight, state.graph, state.product) * theta
        if state.ledger is not None:
            count_linear(operation, flat, state.graph, state.ledger)
    return finish(operation, y, computed, state)


def open_rows(operation: Linear, state: State) -> Array | None:
    """Which rows, all axes but the last taken as one, are computed; None for all."""
    if operation.gate is None:
        return None
    computed: Array = state.values[operation.gate].reshape(-1) != 0
    return computed


def finish(operation: Linear, y: Array, computed: Array | None, state: State) -> Array:
    """The result from its ``computed`` rows without bias: y + b, and 0 for the rows left out."""
    if operation.bias is not None:
        y = y + state.tensor(operation.bias)
    if computed is not None:
        whole = np.zeros((len(computed), y.shape[1]), np.float32)
        whole[computed] = y
        y = whole
    return y.reshape(*state.values[operation.input].shape[:-1], y.shape[1])
