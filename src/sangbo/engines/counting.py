"""Enters what an engine in NumPy has sent into a ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sangbo.engines.base import Array, Levels, Segment
from sangbo.graph import Attention, Graph, Linear
from sangbo.ledger import Ledger


def count_neuron(
    name: str, levels: Levels, graph: Graph, segments: Sequence[Segment[Any]], ledger: Ledger
) -> None:
    """Enter the levels of neuron layer ``name`` into ``ledger``, and into its tallies if any."""
    ledger.neuron(name).add(levels)
    if ledger.tallies is None:
        return
    flat = levels.reshape(-1, levels.shape[-1])
    fan = np.zeros(len(flat), np.int64)
    consumed = False
    for consumer in graph.operations:
        if isinstance(consumer, Linear) and consumer.input == name:
            fan += graph.values[consumer.output].channels
        elif isinstance(consumer, Attention) and consumer.query == name:
            fan += np.concatenate([visible_rows(consumer, s) for s in segments])
        else:
            continue
        consumed = True
    if consumed:
        ledger.tallies.count(name, flat, fan)


def visible_rows(operation: Attention, segment: Segment[Any]) -> Array:
    """How many cached rows each row of ``segment`` attends to, its own included."""
    before, rows = segment.cache.length, segment.rows
    return before + 1 + np.arange(rows) if operation.causal else np.full(rows, before + rows)


def count_linear(operation: Linear, levels: Levels, graph: Graph, ledger: Ledger) -> None:
    """Enter a Linear on ``levels`` (R, K) into ``ledger``."""
    weight = operation.weight
    tensors = [graph.tensors[n] for n in weight.tensors()]
    outputs, groups = graph.tensors[str(weight.scale)].shape
    source = operation.input
    count = ledger.operation(operation.output, source, sum(t.nbytes for t in tensors))
    count.rows += len(levels)
    count.pairs.add(levels, outputs)
    sums = 0 if weight.minimum is None else groups
    count.accumulators += len(levels) * (outputs * groups + sums)
    count.rescales += len(levels) * outputs * groups * (1 if weight.minimum is None else 2)


def count_attention(
    operation: Attention,
    query: Levels,
    levels: Levels,
    visible: Array,
    graph: Graph,
    ledger: Ledger,
) -> None:
    """Enter both products of attention rows into ``ledger``; see `Ledger.operations`."""
    name = operation.output
    rows, heads, size = query.shape
    seen = np.arange(levels.shape[-1])[None, None, :] < visible[:, None, None]
    shown = levels[np.broadcast_to(seen, levels.shape)]
    total = int(visible.sum())
    scores = ledger.operation(f"{name}.scores", operation.query)
    scores.pairs.add(query, visible[:, None, None])
    mix = ledger.operation(f"{name}.mix", f"{name}.probability")
    mix.pairs.add(shown, size)
    ledger.neuron(f"{name}.probability").add(shown)
    if ledger.tallies is not None:
        fan = np.full(rows, size)
        ledger.tallies.count(
            f"{name}.probability", levels, fan, np.broadcast_to(seen, levels.shape)
        )
    for count, sums, cached in (
        (scores, total * heads, operation.key),
        (mix, rows * heads * size, operation.value),
    ):
        count.rows += rows
        count.accumulators += sums
        count.rescales += sums
        level_bytes = graph.values[cached].level_bytes
        count.cache_bytes += total * operation.key_heads * size * level_bytes
