"""Recurrent cells, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from sangbo.engines import numerics
from sangbo.engines.base import Array, Levels, Real
from sangbo.engines.counting import count_recurrent
from sangbo.engines.numerics import ONE, sigmoid, tanh
from sangbo.engines.reference.cache import ReferenceCache
from sangbo.engines.reference.state import State, evaluate
from sangbo.engines.reference.weights import accumulate
from sangbo.engines.sequences import parts
from sangbo.errors import EngineError
from sangbo.graph import Recurrent

Share: TypeAlias = Callable[[Real], Real]
"""What the state before adds to the gates, W·h + b. (B, size) → (B, gates·size)."""


@evaluate.register
def _(operation: Recurrent, state: State) -> Array:
    sent: list[Levels] = []

    def share(hidden: Real) -> Real:
        weight = operation.weight
        if weight is None:
            return np.zeros_like(hidden)
        if operation.inverse is None:
            u: Real = hidden @ state.tensor(weight.values).T
        else:
            numerics.check_finite(hidden, f"{operation.output}.state")
            inverse = state.tensor(operation.inverse)
            levels = numerics.encode(hidden, inverse, operation.lowest, operation.highest)
            theta = np.float32(state.tensor(str(operation.threshold))[()])
            u = accumulate(levels, weight, state.graph, state.product) * theta
            sent.append(levels)
        return u if operation.bias is None else u + state.tensor(operation.bias)

    result = run_cells(operation, state, share)
    if state.ledger is not None and operation.inverse is not None:
        size = result.shape[-1]
        levels = np.concatenate([np.empty((0, size), np.int32), *sent])
        count_recurrent(operation, levels, state.graph, state.ledger)
    return result


def run_cells(operation: Recurrent, state: State, share: Share) -> Real:
    """All rows of all sequences, given what a state adds to the gates. → as the operation."""
    x = state.values[operation.input]
    size = state.graph.values[operation.output].channels
    result = np.empty((*x.shape[:-1], size), np.float32)
    for sequence in _sequences(operation, state, size):
        hidden, cell = sequence.hidden, sequence.cell
        given = x[sequence.rows]
        if given.ndim == 2:
            given = given[None]
        states = np.empty((2, *given.shape[:2], size), np.float32)
        order = range(given.shape[1])
        for row in reversed(order) if operation.reverse else order:
            hidden, cell = step(operation, given[:, row], hidden, cell, share)
            states[:, :, row] = hidden, cell
        shown = numerics.relu(states[0]) if operation.cell == "ssru" else states[0]
        result[sequence.rows] = shown if x.ndim == 3 else shown[0]
        sequence.keep(states[:, 0] if x.ndim == 2 else states)
    return result


def step(
    operation: Recurrent, x: Real, hidden: Real, cell: Real, share: Share
) -> tuple[Real, Real]:
    """One row of B sequences; see `sangbo.graph.Recurrent`. → the states h and c after it."""
    if operation.cell == "ssru":
        forget, new = np.split(x, 2, axis=-1)
        kept = sigmoid(forget)
        return kept * hidden + (ONE - kept) * new, cell
    u = share(hidden)
    if operation.cell == "lstm":
        i, f, g, o = np.split(x + u, 4, axis=-1)
        cell = sigmoid(f) * cell + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(cell), cell
    (x_r, x_z, x_n), (u_r, u_z, u_n) = np.split(x, 3, axis=-1), np.split(u, 3, axis=-1)
    z = sigmoid(x_z + u_z)
    n = tanh(x_n + sigmoid(x_r + u_r) * u_n)
    return (ONE - z) * n + z * hidden, cell


@dataclass(frozen=True, slots=True)
class _Sequence:
    """Rows that are run one after the other: of one sequence, or of all samples at once.

    Attributes:
        rows: of the input's first axis.
        hidden: (B, size) state h (c of ``ssru``) before the first of them.
        cell: (B, size) state c of ``lstm``.
        keep: is given the states (2, …) after each row.
    """

    rows: slice
    hidden: Real
    cell: Real
    keep: Callable[[Real], None]


def _sequences(operation: Recurrent, state: State, size: int) -> Iterator[_Sequence]:
    kind = state.graph.values[operation.input]
    axis = kind.shape[0]
    if len(kind.shape) == 3:
        zeros = np.zeros((state.sizes[axis], size), np.float32)
        yield _Sequence(slice(None), zeros, zeros, lambda _: None)
        return
    counts = parts(state.graph, axis, state.sizes[axis], state.segments)
    firsts = _initial(operation, state)
    name, start = operation.output, 0
    for segment, rows, first in zip(state.segments, counts, firsts, strict=True):
        cache = segment.cache
        if operation.reverse and cache.length_of(axis):
            raise EngineError(
                f"expected {name!r}, which runs backwards, to be given whole sequences, found one "
                f"with {cache.length_of(axis)} rows behind it"
            )
        if first is not None:
            cache.begin(f"{name}.hidden", axis, first)
            cache.begin(f"{name}.cell", axis, np.zeros_like(first))

        def keep(states: Real, cache: ReferenceCache = cache) -> None:
            for part, rows in zip(("hidden", "cell"), states, strict=True):
                cache.extend(f"{name}.{part}", axis, rows)

        hidden, cell = (cache.last(f"{name}.{part}", axis, size) for part in ("hidden", "cell"))
        yield _Sequence(slice(start, start + rows), hidden[None], cell[None], keep)
        start += rows


def _initial(operation: Recurrent, state: State) -> list[Array | None]:
    """The state that each segment's rows begin with, where it is given one."""
    if operation.initial is None:
        return [None] * len(state.segments)
    axis = state.graph.values[operation.initial].shape[0]
    counts = parts(state.graph, axis, state.sizes[axis], state.segments)
    ends = np.cumsum(counts)
    given = state.values[operation.initial]
    return [given[end - 1] if rows else None for rows, end in zip(counts, ends, strict=True)]
