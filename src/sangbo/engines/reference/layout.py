"""Operations that only move elements."""

from __future__ import annotations

import numpy as np

from sangbo.engines.base import Array
from sangbo.engines.reference.state import State, evaluate
from sangbo.graph import Concatenate, Constant, Reshape, Take, Transpose


@evaluate.register
def _(operation: Reshape, state: State) -> Array:
    x = state.values[operation.input]
    return x.reshape(len(x), *operation.shape)


@evaluate.register
def _(operation: Transpose, state: State) -> Array:
    x = state.values[operation.input]
    return np.ascontiguousarray(x.transpose(0, *operation.axes))


@evaluate.register
def _(operation: Take, state: State) -> Array:
    taken: Array = np.take(state.values[operation.input], operation.places, axis=operation.axis)
    return taken


@evaluate.register
def _(operation: Concatenate, state: State) -> Array:
    parts = [state.values[n] for n in operation.values]
    joined: Array = np.concatenate(parts, axis=operation.axis)
    return joined


@evaluate.register
def _(operation: Constant, state: State) -> Array:
    tensor = state.tensor(operation.tensor)
    return np.tile(tensor, (len(state.values[operation.like]), *(1,) * tensor.ndim))
