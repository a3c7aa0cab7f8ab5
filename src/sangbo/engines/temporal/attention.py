"""Attention: spikes of queries meet cached keys, spikes of probabilities meet cached values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sangbo.engines import numerics
from sangbo.engines.base import Array, Levels, Real
from sangbo.engines.counting import count_attention
from sangbo.engines.firing import Train, fire, integrate
from sangbo.engines.reference.attention import Block, blocks, exponentials
from sangbo.engines.temporal.state import Firing, evaluate
from sangbo.graph import Attention


@evaluate.register
def _(operation: Attention, state: Firing) -> Array:
    query = state.trains[operation.query]
    heads, size = operation.heads, query.levels.shape[-1] // operation.heads
    result = np.empty((len(query.levels), heads, size), np.float32)
    for block in blocks(operation, state):
        part = query.take(block.rows, slice(None)).reshape(2, -1, heads, size)
        result[block.rows] = _attend(operation, part, block, state)
    return result.reshape(state.values[operation.query].shape)


def _attend(operation: Attention, query: Train, block: Block, state: Firing) -> Real:
    """Attention of a train of (r, heads, size)."""
    name, keys, values, visible = operation.output, block.keys, block.values, block.visible
    theta_q, theta_k, theta_v = (np.float32(state.threshold(n) or 0) for n in operation.inputs())
    sums = _each_head(query, operation, lambda head: keys[:, head])
    factor = (theta_q * theta_k) * np.float32(operation.scale)
    shifted = exponentials(sums, factor, block.bias, block.hidden)
    drive = numerics.drive(shifted, state.tensor(str(operation.inverse)))
    probability = f"{name}.probability"
    train = fire(drive, 0, operation.highest, state.coding, probability)
    mixed = _each_head(train, operation, lambda head: values[:, head].T)
    spikes = train.levels.sum(axis=-1).astype(np.float32)
    if state.activity is not None:
        state.activity.fired(probability, train, ~block.hidden)
        state.activity.received(f"{name}.scores", operation.query, query, visible)
        state.activity.received(f"{name}.mix", probability, train, values.shape[-1])
    if state.ledger is not None:
        count_attention(operation, query.levels, train.levels, visible, state.graph, state.ledger)
    settled: Real = mixed.astype(np.float32) * (theta_v / spikes)[..., None]
    return settled


def _each_head(train: Train, operation: Attention, weights: Callable[[int], Array]) -> Levels:
    """Spikes (r, heads, K) meet what is cached for their key heads. → (r, heads, O).

    It takes the place of weights (O, K); query heads of one key head are so many more rows.
    """
    rows, _, size = train.levels.shape
    found = []
    for head in range(operation.key_heads):
        first = head * operation.group
        queries = slice(first, first + operation.group)
        own = train.take(queries, slice(None)).reshape(3, -1, size)
        cached = weights(head)
        largest = int(np.abs(cached).max(initial=0))
        numerics.check_accumulators(own.levels, largest)
        found.append(integrate(own, cached, largest).reshape(rows, operation.group, -1))
    joined: Levels = np.concatenate(found, axis=1)
    return joined
