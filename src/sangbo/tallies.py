"""Sums per group of levels: what splits coarser than by value need beside a ledger's histograms.

A split sends whole groups of levels to one side. Every group is a block of rows × channels of one
neuron layer, so a split is no more than the size of its blocks:

========  ====  ========  ==================================================
split     rows  channels  who decides the side, and when
========  ====  ========  ==================================================
value     1     1         the level itself
token     1     all       a counter, row by row
channel   all   1         fixed before the run
tile      some  some      a counter, block by block (`TILE` unless told otherwise)
layer     all   all       fixed before the run
========  ====  ========  ==================================================

Whatever the code and the chip, both sides of a group are priced from a few sums over its levels, so
these sums are kept and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sangbo.codes import CODES
from sangbo.errors import LedgerError

Counts = NDArray[np.int64]

TILE = (16, 64)
"""Rows and channels of a tile unless told otherwise."""

LARGEST_TILE_ROWS = 256
"""Rows of a tile divide this: engines may handle attention in blocks of so many rows."""

LARGEST_CHANNELS = 2**24
_LARGEST_SUM = 2**63 - 1

SENT, PAIRS = 0, 1
TOTAL = 0
COLUMN: Mapping[str, int] = {name: place for place, name in enumerate(CODES, 1)}
"""Where a code's spikes stand in the last axis of `Tally.sums`; `TOTAL` counts levels or pairs."""
NONZERO = COLUMN["graded"]
"""A graded level is one spike unless it is zero."""


@dataclass(frozen=True, slots=True)
class Split:
    """Which levels go to a side together: a block of ``rows`` × ``channels``; None is all of them.

    Attributes:
        name: as people call it.
        rows: rows (tokens) of a group. None: all rows of the whole run, so that the group is known
            before the run and its side is fixed.
        channels: channels of a group.
        meaning: in a line.
        tallied: whether its groups need tallies; False where a ledger's histograms say all.
    """

    name: str
    rows: int | None
    channels: int | None
    meaning: str
    tallied: bool = True

    @property
    def fixed(self) -> bool:
        """Whether a group lasts for the whole run, so that its side is fixed before it."""
        return self.rows is None


SPLITS: Mapping[str, Split] = {
    s.name: s
    for s in (
        Split("value", 1, 1, "each level by itself", tallied=False),
        Split("token", 1, None, "one row of one neuron layer"),
        Split("channel", None, 1, "one channel of one neuron layer, over the whole run"),
        Split("tile", *TILE, "a block of rows and channels of one neuron layer"),
        Split("layer", None, None, "one neuron layer, over the whole run", tallied=False),
    )
}
"""Every split by name. Another is one entry."""


def split(name: str, tile: tuple[int, int] = TILE) -> Split:
    """The split called ``name``, with tiles of ``tile`` rows and channels.

    Raises:
        LedgerError: where there is none of that name, or the tile's size does not check.
    """
    if name not in SPLITS:
        raise LedgerError(f"expected one of the splits {', '.join(SPLITS)}, found {name!r}")
    rows, channels = tile
    if rows < 1 or LARGEST_TILE_ROWS % rows or not 1 <= channels <= LARGEST_CHANNELS:
        raise LedgerError(
            f"expected tiles of rows that divide {LARGEST_TILE_ROWS} and 1 to {LARGEST_CHANNELS} "
            f"channels, found {rows}×{channels}"
        )
    found = SPLITS[name]
    return replace(found, rows=rows, channels=channels) if name == "tile" else found


@dataclass(slots=True)
class Tally:
    """Sums over every group of one neuron layer.

    Attributes:
        sums: (groups, 2, 1 + codes). ``sums[:, SENT]`` counts levels, ``sums[:, PAIRS]`` counts
            (level, target) pairs: first how many, then the spikes in each code of `COLUMN`.
        most: (groups, codes). Most spikes of any level of the group in each code; in rate code
            this is the largest |n|.
    """

    sums: Counts = field(default_factory=lambda: np.zeros((0, 2, 1 + len(CODES)), np.int64))
    most: Counts = field(default_factory=lambda: np.zeros((0, len(CODES)), np.int64))

    def __len__(self) -> int:
        return len(self.sums)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Tally)
            and np.array_equal(self.sums, other.sums)
            and np.array_equal(self.most, other.most)
        )

    def total(self, place: int, column: int, chosen: NDArray[np.bool_] | None = None) -> int:
        """Sum of one column of `sums` over the ``chosen`` groups, or over all.

        Raises `LedgerError` where it would leave 64 bits.
        """
        values = self.sums[:, place, column]
        values = values if chosen is None else values[chosen]
        if values.sum(dtype=np.float64) > _LARGEST_SUM / 2:
            raise LedgerError(f"expected sums up to {_LARGEST_SUM // 2}, found a larger one")
        return int(values.sum())

    def joined(self) -> Tally:
        """All groups as one, or none where there are none."""
        if not len(self):
            return Tally()
        sums = [[self.total(p, c) for c in range(self.sums.shape[2])] for p in (SENT, PAIRS)]
        return Tally(np.array([sums], np.int64), self.most.max(axis=0, keepdims=True))

    def append(self, other: Tally) -> None:
        """Add the groups of ``other`` as further groups."""
        self.sums = np.concatenate([self.sums, other.sums])
        self.most = np.concatenate([self.most, other.most])

    def add(self, other: Tally) -> None:
        """Add ``other``, sums of the same groups; raises `LedgerError` if there are as many not."""
        if not len(self):
            self.append(other)
            return
        if len(self) != len(other):
            raise LedgerError(f"expected {len(self)} groups of a neuron layer, found {len(other)}")
        self.sums = self.sums + other.sums
        self.most = np.maximum(self.most, other.most)


@dataclass(slots=True)
class Tallies:
    """Tallies of every neuron layer that sends to some target, for some splits.

    Attributes:
        splits: whose groups are kept; `tallied` ones only.
        layers: by split and neuron layer. Groups of a fixed split stand in the order of the
            channels and add up; the others follow one another as they were run.

    >>> import numpy as np
    >>> tallies = Tallies.of(["token"])
    >>> tallies.count("n", np.array([[3, 0], [-1, 1]]), fan=np.array([5, 5]))
    >>> tallies.layers["token"]["n"].sums[:, PAIRS, COLUMN["rate"]].tolist()
    [15, 10]
    """

    splits: tuple[Split, ...]
    layers: dict[str, dict[str, Tally]] = field(default_factory=dict)

    @classmethod
    def of(cls, names: Iterable[str], tile: tuple[int, int] = TILE) -> Self:
        """Empty tallies for those splits of ``names`` that need any."""
        asked = [split(name, tile) for name in dict.fromkeys(names)]
        kept = tuple(s for s in asked if s.tallied)
        return cls(kept, {s.name: {} for s in kept})

    def count(
        self,
        layer: str,
        levels: NDArray[np.integer[Any]],
        fan: Counts,
        seen: NDArray[np.bool_] | None = None,
    ) -> None:
        """Count levels that neuron layer ``layer`` sends.

        Args:
            layer: its name.
            levels: (rows, channels); attention probabilities are (rows, heads, positions). As
                positions come and go, a channel of theirs is a head, with all its positions.
            fan: (rows,) targets of each level of a row.
            seen: where levels were really sent, of their shape; everywhere if not given. Levels
                that were not are zero.
        """
        if not levels.size:
            return
        sections = levels[:, np.newaxis] if levels.ndim == 2 else levels
        spikes = [code.spikes(np.abs(sections)) for code in CODES.values()]
        sent = np.ones(sections.shape, np.int64) if seen is None else seen.reshape(sections.shape)
        for kept in self.splits:
            width = sections.shape[2]
            if kept.channels is not None and not (kept.fixed and levels.ndim == 3):
                width = kept.channels
            apart = kept.channels is not None
            by_row = np.stack(
                [_blocks(np.add, s.astype(np.int64), width, apart) for s in (sent, *spikes)], -1
            )
            most = np.stack([_blocks(np.maximum, s, width, apart) for s in spikes], -1)
            rows = np.arange(0, len(levels), kept.rows or max(1, len(levels)))
            met = by_row * np.asarray(fan, np.int64)[:, np.newaxis, np.newaxis]
            sums = np.stack([np.add.reduceat(s, rows, axis=0) for s in (by_row, met)], 2)
            most = np.maximum.reduceat(most, rows, axis=0)
            found = Tally(sums.reshape(-1, *sums.shape[2:]), most.reshape(-1, most.shape[2]))
            self._enter(kept, layer, found)

    def _enter(self, kept: Split, layer: str, found: Tally) -> None:
        into = self.layers[kept.name].setdefault(layer, Tally())
        if kept.fixed:
            into.add(found)
        else:
            sent = found.sums[:, SENT, TOTAL] > 0
            into.append(Tally(found.sums[sent], found.most[sent]))

    def expect(self, other: Tallies | None) -> None:
        """Raise `LedgerError` unless ``other`` can be merged into this."""
        if other is None or other.splits != self.splits:
            raise LedgerError(
                f"expected tallies of the same groups, found {_names(self)} and {_names(other)}"
            )
        for kept in self.splits:
            mine, others = self.layers[kept.name], other.layers[kept.name]
            for layer in mine.keys() & others.keys():
                if kept.fixed and len(mine[layer]) != len(others[layer]):
                    raise LedgerError(
                        f"expected {len(mine[layer])} groups of {layer!r}, "
                        f"found {len(others[layer])}"
                    )

    def merge(self, other: Tallies) -> None:
        """Add everything that ``other`` counted; raises `LedgerError` where it does not fit."""
        self.expect(other)
        for kept in self.splits:
            for layer, tally in other.layers[kept.name].items():
                self._enter(kept, layer, tally)

    def to_dict(self) -> dict[str, Any]:
        """The tallies as JSON values."""
        return {
            "codes": list(CODES),
            "splits": [
                {
                    "name": s.name,
                    "rows": s.rows,
                    "channels": s.channels,
                    "layers": {
                        n: {
                            "sums": t.sums.reshape(-1).tolist(),
                            "most": t.most.reshape(-1).tolist(),
                        }
                        for n, t in self.layers[s.name].items()
                    },
                }
                for s in self.splits
            ],
        }

    @classmethod
    def from_dict(cls, document: Any) -> Self:
        """Read what `to_dict` wrote.

        Raises `LedgerError`, or KeyError, TypeError or ValueError, where it is not that.
        """
        if document["codes"] != list(CODES):
            raise LedgerError(
                f"expected tallies of the codes {', '.join(CODES)}, found {document['codes']}"
            )
        kept, layers = [], {}
        for entry in document["splits"]:
            name, tile = entry["name"], TILE
            if name == "tile":
                tile = (_whole(entry["rows"]), _whole(entry["channels"]))
            found = split(name, tile)
            if not found.tallied or (entry["rows"], entry["channels"]) != (
                found.rows,
                found.channels,
            ):
                raise LedgerError(f"expected the groups of a split by {name}, found others")
            kept.append(found)
            layers[name] = {str(n): _tally(t) for n, t in entry["layers"].items()}
        if len(layers) != len(kept):
            raise LedgerError("expected the tallies of each split once, found one twice")
        return cls(tuple(kept), layers)


def _blocks(reduce: np.ufunc, values: Counts, width: int, apart: bool) -> Counts:
    """``values`` (rows, sections, channels) by blocks of ``width`` channels; → (rows, blocks).

    Sections stay ``apart``, or all join.
    """
    starts = np.arange(0, values.shape[2], width)
    reduced: Counts = reduce.reduceat(values, starts, axis=2)
    if apart:
        return reduced.reshape(len(values), -1)
    joined: Counts = reduce.reduce(reduced, axis=1)
    return joined


def _names(tallies: Tallies | None) -> str:
    if tallies is None:
        return "none"
    return ", ".join(f"{s.name} ({s.rows}×{s.channels})" for s in tallies.splits) or "none"


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _LARGEST_SUM:
        raise LedgerError(f"expected a whole number of 0 to {_LARGEST_SUM}, found {value!r}")
    return value


def _tally(document: Any) -> Tally:
    empty = Tally()
    sums, most = (
        np.array([_whole(v) for v in document[key]], np.int64).reshape(-1, *shape)
        for key, shape in (("sums", empty.sums.shape[1:]), ("most", empty.most.shape[1:]))
    )
    if len(sums) != len(most):
        raise LedgerError(f"expected {len(sums)} groups in a tally, found {len(most)}")
    return Tally(sums, most)
