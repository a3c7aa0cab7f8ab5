"""From operations to loop nests: the one place that knows what an operation looks like to a chip.

A graph states shapes: `OPERATIONS` has one function for each type of synaptic operation, and a type
that is missing is refused by name. A ledger states sums; `counted` turns them into a nest again,
with the nest of the graph where that is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from sangbo.chips.nests import Nest, attention, convolution, linear
from sangbo.errors import LedgerError, PriceError
from sangbo.graph import Attention, Convolution, Graph, Linear, Operation, Recurrent
from sangbo.ledger import Histogram, Ledger, SynapticCount


def _linear(operation: Linear, graph: Graph) -> list[Nest]:
    """One row."""
    inputs = graph.values[operation.input].channels
    return [linear(operation.output, graph.values[operation.output].channels, inputs)]


def _attention(operation: Attention, graph: Graph) -> list[Nest]:
    """One row that sees one other."""
    size = graph.values[operation.query].channels // operation.heads
    return attention(operation.output, operation.heads, operation.key_heads, size, 1)


def _convolution(operation: Convolution, graph: Graph) -> list[Nest]:
    """One sample, padding included.

    The largest stride and spread stand for both axes. Taps of a dilated kernel are taken to be
    neighbours: less is held at once than it would need.
    """
    source, result = graph.values[operation.input], graph.values[operation.output]
    return [
        convolution(
            operation.output,
            result.channels,
            source.channels,
            result.inner()[:-1],
            operation.kernel,
            stride=max(operation.stride),
            groups=operation.groups,
            spread=max(operation.spread),
        )
    ]


def _recurrent(operation: Recurrent, graph: Graph) -> list[Nest]:
    """One step; the next one needs its result, so no two share a reading of the weights."""
    if operation.weight is None:
        return []
    gates, size = graph.values[operation.input].channels, graph.values[operation.output].channels
    return [linear(operation.output, gates, size)]


OPERATIONS: Mapping[type[Operation], Callable[[Any, Graph], list[Nest]]] = {
    Linear: _linear,
    Attention: _attention,
    Convolution: _convolution,
    Recurrent: _recurrent,
}
"""For each type of synaptic operation what makes its nests, of one row, step or sample."""


def nests_of(operation: Operation, graph: Graph) -> list[Nest]:
    """The loop nests of a synaptic operation of ``graph``; raises `PriceError` for other types."""
    make = OPERATIONS.get(type(operation))
    if make is None:
        known = ", ".join(t.__name__ for t in OPERATIONS)
        raise PriceError(
            f"expected one of {known}, found {type(operation).__name__} {operation.output!r}"
        )
    return make(operation, graph)


@dataclass(frozen=True, slots=True)
class Shaped:
    """An operation as a loop nest, and how many of that nest one sample is, or one counted row."""

    nest: Nest
    times: float


def weighted(graph: Graph) -> dict[str, Shaped]:
    """What one row that a ledger counts is of the nest of each operation that has weights.

    A row of a convolution is one position of its output, so its nest, a whole sample, is many.
    """
    return {
        nest.name: Shaped(nest, 1 / prod(_positions(operation, graph)))
        for operation in graph.synaptic
        if operation.weights()
        for nest in nests_of(operation, graph)
    }


def _positions(operation: Operation, graph: Graph) -> tuple[int, ...]:
    """Sizes of the axes along which one sample of a convolution has outputs."""
    whole = isinstance(operation, Convolution)
    return graph.values[operation.output].inner()[:-1] if whole else ()


def counted(
    ledger: Ledger, batch: int = 1, known: Mapping[str, Shaped] | None = None
) -> dict[str, Shaped]:
    """The loop nest of every operation of ``ledger`` that multiplied anything.

    Args:
        ledger: at least one sample.
        batch: samples that share one reading of the weights.
        known: shapes by operation, as `weighted` gives them. What is missing follows from sums.

    Raises:
        LedgerError: where the ledger has no samples, or lacks the neurons of an operation.
        PriceError: where ``batch`` is not positive.
    """
    check(ledger, batch)
    stated = known or {}
    return {
        name: _counted(name, count, ledger, batch, stated.get(name))
        for name, count in ledger.operations.items()
        if count.rows and count.pairs.total
    }


def _counted(
    name: str, count: SynapticCount, ledger: Ledger, batch: int, known: Shaped | None
) -> Shaped:
    """The loop nest of a counted operation.

    Without a known one, shapes follow from sums: channels from levels per row, fan-out from pairs
    per level, rows that share the weights from those of a sample, and for products of activations
    heads from the sums made and shared keys from the cache read. The length of a cache is its mean,
    rounded; what was counted still fixes the bytes and products in all.
    """
    levels, samples = ledger.neurons[count.source], ledger.samples
    width = stored_bits(levels) / 8
    if known is not None:
        nest = replace(
            known.nest,
            batch=known.nest.batch * batch,
            input_bytes=width,
            weight_bytes=count.weight_bytes / known.nest.weight_count,
        )
        return Shaped(nest, known.times * count.rows / (samples * batch))
    fed = max(1, round(levels.total / count.rows))
    pairs = count.pairs.total / count.rows
    outputs = max(1, round(pairs * count.rows / max(1, levels.total)))
    nest = Nest(name, outputs=outputs, inputs=fed, input_bytes=width)
    if count.weight_bytes or not count.cache_bytes:
        together = max(1, round(count.rows / samples))
        stored = count.weight_bytes / nest.weight_count
        nest = replace(nest, batch=batch * together, weight_bytes=stored)
        return Shaped(nest, pairs * count.rows / (nest.macs * samples))
    heads = max(1, round(count.accumulators / count.rows / outputs))
    size = max(1, round(fed / heads))
    cached = count.cache_bytes / count.rows
    groups = _key_heads(cached / (outputs * size), heads)
    nest = replace(
        nest,
        batch=max(1, round(heads / groups)),
        inputs=size,
        groups=groups,
        cached=True,
        weight_bytes=cached / (outputs * size * groups),
    )
    return Shaped(nest, count.rows / samples)


def _key_heads(found: float, heads: int) -> int:
    """Heads of the keys: a divisor of ``heads``; ``found`` is as many times the bytes of a key."""
    for width in (1, 2, 4):
        groups = max(1, round(found / width))
        if groups <= heads and heads % groups == 0:
            return groups
    return heads


def stored_bits(levels: Histogram) -> int:
    """Bits of one stored level: whole bytes that hold the layer's largest level with its sign."""
    return 8 * -(-(max(levels.counts, default=0).bit_length() + 1) // 8)


def check(ledger: Ledger, batch: int) -> None:
    """Raise unless ``ledger`` can be priced for ``batch``."""
    if batch < 1:
        raise PriceError(f"expected a batch of at least 1, found {batch}")
    if ledger.samples < 1:
        raise LedgerError(f"expected a ledger of at least one sample, found {ledger.samples}")
    for name, count in ledger.operations.items():
        if count.source not in ledger.neurons:
            raise LedgerError(
                f"expected neurons {count.source!r} of operation {name!r}, found none"
            )
