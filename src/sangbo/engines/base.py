"""What every engine offers: runs of a graph over rows of one or several sequences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from sangbo.errors import EngineError
from sangbo.graph import Graph
from sangbo.ledger import Ledger

Array: TypeAlias = NDArray[Any]
Real: TypeAlias = NDArray[np.float32]
Levels: TypeAlias = NDArray[np.int32]
Index: TypeAlias = NDArray[np.int32]

Product: TypeAlias = Callable[[Levels, Array, int], Levels]
"""Exact Σ_i levels[r, i]·weights[o, i], given a bound on the weights' magnitude. → (r, o)."""

C = TypeVar("C", bound="Cache")


class Cache(Protocol):
    """Keys and values of the rows that one sequence has behind it; made by an engine."""

    @property
    def length(self) -> int:
        """Rows held so far."""

    @property
    def capacity(self) -> int:
        """Rows that fit."""

    def truncate(self, length: int) -> None:
        """Forget all rows from ``length`` on."""


@dataclass(frozen=True, slots=True)
class Segment(Generic[C]):
    """The next ``rows`` rows of a run belong to the sequence of ``cache``, after what it holds."""

    cache: C
    rows: int


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


def check_segments(rows: int, segments: Sequence[Segment[Any]]) -> None:
    """Raise `EngineError` unless ``segments`` cover ``rows`` rows and fit their caches."""
    total = sum(s.rows for s in segments)
    if total != rows or any(s.rows <= 0 for s in segments):
        raise EngineError(f"expected segments of {rows} rows in all, found {total}")
    if len({id(s.cache) for s in segments}) != len(segments):
        raise EngineError("expected each segment to have a cache of its own, found one twice")
    for segment in segments:
        found = segment.cache.length + segment.rows
        if found > segment.cache.capacity:
            raise EngineError(
                f"expected at most {segment.cache.capacity} rows in a sequence, found {found}"
            )
