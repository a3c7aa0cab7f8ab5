"""What every engine offers: runs of a graph over rows of one or several sequences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from sangbo.errors import EngineError
from sangbo.graph import Dimension, Graph
from sangbo.ledger import Ledger

Array: TypeAlias = NDArray[Any]
Real: TypeAlias = NDArray[np.float32]
Levels: TypeAlias = NDArray[np.int32]
Index: TypeAlias = NDArray[np.int32]

Product: TypeAlias = Callable[[Levels, Array, int], Levels]
"""Exact Σ_i levels[…, r, i]·weights[…, o, i], given a bound on the weights. → (…, r, o)."""

C = TypeVar("C", bound="Cache")


class Cache(Protocol):
    """Keys, values and states of the rows that one sequence has behind it; made by an engine.

    It holds rows of every axis of a graph along which sequences run. Length and capacity are those
    of the main axis, `sangbo.graph.Graph.axis`.
    """

    @property
    def length(self) -> int:
        """Rows of the main axis held so far."""

    @property
    def capacity(self) -> int:
        """Rows of the main axis that fit."""

    def truncate(self, length: int) -> None:
        """Forget all rows of the main axis from ``length`` on."""


@dataclass(frozen=True, slots=True)
class Segment(Generic[C]):
    """The next ``rows`` rows of a run belong to the sequence of ``cache``, after what it holds.

    Attributes:
        cache: of the sequence.
        rows: along the graph's main axis.
        others: rows along further axes that belong to the same sequence, by axis: the source of a
            translation, or the one sample that an encoder reads. 0 along those not named.
    """

    cache: C
    rows: int
    others: Mapping[str, int] = field(default_factory=dict)

    def along(self, axis: Dimension, main: Dimension) -> int:
        """Rows along ``axis`` of a graph whose main axis is ``main``."""
        return self.rows if axis == main else self.others.get(str(axis), 0)


class Engine(Protocol[C]):
    """Runs one graph. Rows of several sequences are concatenated in the order of the segments."""

    @property
    def graph(self) -> Graph:
        """The graph that is run."""

    def cache(self, capacity: int) -> C:
        """An empty cache for one sequence of at most ``capacity`` rows."""

    def ledger(self) -> Ledger:
        """An empty ledger, of the kind that this engine fills at the least cost."""

    def run(
        self,
        inputs: Mapping[str, Array],
        segments: Sequence[Segment[C]],
        *,
        ledger: Ledger | None = None,
    ) -> dict[str, Array]:
        """Evaluate the graph and extend the caches.

        Args:
            inputs: one array per input of the graph; index inputs are int32.
            segments: which rows belong to which sequence; their rows add up to the inputs' rows.
            ledger: where to count; nothing is counted without one.

        Returns:
            The graph's outputs by name.

        Raises:
            EngineError: where inputs, segments or a cache's capacity do not fit, where a neuron
                meets NaN or infinity, or where an accumulator could leave 32 bits.
        """


def check_segments(
    sizes: Mapping[Dimension, int], main: Dimension, segments: Sequence[Segment[Any]]
) -> None:
    """Raise `EngineError` unless ``segments`` cover a run and fit their caches.

    Args:
        sizes: rows of the run along each axis.
        main: the graph's main axis.
        segments: which must cover the main axis and every axis that one of them names.
    """
    totals = Counter[Dimension]({main: sum(s.rows for s in segments)})
    for segment in segments:
        totals.update(segment.others)
        if min(segment.rows, *segment.others.values(), 0) < 0 or not (
            segment.rows or any(segment.others.values())
        ):
            raise EngineError(f"expected segments of some rows each, found {segment}")
    for axis, total in totals.items():
        if total != sizes.get(axis):
            raise EngineError(
                f"expected segments of {sizes.get(axis, 0)} rows in all, "
                f"found {total} along {axis!r}"
            )
    if len({id(s.cache) for s in segments}) != len(segments):
        raise EngineError("expected each segment to have a cache of its own, found one twice")
    for segment in segments:
        found = segment.cache.length + segment.rows
        if found > segment.cache.capacity:
            raise EngineError(
                f"expected at most {segment.cache.capacity} rows in a sequence, found {found}"
            )
