"""Which rows of a run are one sequence, and which rows of keys each row of queries attends to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sangbo.engines.base import Array, Segment
from sangbo.errors import EngineError
from sangbo.graph import Attention, Dimension, Graph


class Lengths(Protocol):
    """A cache that knows how many rows of each axis it has behind it."""

    def length_of(self, axis: Dimension) -> int:
        """Rows of ``axis`` held so far."""


@dataclass(frozen=True, slots=True)
class View:
    """The queries of one sequence in a run, and what they see.

    Attributes:
        segment: whose; None where values hold whole sequences.
        rows: of the query, all axes but the last taken as one.
        keys: of the key and the value: rows of two axes, samples of three.
        first: number of the first query row in its sequence.
        visible: (rows,) how many rows of keys each attends to, from the sequence's first.
    """

    segment: Segment[Any] | None
    rows: slice
    keys: slice
    first: int
    visible: Array


def parts(graph: Graph, axis: Dimension, size: int, segments: Sequence[Segment[Any]]) -> list[int]:
    """How many of the ``size`` rows along ``axis`` belong to each of ``segments``.

    Raises:
        EngineError: where they do not add up.
    """
    counts = [s.along(axis, graph.axis) for s in segments]
    if sum(counts) != size:
        raise EngineError(
            f"expected segments of {size} rows in all, found {sum(counts)} along {axis!r}"
        )
    return counts


def views(
    operation: Attention,
    graph: Graph,
    sizes: Mapping[Dimension, int],
    segments: Sequence[Segment[Any]],
) -> Iterator[View]:
    """What the rows of each sequence see; see `sangbo.graph.Attention` for what one sequence is.

    Raises:
        EngineError: where segments do not fit, or rows would see no keys.
    """
    query, key = graph.values[operation.query], graph.values[operation.key]
    if len(query.shape) == 3:
        rows, kept = query.inner()[0], key.inner()[0]
        visible = 1 + np.arange(rows) if operation.causal else np.full(rows, kept)
        for sample in range(sizes[query.shape[0]]):
            whole = slice(sample, sample + 1)
            yield View(None, slice(sample * rows, (sample + 1) * rows), whole, 0, visible)
        return
    axis, other = query.shape[0], key.shape[0]
    counts = parts(graph, axis, sizes[axis], segments)
    others = parts(graph, other, sizes[other], segments)
    start = begin = 0
    for segment, rows, new in zip(segments, counts, others, strict=True):
        first = segment.cache.length_of(axis)
        held = segment.cache.length_of(other) + new
        if len(key.shape) == 3:
            if held > 1:
                raise EngineError(
                    f"expected one sample of {other!r} for each sequence, found {held}"
                )
            held *= key.inner()[0]
        visible = first + 1 + np.arange(rows) if operation.causal else np.full(rows, held)
        if rows and not held:
            raise EngineError(
                f"expected rows of {other!r} before {operation.output!r} attends to them, found 0"
            )
        yield View(segment, slice(start, start + rows), slice(begin, begin + new), first, visible)
        start, begin = start + rows, begin + new
