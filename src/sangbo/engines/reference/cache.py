"""What the reference engine keeps of a sequence between runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from sangbo.engines.base import Array, Real
from sangbo.errors import EngineError
from sangbo.graph import Dimension


class ReferenceCache:
    """Keys, values and states of one sequence, per operation and axis, grown as rows come.

    Args:
        capacity: most rows of the main axis.
        axis: the main axis of the graph.
    """

    def __init__(self, capacity: int, axis: Dimension) -> None:
        self.capacity = capacity
        self._axis = axis
        self._lengths: Counter[Dimension] = Counter()
        self._rows: dict[tuple[Dimension, str], Array] = {}
        self._starts: dict[tuple[Dimension, str], tuple[int, Real]] = {}

    @property
    def length(self) -> int:
        """Rows of the main axis held so far."""
        return self._lengths[self._axis]

    def length_of(self, axis: Dimension) -> int:
        """Rows of ``axis`` held so far."""
        return self._lengths[axis]

    def extend(self, name: str, axis: Dimension, rows: Array) -> Array:
        """Append ``rows`` of ``axis`` to what is kept as ``name``; return all of it."""
        kept = self._rows.get((axis, name))
        joined = rows if kept is None else np.concatenate([kept[: self._lengths[axis]], rows])
        self._rows[axis, name] = joined
        return joined

    def begin(self, name: str, axis: Dimension, state: Real) -> None:
        """Let the next row of ``axis`` begin with ``state``."""
        self._starts[axis, name] = (self._lengths[axis], state)

    def last(self, name: str, axis: Dimension, size: int) -> Real:
        """The state that the next row of ``axis`` begins with; zeros at first."""
        length = self._lengths[axis]
        place, state = self._starts.get((axis, name), (0, np.zeros(size, np.float32)))
        kept = self._rows.get((axis, name))
        if place == length or kept is None:
            return state
        last: Real = kept[length - 1]
        return last

    def advance(self, rows: Mapping[str, int] | Mapping[Dimension, int]) -> None:
        """Take ``rows`` rows of each axis, appended before, as held from now on."""
        self._lengths.update(rows)

    def truncate(self, length: int) -> None:
        """Forget all rows of the main axis from ``length`` on."""
        if not 0 <= length <= self.length:
            raise EngineError(f"expected a length within 0…{self.length}, found {length}")
        self._lengths[self._axis] = length
        for place, rows in self._rows.items():
            if place[0] == self._axis:
                self._rows[place] = rows[:length]
        self._starts = {
            place: start
            for place, start in self._starts.items()
            if place[0] != self._axis or start[0] <= length
        }
