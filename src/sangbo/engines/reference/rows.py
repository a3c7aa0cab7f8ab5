"""Operations that compute each row, or each element, for itself."""

from __future__ import annotations

import numpy as np

from sangbo.engines import numerics
from sangbo.engines.base import Array
from sangbo.engines.reference.state import State, evaluate
from sangbo.engines.reference.weights import dequantise
from sangbo.errors import EngineError
from sangbo.graph import (
    Activation,
    Add,
    Affine,
    Embedding,
    Multiply,
    Neuron,
    Norm,
    Rotary,
    Select,
    Softmax,
)

_ACTIVATIONS = {
    "silu": numerics.silu,
    "gelu": numerics.gelu,
    "gelu_tanh": numerics.gelu_tanh,
    "quick_gelu": numerics.quick_gelu,
    "relu": numerics.relu,
    "relu6": numerics.relu6,
    "hardswish": numerics.hardswish,
    "sigmoid": numerics.sigmoid,
    "tanh": numerics.tanh,
    "sqrt": numerics.square_root,
}


@evaluate.register
def _(operation: Embedding, state: State) -> Array:
    return dequantise(operation.weight, state.graph, rows=state.values[operation.input])


@evaluate.register
def _(operation: Select, state: State) -> Array:
    source, rows = state.values[operation.input], state.values[operation.rows]
    if rows.size and not 0 <= rows.min() <= rows.max() < len(source):
        raise EngineError(
            f"expected {operation.rows!r} within 0…{len(source) - 1}, "
            f"found {rows.min()}…{rows.max()}"
        )
    selected: Array = source[rows]
    return selected


@evaluate.register
def _(operation: Neuron, state: State) -> Array:
    x = state.values[operation.input]
    numerics.check_finite(x, operation.output)
    inverse = state.tensor(operation.inverse)
    levels = numerics.encode(x, inverse, operation.lowest, operation.highest)
    if state.ledger is not None:
        state.ledger.neuron(operation.output).add(levels)
    return levels


@evaluate.register
def _(operation: Norm, state: State) -> Array:
    bias = None if operation.bias is None else state.tensor(operation.bias)
    weight = state.tensor(operation.weight)
    x = state.values[operation.input]
    return numerics.normalise(x, operation.form, weight, bias, operation.epsilon)


@evaluate.register
def _(operation: Activation, state: State) -> Array:
    x = state.values[operation.input]
    if operation.function == "leaky_relu":
        return numerics.leaky_relu(x, np.float32(operation.slope))
    return _ACTIVATIONS[operation.function](x)


@evaluate.register
def _(operation: Affine, state: State) -> Array:
    y = state.values[operation.input]
    if operation.weight is not None:
        y = y * state.tensor(operation.weight)
    return y if operation.bias is None else y + state.tensor(operation.bias)


@evaluate.register
def _(operation: Softmax, state: State) -> Array:
    return numerics.softmax(state.values[operation.input], operation.chosen)


@evaluate.register
def _(operation: Add, state: State) -> Array:
    total: Array = state.values[operation.left] + state.values[operation.right]
    return total


@evaluate.register
def _(operation: Multiply, state: State) -> Array:
    product: Array = state.values[operation.left] * state.values[operation.right]
    return product


@evaluate.register
def _(operation: Rotary, state: State) -> Array:
    x, positions = state.values[operation.input], state.values[operation.positions]
    cosine, sine = state.tensor(operation.cosine), state.tensor(operation.sine)
    if positions.size and not 0 <= positions.min() <= positions.max() < len(cosine):
        raise EngineError(
            f"expected positions within 0…{len(cosine) - 1}, "
            f"found {positions.min()}…{positions.max()}"
        )
    cos, sin = cosine[positions][:, None, :], sine[positions][:, None, :]
    size = x.shape[-1] // operation.heads
    first, second = np.split(x.reshape(len(x), operation.heads, size), 2, axis=-1)
    turned = np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return turned.reshape(x.shape)
