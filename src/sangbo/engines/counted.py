"""From the native engine's histograms to a ledger, at once or when somebody reads it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sangbo import _native
from sangbo.graph import (
    Attention,
    Convolution,
    Dimension,
    Graph,
    Linear,
    Neuron,
    Recurrent,
    Weight,
)
from sangbo.ledger import Histogram, Ledger, SynapticCount

_FIELDS = frozenset({"samples", "neurons", "operations"})


@dataclass(frozen=True, slots=True)
class Places:
    """Where native counts have what a ledger needs.

    Attributes:
        axes: the axes whose rows are counted, the main one first; sums of operations follow them.
        tallies: the first tally of each operation that has some.
        totals: which sum is the operation's: of attention, the keys that rows see; of gated linear
            operations, the rows that were computed.
        classes: neuron layers whose levels are in several tallies. For each of these, how many
            targets a level has in each convolution.
    """

    axes: Sequence[Dimension]
    tallies: Mapping[str, int]
    totals: Mapping[str, int]
    classes: Mapping[str, Sequence[Mapping[str, int]]]


class NativeLedger(Ledger):
    """A ledger whose latest counts stay in native memory until one of its fields is read."""

    __slots__ = ("_places", "counts", "graph")

    def __init__(self, graph: Graph, counts: _native.Counts, places: Places) -> None:
        self.graph = graph
        self._places = places
        self.counts: _native.Counts | None = counts
        super().__init__()

    def __getattribute__(self, name: str) -> Any:
        if name in _FIELDS:
            counts = self.counts
            if counts is not None:
                self.counts = None  # adding reads the fields, which must not begin this again
                try:
                    add_counts(self, self.graph, counts, self._places)
                finally:
                    self.counts = counts
        return super().__getattribute__(name)


def add_counts(ledger: Ledger, graph: Graph, counts: _native.Counts, places: Places) -> None:
    """Move what ``counts`` holds into ``ledger``."""
    taken = counts.take_totals()
    entries = dict(zip(places.axes, taken, strict=False))
    if not any(entries.values()):
        return
    _Taken(ledger, graph, counts, places, entries, taken[len(places.axes) :]).add()


@dataclass(slots=True)
class _Taken:
    """Counts on their way into a ledger."""

    ledger: Ledger
    graph: Graph
    counts: _native.Counts
    places: Places
    entries: Mapping[Dimension, int]
    sums: Sequence[int]

    def add(self) -> None:
        """Add all of them; what no run has reached is left out."""
        self.ledger.samples += self.entries[self.graph.axis]
        levels: dict[str, Histogram] = {}
        pairs: dict[str, Histogram] = {}
        for operation in self.graph.operations:
            if isinstance(operation, Neuron):
                levels[operation.output] = self._neuron(operation.output, pairs)
            elif isinstance(operation, Linear):
                self._linear(operation, levels)
            elif isinstance(operation, Convolution):
                self._convolution(operation, pairs[operation.output])
            elif isinstance(operation, Attention):
                self._attention(operation)
            elif isinstance(operation, Recurrent) and operation.weight is not None:
                self._recurrent(operation, operation.weight)

    def _take(self, name: str, which: int = 0) -> Histogram:
        magnitudes, occurrences = self.counts.take(self.places.tallies[name] + which)
        return Histogram(dict(zip(magnitudes, occurrences, strict=True)))

    def _rows(self, name: str) -> int:
        """Rows of a value, all its axes but the last taken as one."""
        first, *inner = self.graph.values[name].shape[:-1]
        return self.entries[first] * math.prod(int(d) for d in inner)

    def _neuron(self, name: str, pairs: dict[str, Histogram]) -> Histogram:
        """Levels of a neuron layer; adds what convolutions make of them to ``pairs``."""
        sent = Histogram()
        for number, targets in enumerate(self.places.classes.get(name, [{}])):
            found = self._take(name, number)
            sent.merge(found)
            for receiver, times in targets.items():
                pairs.setdefault(receiver, Histogram()).merge(found, times)
        self.ledger.neuron(name).merge(sent)
        return sent

    def _weighted(self, name: str, source: str, weight: Weight) -> SynapticCount:
        stored = sum(self.graph.tensors[n].nbytes for n in weight.tensors())
        return self.ledger.operation(name, source, stored)

    def _add_sums(self, count: SynapticCount, weight: Weight, rows: int, parts: int) -> None:
        outputs, groups = self.graph.tensors[str(weight.scale)].shape
        shifted = weight.minimum is not None
        count.rows += rows
        count.accumulators += rows * (outputs * groups + (groups * parts if shifted else 0))
        count.rescales += rows * outputs * groups * (2 if shifted else 1)

    def _linear(self, operation: Linear, levels: Mapping[str, Histogram]) -> None:
        name = operation.output
        if operation.gate is None:
            seen, rows = levels[operation.input], self._rows(name)
        else:
            seen, rows = self._take(name), self.sums[self.places.totals[name]]
        count = self._weighted(name, operation.input, operation.weight)
        count.pairs.merge(seen, self.graph.values[name].channels)
        self._add_sums(count, operation.weight, rows, 1)

    def _convolution(self, operation: Convolution, pairs: Histogram) -> None:
        name = operation.output
        count = self._weighted(name, operation.input, operation.weight)
        count.pairs.merge(pairs)
        self._add_sums(count, operation.weight, self._rows(name), operation.groups)

    def _recurrent(self, operation: Recurrent, weight: Weight) -> None:
        name, source = operation.output, f"{operation.output}.state"
        seen = self._take(name)
        count = self._weighted(name, source, weight)
        count.pairs.merge(seen, len(self.graph.tensors[weight.values]))
        self._add_sums(count, weight, self._rows(name), 1)
        self.ledger.neuron(source).merge(seen)

    def _attention(self, operation: Attention) -> None:
        name, probability = operation.output, f"{operation.output}.probability"
        queries, shown = self._take(name), self._take(name, 1)
        rows = self._rows(name)
        if rows == 0:
            return
        visible = self.sums[self.places.totals[name]]
        size = self.graph.values[operation.query].channels // operation.heads
        scores = self.ledger.operation(f"{name}.scores", operation.query)
        scores.pairs.merge(queries)
        mix = self.ledger.operation(f"{name}.mix", probability)
        mix.pairs.merge(shown, size)
        self.ledger.neuron(probability).merge(shown)
        products: tuple[tuple[SynapticCount, int, str], ...] = (
            (scores, visible * operation.heads, operation.key),
            (mix, rows * operation.heads * size, operation.value),
        )
        for count, sums, cached in products:
            count.rows += rows
            count.accumulators += sums
            count.rescales += sums
            level_bytes = self.graph.values[cached].level_bytes
            count.cache_bytes += visible * operation.key_heads * size * level_bytes
