"""Enters what an engine in NumPy has sent into a ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from sangbo.engines.base import Array, Levels, Segment
from sangbo.engines.sequences import views
from sangbo.graph import Attention, Convolution, Dimension, Graph, Linear, Recurrent, Weight
from sangbo.ledger import Ledger, SynapticCount


class Run(Protocol):
    """What counting asks of a run of a graph."""

    graph: Graph
    values: dict[str, Array]
    segments: Sequence[Segment[Any]]
    sizes: Mapping[Dimension, int]


def count_tallies(name: str, run: Run, ledger: Ledger) -> None:
    """Enter neuron layer ``name``, whose receivers have all run, into the ledger's tallies."""
    if ledger.tallies is None:
        return
    fans = list(_fans(name, run))
    if fans:
        levels = run.values[name]
        ledger.tallies.count(name, levels.reshape(-1, levels.shape[-1]), sum(fans, fans[0] * 0))


def _fans(name: str, run: Run) -> Iterator[Array]:
    """Targets of each level of each row, all axes but the last taken as one, by receiver."""
    rows = run.values[name].size // max(1, run.values[name].shape[-1])
    for operation in run.graph.operations:
        if isinstance(operation, Linear) and operation.input == name:
            fan = np.full(rows, run.graph.values[operation.output].channels, np.int64)
            if operation.gate is not None:
                fan *= run.values[operation.gate].reshape(-1) != 0
            yield fan
        elif isinstance(operation, Convolution) and operation.input == name:
            yield np.tile(reach(operation, run.graph), len(run.values[name]))
        elif isinstance(operation, Attention) and operation.query == name:
            seen = views(operation, run.graph, run.sizes, run.segments)
            yield np.concatenate([np.empty(0, np.int64), *(view.visible for view in seen)])


def count_linear(operation: Linear, levels: Levels, graph: Graph, ledger: Ledger) -> None:
    """Enter a Linear on ``levels`` (R, K) into ``ledger``."""
    count = _weighted(operation.output, operation.input, operation.weight, graph, ledger)
    count.pairs.add(levels, graph.values[operation.output].channels)
    _add_sums(count, operation.weight, len(levels), 1, graph)


def reach(operation: Convolution, graph: Graph) -> Array:
    """Targets of a level at each position of a sample: outputs that see it, times channels."""
    source = graph.values[operation.input]
    outputs = graph.values[operation.output].channels // operation.groups
    found = np.ones(1, np.int64)
    for window in operation.windows(source):
        seen = np.zeros(window.size, np.int64)
        for output in range(window.outputs):
            for tap in range(window.kernel):
                place = window.source(output, tap)
                if place is not None:
                    seen[place] += 1
        found = np.multiply.outer(found, seen).reshape(-1)
    fan: Array = found * outputs
    return fan


def count_convolution(operation: Convolution, levels: Levels, graph: Graph, ledger: Ledger) -> None:
    """Enter a Convolution on ``levels`` (samples, *space, channels) into ``ledger``.

    A row is one output position. What lies outside, and zeros between neighbours, meet nothing.
    """
    count = _weighted(operation.output, operation.input, operation.weight, graph, ledger)
    fan = reach(operation, graph)
    flat = levels.reshape(len(levels), len(fan), levels.shape[-1])
    count.pairs.add(flat, fan[:, None])
    outputs = int(np.prod(graph.values[operation.output].inner()[:-1]))
    _add_sums(count, operation.weight, len(levels) * outputs, operation.groups, graph)


def count_recurrent(operation: Recurrent, levels: Levels, graph: Graph, ledger: Ledger) -> None:
    """Enter the states (R, size) that cells sent themselves, one for each row that was run."""
    name, source = operation.output, f"{operation.output}.state"
    weight = operation.weight
    if weight is None:
        return
    count = _weighted(name, source, weight, graph, ledger)
    targets = len(graph.tensors[weight.values])
    count.pairs.add(levels, targets)
    _add_sums(count, weight, len(levels), 1, graph)
    ledger.neuron(source).add(levels)
    if ledger.tallies is not None:
        ledger.tallies.count(source, levels, np.full(len(levels), targets))


def _weighted(
    name: str, source: str, weight: Weight, graph: Graph, ledger: Ledger
) -> SynapticCount:
    stored = sum(graph.tensors[n].nbytes for n in weight.tensors())
    return ledger.operation(name, source, stored)


def _add_sums(count: SynapticCount, weight: Weight, rows: int, parts: int, graph: Graph) -> None:
    """Count accumulators and rescales of ``rows``, whose inputs are in ``parts`` of their own."""
    outputs, groups = graph.tensors[str(weight.scale)].shape
    sums = 0 if weight.minimum is None else groups * parts
    count.rows += rows
    count.accumulators += rows * (outputs * groups + sums)
    count.rescales += rows * outputs * groups * (1 if weight.minimum is None else 2)


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
