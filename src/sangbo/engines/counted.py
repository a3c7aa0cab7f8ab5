"""From the native engine's histograms to a ledger, at once or when somebody reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sangbo import _native
from sangbo.graph import Attention, Graph, Linear, Neuron
from sangbo.ledger import Histogram, Ledger, SynapticCount

_FIELDS = frozenset({"samples", "neurons", "operations"})


class NativeLedger(Ledger):
    """A ledger whose latest counts stay in native memory until one of its fields is read."""

    __slots__ = ("_tallies", "counts", "graph")

    def __init__(self, graph: Graph, counts: _native.Counts, tallies: Mapping[str, int]) -> None:
        self.graph = graph
        self._tallies = tallies
        self.counts: _native.Counts | None = counts
        super().__init__()

    def __getattribute__(self, name: str) -> Any:
        if name in _FIELDS:
            counts = self.counts
            if counts is not None:
                self.counts = None  # adding reads the fields, which must not begin this again
                try:
                    add_counts(self, self.graph, counts, self._tallies)
                finally:
                    self.counts = counts
        return super().__getattribute__(name)


def add_counts(
    ledger: Ledger, graph: Graph, counts: _native.Counts, tallies: Mapping[str, int]
) -> None:
    """Move what ``counts`` holds into ``ledger``; ``tallies`` says which tally counted what."""
    *rows, causal, full = counts.take_totals()
    axes = {kind.shape[0]: None for kind in graph.inputs.values()}
    rows_of = dict(zip(axes, rows, strict=True))
    if not any(rows):
        return
    ledger.samples += rows[0]
    seen = {}
    for name, tally in tallies.items():
        magnitudes, occurrences = counts.take(tally)
        seen[name] = Histogram(dict(zip(magnitudes, occurrences, strict=True)))
    for operation in graph.operations:
        number = rows_of[graph.values[operation.output].shape[0]]
        if isinstance(operation, Neuron):
            ledger.neuron(operation.output).merge(seen[operation.output])
        elif isinstance(operation, Linear):
            _add_linear(ledger, graph, operation, seen[operation.input], number)
        elif isinstance(operation, Attention):
            visible = causal if operation.causal else full
            _add_attention(ledger, graph, operation, seen, number, visible)


def _add_linear(
    ledger: Ledger, graph: Graph, operation: Linear, levels: Histogram, rows: int
) -> None:
    weight = operation.weight
    stored = sum(graph.tensors[n].nbytes for n in weight.tensors())
    outputs, groups = graph.tensors[str(weight.scale)].shape
    shifted = weight.minimum is not None
    count = ledger.operation(operation.output, operation.input, stored)
    count.rows += rows
    count.pairs.merge(levels, outputs)
    count.accumulators += rows * (outputs * groups + (groups if shifted else 0))
    count.rescales += rows * outputs * groups * (2 if shifted else 1)


def _add_attention(
    ledger: Ledger,
    graph: Graph,
    operation: Attention,
    seen: Mapping[str, Histogram],
    rows: int,
    visible: int,
) -> None:
    name = operation.output
    probability = f"{name}.probability"
    size = graph.values[operation.query].channels // operation.heads
    scores = ledger.operation(f"{name}.scores", operation.query)
    scores.pairs.merge(seen[name])
    mix = ledger.operation(f"{name}.mix", probability)
    mix.pairs.merge(seen[probability], size)
    ledger.neuron(probability).merge(seen[probability])
    products: tuple[tuple[SynapticCount, int, str], ...] = (
        (scores, visible * operation.heads, operation.key),
        (mix, rows * operation.heads * size, operation.value),
    )
    for count, sums, cached in products:
        count.rows += rows
        count.accumulators += sums
        count.rescales += sums
        level_bytes = graph.values[cached].level_bytes
        count.cache_bytes += visible * operation.key_heads * size * level_bytes
