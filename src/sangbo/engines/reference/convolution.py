"""Convolutions and pools."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from sangbo.engines.base import Array, Real
from sangbo.engines.counting import count_convolution
from sangbo.engines.reference.state import State, evaluate
from sangbo.engines.reference.weights import accumulate
from sangbo.graph import Convolution, Pool, Window

_BLOCK = 2**22
"""Most elements of the columns that are computed at once."""


@evaluate.register
def _(operation: Convolution, state: State) -> Array:
    x, weight = state.values[operation.input], operation.weight
    kind = state.graph.values[operation.output]
    y = np.empty((len(x), *kind.inner()), np.float32)
    sliding = operation.windows(state.graph.values[operation.input])
    seen, theta = sources(sliding), np.float32(state.threshold(operation.input) or 0)
    for samples in blocks(x, sliding):
        parted = parts(columns(x[samples], seen), operation.groups)
        if weight.bits == 32:
            own = state.tensor(weight.values).reshape(operation.groups, -1, parted.shape[-1])
            found: Real = (parted @ own.transpose(0, 2, 1)).transpose(1, 0, 2)
        else:
            found = accumulate(parted, weight, state.graph, state.product) * theta
        y[samples] = found.reshape(y[samples].shape)
    if state.ledger is not None and weight.bits < 32:
        count_convolution(operation, x, state.graph, state.ledger)
    return y if operation.bias is None else y + state.tensor(operation.bias)


def sources(sliding: tuple[Window, ...]) -> Array:
    """Which position each tap of each output sees, −1 for a zero. → (outputs, taps).

    Positions, outputs and taps of several axes are numbered as NumPy flattens them.
    """
    found, size = np.zeros((1, 1), np.int64), 1
    for window in sliding:
        seen = np.array(
            [
                [-1 if (p := window.source(o, t)) is None else p for t in range(window.kernel)]
                for o in range(window.outputs)
            ],
            np.int64,
        )
        joined = found[:, None, :, None] * window.size + seen[None, :, None, :]
        outside = (found < 0)[:, None, :, None] | (seen < 0)[None, :, None, :]
        found = np.where(outside, -1, joined).reshape(
            len(found) * window.outputs, found.shape[1] * window.kernel
        )
        size *= window.size
    return found


def columns(x: Array, seen: Array) -> Array:
    """What outputs see, 0 where they see nothing. (samples, *space, C) → (samples, P, taps, C).

    ``seen`` (P, taps) are the `sources` of all or some of them.
    """
    flat = x.reshape(len(x), math.prod(x.shape[1:-1]), x.shape[-1])
    found: Array = flat[:, np.maximum(seen, 0)]
    found[:, seen < 0] = 0
    return found


def parts(seen: Array, groups: int) -> Array:
    """Columns by groups of channels. (samples, P, taps, C) → (groups, samples·P, taps·C/groups)."""
    samples, outputs, taps, channels = seen.shape
    apart = seen.reshape(samples * outputs, taps, groups, channels // groups)
    return apart.transpose(2, 0, 1, 3).reshape(
        groups, samples * outputs, taps * (channels // groups)
    )


def blocks(x: Array, sliding: tuple[Window, ...]) -> Iterator[slice]:
    """Some samples at a time, so that their columns stay small."""
    each = math.prod(w.outputs * w.kernel for w in sliding) * x.shape[-1]
    step = max(1, _BLOCK // each)
    for start in range(0, len(x), step):
        yield slice(start, start + step)


@evaluate.register
def _(operation: Pool, state: State) -> Array:
    x = state.values[operation.input]
    kind = state.graph.values[operation.output]
    sliding = operation.windows(state.graph.values[operation.input])
    seen = sources(sliding)
    flat = x.reshape(len(x), math.prod(w.size for w in sliding), x.shape[-1])
    largest = operation.form == "max"
    start = -np.inf if largest else 0
    y = np.full((len(x), len(seen), x.shape[-1]), start, np.float32)
    for tap in range(seen.shape[1]):
        inside = seen[:, tap] >= 0
        found = flat[:, seen[inside, tap]]
        y[:, inside] = np.maximum(y[:, inside], found) if largest else y[:, inside] + found
    if not largest:
        taps = seen.shape[1] if operation.outside else (seen >= 0).sum(axis=1)
        y = y / np.asarray(taps, np.float32).reshape(-1, 1)
    return y.reshape(len(x), *kind.inner())
