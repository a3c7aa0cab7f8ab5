"""How often each memory is accessed under a mapping: closed forms for many mappings at once.

A mapping cuts a nest into tiles, one inside the other: the part that the units do at once (tile 0,
unrolled in space), the part that the nearest memory serves between two refills (tile 1), and so on
up to the whole nest. Loops of *stage* ℓ run over the tiles ℓ − 1 within a tile ℓ. Their order says
what stays at hand: the operand that the innermost loops do not touch is stationary.

An operand's tile is fetched anew whenever a loop that its index depends on moves on, and stays
while loops that it does not depend on turn inside all those that it does. So

    fetched elements = (Σ over its tiles of their elements) · (turns of the other loops that are not
    inside all of its own)

which is exact where every tile divides the next; where one does not, tiles at the edge are smaller,
their sums are exact, and a loop that would turn only once at the edge still counts as turning.
A sum that leaves before it is finished comes back: M leavings are M writes and M − 1 readings. In a
memory of the unit's own every addition is such a leaving; an array that has none adds in registers.
Windows of a convolution overlap: a tile of inputs is fetched whole, halo included.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sangbo.chips.nests import RELEVANT, SUM_BYTES, B, C, K, Nest, Operand, R, S, T, X, Y

Tiles: TypeAlias = NDArray[np.int64]
"""(…, stages + 1, 8): size of each tile along each of `DIMENSIONS`; the last is the whole nest."""
Reals: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]

GROUPS = {"outer": (B, Y, X), "outputs": (K,), "reduction": (C, R, S)}
"""Loops that turn together: each operand is independent of exactly one of these groups."""
STATIONARY: dict[Operand, str] = {"weights": "outer", "inputs": "outputs", "sums": "reduction"}
"""The group that an operand does not depend on. Time steps turn outside all groups of a stage."""
ORDERS: dict[Operand, tuple[str, ...]] = {
    "weights": ("outputs", "reduction", "outer"),
    "inputs": ("outer", "reduction", "outputs"),
    "sums": ("outer", "outputs", "reduction"),
}
"""Order of the groups, outermost first, by the operand that it keeps stationary."""
_NONE: Reals = np.zeros(1)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Elements of one operand between a memory and what it serves, for each mapping.

    Attributes:
        down: read from the memory and brought nearer to the units; sums that come back.
        up: brought from nearer and written into the memory; only sums.
        final: those of ``up`` that are finished sums.
        filled: copies written where ``down`` goes: more than ``down`` where several units keep
            the same element.
        drained: copies read where ``up`` comes from.
    """

    down: Reals
    up: Reals
    final: Reals
    filled: Reals
    drained: Reals


class Tiling:
    """Many mappings of one nest, and what all its operands' counts share.

    Args:
        nest: one group of it is counted.
        tiles: (mappings, stages + 1, 8).
    """

    def __init__(self, nest: Nest, tiles: Tiles) -> None:
        self.nest, self.tiles = nest, tiles
        self.stages = tiles.shape[1] - 1
        self.along = [d for d in range(len(nest.sizes)) if nest.sizes[d] > 1]
        columns = {
            (stage, d): np.ascontiguousarray(tiles[:, stage, d], np.float64)
            for stage in range(self.stages + 1)
            for d in self.along
        }
        self._size = columns
        self._count = {p: np.ceil(nest.sizes[p[1]] / size) for p, size in columns.items()}
        self._turns: dict[tuple[int, tuple[int, ...]], Reals] = {}
        self._turning: dict[tuple[int, tuple[int, ...]], Flags] = {}
        self._touched: dict[tuple[Operand, int, bool], Reals] = {}
        self._still = np.zeros(len(tiles), bool)

    def turning(self, stage: int, dimensions: tuple[int, ...]) -> Flags:
        """Whether some loop of ``stage``, 0 the innermost, along ``dimensions`` turns."""
        key = stage, dimensions
        if key not in self._turning:
            found = self._still
            for d in dimensions:
                if d in self.along:
                    found = found | (self._size[stage + 1, d] > self._size[stage, d])
            self._turning[key] = found
        return self._turning[key]

    def traffic(
        self, orders: tuple[Operand, ...], operand: Operand, child: int, private: bool
    ) -> Traffic:
        """What of ``operand`` passes between tile ``child`` and the memory next above it.

        Args:
            orders: what each stage keeps stationary, nearest first.
            operand: weights, inputs or sums.
            child: which tile is fetched; 0 is what the units do at once.
            private: whether each unit has a copy of its own: for tile 0 the memory above belongs
                to the unit, for tile 1 the tile lies in the units' own memories.
        """
        others = self._turns_of_others(orders, operand, child)
        elements = self._all(operand, child, copied=False)
        copies = self._all(operand, child, copied=True) if private else elements
        if operand == "sums":
            if private and child == 0:  # a unit's own memory is where it adds up
                others = self._turned(0, GROUPS["reduction"]) * self._turned(0, (T,))
            back = others - 1
            return Traffic(
                back * elements, others * elements, elements, back * copies, others * copies
            )
        return Traffic(others * elements, _NONE, _NONE, others * copies, _NONE)

    def _turns_of_others(self, orders: tuple[Operand, ...], operand: Operand, child: int) -> Reals:
        """Turns of the loops above tile ``child`` that are not inside all loops of ``operand``."""
        own, other = RELEVANT[operand], STATIONARY[operand]
        count: Reals = np.ones(len(self.tiles))
        steps: Reals = count
        open_count = open_steps = ~self._still
        still = self._still  # whether a loop of the operand turned further inside
        for stage in range(child, self.stages):
            order = ORDERS[orders[stage]]
            inner = tuple(d for g in order[order.index(other) + 1 :] for d in GROUPS[g])
            begins = open_count & (still | self.turning(stage, inner))
            count = np.where(begins, self._turned(stage, GROUPS[other]), count)
            open_count = open_count & ~begins
            still = still | self.turning(stage, own)
            if T in self.along and T not in own:
                begins = open_steps & still
                steps = np.where(begins, self._turned(stage, (T,)), steps)
                open_steps = open_steps & ~begins
        return count * steps

    def _turned(self, stage: int, dimensions: tuple[int, ...]) -> Reals:
        """Turns of all loops along ``dimensions`` from ``stage`` outwards."""
        key = stage, dimensions
        if key not in self._turns:
            turns: Reals = np.ones(len(self.tiles))
            for d in dimensions:
                if d in self.along:
                    turns = turns * self._count[stage, d]
            self._turns[key] = turns
        return self._turns[key]

    def _all(self, operand: Operand, child: int, *, copied: bool) -> Reals:
        key = operand, child, copied
        if key not in self._touched:
            count = self._copies if copied else self._elements
            self._touched[key] = count(operand, child)
        return self._touched[key]

    def _elements(self, operand: Operand, child: int) -> Reals:
        """Σ over all tiles ``child`` of the elements of ``operand`` in them."""
        if operand != "inputs":
            return np.full(len(self.tiles), prod(self.nest.sizes[d] for d in RELEVANT[operand]))
        size = self._size_at(child)
        return self._windowed(size)

    def _copies(self, operand: Operand, child: int) -> Reals:
        """Like `_elements`, each unit's own counted: units are those that tile 0 unrolls."""
        copies: Reals = np.ones(len(self.tiles))
        for d in self.along:
            if d not in RELEVANT[operand]:
                copies = copies * self._size[0, d]
        if operand != "inputs":
            return copies * self._elements(operand, child)
        own, space = self._size_at(child), self._size_at(0)
        return copies * self._windowed({d: np.ceil(own[d] / space[d]) for d in own})

    def _size_at(self, stage: int) -> dict[int, Reals]:
        one = np.ones(1)
        return {d: self._size.get((stage, d), one) for d in (Y, X, R, S)}

    def _windowed(self, size: dict[int, Reals]) -> Reals:
        """Inputs of all tiles, each pair of tiles of outputs and of the kernel for itself."""
        sizes, found = self.nest.sizes, np.ones(len(self.tiles))
        for outputs, kernel in ((Y, R), (X, S)):
            found = found * _windows(
                sizes[outputs], sizes[kernel], size[outputs], size[kernel], self.nest.stride
            )
        return found * (sizes[B] * sizes[C] * sizes[T])


def _windows(outputs: int, kernel: int, some: Reals, taps: Reals, stride: int) -> Reals:
    """Inputs along one axis of all tiles of ``some`` outputs and ``taps`` of the kernel."""
    tiles, pieces = np.ceil(outputs / some), np.ceil(kernel / taps)
    last = kernel - (pieces - 1) * taps
    steps = (pieces - 1) * np.minimum(stride, taps) + np.minimum(stride, last)
    found: Reals = (outputs - tiles) * steps + tiles * kernel
    return found


def footprint(tile: Tiles, operand: Operand, stride: int) -> Reals:
    """Elements of ``operand`` that a tile (…, 8) touches in one time step."""
    size = tile.astype(np.float64)
    if operand != "inputs":
        product: Reals = np.prod(size[..., list(RELEVANT[operand])], axis=-1)
        return product
    rows = (size[..., Y] - 1) * np.minimum(stride, size[..., R]) + size[..., R]
    columns = (size[..., X] - 1) * np.minimum(stride, size[..., S]) + size[..., S]
    found: Reals = size[..., B] * size[..., C] * rows * columns
    return found


def cycles(tiles: Tiles) -> Reals:
    """Turns of all loops: what the units do one after the other."""
    found: Reals = np.prod(np.ceil(tiles[:, -1] / tiles[:, 0]), axis=-1)
    return found


def fits(
    nest: Nest, tile: Tiles, held: tuple[Operand, ...], whole: tuple[Operand, ...], room: float
) -> Flags:
    """Whether tiles (mappings, 8) of ``held`` fit; operands of ``whole`` lie there whole."""
    needed = np.zeros(tile.shape[0])
    all_of = np.broadcast_to(np.array(nest.sizes, np.int64), tile.shape)
    for operand in held:
        resident = operand in whole
        width = nest.width(operand)
        if resident and operand == "sums":
            width = nest.output_bytes
        size: NDArray[Any] = footprint(all_of if resident else tile, operand, nest.stride)
        needed = needed + size * width * (nest.groups if resident else 1)
        if resident and operand == "sums":
            needed = needed + footprint(tile, operand, nest.stride) * SUM_BYTES
    fitting: Flags = needed <= room
    return fitting
