"""Attention, on reals and on levels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from sangbo.engines import numerics
from sangbo.engines.base import Array, Levels, Real
from sangbo.engines.counting import count_attention
from sangbo.engines.reference.state import State, evaluate
from sangbo.engines.sequences import views
from sangbo.graph import Attention

_ROW_BLOCK = 256

S = TypeVar("S", bound=State)


@evaluate.register
def _(operation: Attention, state: State) -> Array:
    return attended(operation, state, _attend)


def attended(
    operation: Attention, state: S, attend: Callable[[Attention, Array, Block, S], Real]
) -> Array:
    """What ``attend`` makes of rows of queries (r, heads, size), block by block."""
    query = state.values[operation.query]
    heads, size = operation.heads, query.shape[-1] // operation.heads
    flat = query.reshape(-1, heads, size)
    result = np.empty(flat.shape, np.float32)
    for block in blocks(operation, state):
        result[block.rows] = attend(operation, flat[block.rows], block, state)
    return result.reshape(query.shape)


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one sequence that attend at once.

    Attributes:
        rows: of the query, all axes but the last taken as one.
        keys: (t, key heads, size) rows that at least one of them sees.
        values: as the keys.
        visible: (r,) how many of them each row sees.
        bias: (r, heads, t) what is added to the scores; None for 0.
    """

    rows: slice
    keys: Array
    values: Array
    visible: Array
    bias: Real | None

    @property
    def hidden(self) -> Array:
        """(r, 1, t) which rows of keys each row does not see."""
        hidden: Array = np.arange(len(self.keys)) >= self.visible[:, None, None]
        return hidden


def blocks(operation: Attention, state: State) -> Iterator[Block]:
    """Extend every sequence's cache; yield its rows of queries, some at a time."""
    key, value = state.values[operation.key], state.values[operation.value]
    axis = state.graph.values[operation.key].shape[0]
    for view in views(operation, state.graph, state.sizes, state.segments):
        new = (key[view.keys], value[view.keys])
        if view.segment is not None:
            cache = view.segment.cache
            names = (f"{operation.output}.key", f"{operation.output}.value")
            new = tuple(cache.extend(n, axis, r) for n, r in zip(names, new, strict=True))
        size = key.shape[-1] // operation.key_heads
        keys, values = (part.reshape(-1, operation.key_heads, size) for part in new)
        start, stop = view.rows.start, view.rows.stop
        for first in range(start, stop, _ROW_BLOCK):
            last = min(first + _ROW_BLOCK, stop)
            seen = view.visible[first - start : last - start]
            limit = int(seen.max())
            numbers = view.first + np.arange(first - start, last - start)
            yield Block(
                slice(first, last),
                keys[:limit],
                values[:limit],
                seen,
                _bias(operation, numbers, limit, state),
            )


def _bias(operation: Attention, numbers: Array, keys: int, state: State) -> Real | None:
    """b_h(j − i) for query rows i = ``numbers`` and rows of keys j. → (r, heads, keys)."""
    if operation.distances is None:
        return None
    table = state.tensor(operation.distances)
    most = table.shape[1] // 2
    distances = np.clip(np.arange(keys) - numbers[:, None], -most, most)
    bias: Real = table[:, distances + most].transpose(1, 0, 2)
    return bias


def _attend(operation: Attention, query: Array, block: Block, state: State) -> Real:
    """Attention of rows (r, heads, size). → as the query."""
    group, hidden = operation.group, block.hidden
    theta_q, theta_k, theta_v = (state.threshold(n) for n in operation.inputs())
    q = query.transpose(1, 0, 2)
    k = np.repeat(block.keys.transpose(1, 2, 0), group, axis=0)
    v = np.repeat(block.values.transpose(1, 0, 2), group, axis=0)
    scale = np.float32(operation.scale)
    if theta_q is None or theta_k is None or theta_v is None or operation.inverse is None:
        scores = (q @ k).transpose(1, 0, 2) * scale
        if block.bias is not None:
            scores += block.bias
        scores = np.where(hidden, -np.inf, scores)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True), dtype=np.float32)
        weights /= weights.sum(axis=-1, keepdims=True)
        real: Real = (weights.transpose(1, 0, 2) @ v).transpose(1, 0, 2)
        return real
    product, largest = state.product, (_largest(block.keys), _largest(block.values))
    sums = np.stack([product(n, c.T, largest[0]) for n, c in zip(q, k, strict=True)])
    factor = (theta_q * theta_k) * scale
    shifted = exponentials(sums.transpose(1, 0, 2), factor, block.bias, hidden)
    levels = numerics.encode(shifted, state.tensor(operation.inverse), 0, operation.highest)
    levels = np.where(hidden, 0, levels)
    p = levels.transpose(1, 0, 2)
    mixed = np.stack([product(n, c.T, largest[1]) for n, c in zip(p, v, strict=True)])
    divisor = theta_v / levels.sum(axis=-1).astype(np.float32)
    if state.ledger is not None:
        count_attention(operation, query, levels, block.visible, state.graph, state.ledger)
    settled: Real = mixed.transpose(1, 0, 2).astype(np.float32) * divisor[..., None]
    return settled


def exponentials(sums: Levels, factor: np.float32, bias: Real | None, hidden: Array) -> Real:
    """e^(s − max s) over the last axis, with scores s = factor·sums + bias; 0 where hidden."""
    scores = sums.astype(np.float32) * factor
    if bias is not None:
        scores += bias
    scores = np.where(hidden, np.float32(-np.inf), scores)
    return numerics.exp(scores - scores.max(axis=-1, keepdims=True))


def _largest(levels: Levels) -> int:
    return int(np.abs(levels).max(initial=0))
