"""Finds the mapping of one nest on a chip's memories that costs the least energy.

The space, searched whole: which memories are used (at most two that all units share), the size of
every tile along every dimension (the unrolled part times a power of two, or the whole), what each
stage of loops keeps stationary, where the loop over time steps turns, and which of inputs and
outputs stay on the chip. Where that is more than `MOST` mappings, every other size is left out, the
smallest and the whole kept. The candidates do not depend on any memory's size, so a larger memory
never costs more. Ties go to the first in this order, so the search is deterministic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product
from math import inf, prod

import numpy as np

from sangbo.chips.counts import GROUPS, STATIONARY, Flags, Reals, Tiles, Tiling, cycles, fits
from sangbo.chips.nests import DIMENSIONS, OPERANDS, SUM_BYTES, C, Nest, Operand, R, S, T
from sangbo.errors import PriceError

MOST = 6_000
"""Most chains of tiles that are tried for one choice of memories."""


@dataclass(frozen=True, slots=True)
class Store:
    """A memory as the search sees it.

    Attributes:
        name: of the memory.
        private: whether every unit has one of its own, of ``room`` bytes each.
        external: whether it is off the chip.
        holds: operands that may lie there.
        room: bytes.
        read, write: energy in pJ per byte.
    """

    name: str
    private: bool
    external: bool
    holds: tuple[Operand, ...]
    room: float
    read: float
    write: float


ROW_DIMENSIONS = ("inputs", "kernel_rows")
COLUMN_DIMENSIONS = ("outputs", "columns", "rows")
"""What an array unrolls along its axes if nothing else is said."""


@dataclass(frozen=True, slots=True)
class Array:
    """The units: two axes, each unrolling the dimensions named, the first as far as it goes."""

    rows: int = 1
    columns: int = 1
    row_dimensions: tuple[str, ...] = ROW_DIMENSIONS
    column_dimensions: tuple[str, ...] = COLUMN_DIMENSIONS

    @property
    def units(self) -> int:
        """Units in all."""
        return self.rows * self.columns

    def unroll(self, nest: Nest) -> tuple[int, ...]:
        """What the units do of ``nest`` at once: a size for each of `DIMENSIONS`."""
        space = [1] * len(DIMENSIONS)
        for room, names in (
            (self.rows, self.row_dimensions),
            (self.columns, self.column_dimensions),
        ):
            for place in map(DIMENSIONS.index, names):
                taken = max(1, min(room, nest.sizes[place] // space[place]))
                space[place] *= taken
                room //= taken
        return tuple(space)


@dataclass(frozen=True, slots=True)
class Flow:
    """Bytes of one operand at one memory, of all groups of a nest."""

    store: str
    operand: Operand
    read: float
    written: float


@dataclass(frozen=True, slots=True)
class Mapping:
    """The mapping found for a nest.

    Attributes:
        stores: memories used, by stage, nearest first.
        tiles: size along each of `DIMENSIONS` of what the units do at once and of every stage.
        orders: what each stage of loops keeps stationary.
        resident: operands that stay on the chip from one operation to the next.
        flows: bytes moved.
        energy: of all flows, pJ.
        cycles: turns of all loops, of all groups.
        utilisation: share of unit-cycles that do a product of the nest.
    """

    stores: tuple[tuple[str, ...], ...]
    tiles: tuple[tuple[int, ...], ...]
    orders: tuple[Operand, ...]
    resident: tuple[Operand, ...]
    flows: tuple[Flow, ...]
    energy: float
    cycles: float
    utilisation: float

    def describe(self) -> str:
        """The loops, outermost first, as people write them."""
        parts = []
        for stage in range(len(self.orders), 0, -1):
            outer, inner = self.tiles[stage], self.tiles[stage - 1]
            loops = [
                f"{name} {-(-o // i)}"
                for name, o, i in zip(DIMENSIONS, outer, inner, strict=True)
                if o > i
            ]
            memory = "+".join(self.stores[stage - 1])
            parts.append(f"{memory}: {', '.join(loops) or '–'} ({self.orders[stage - 1]} stay)")
        space = [f"{n} {s}" for n, s in zip(DIMENSIONS, self.tiles[0], strict=True) if s > 1]
        return "; ".join([*parts, f"units: {', '.join(space) or 'one'}"])


@lru_cache(maxsize=4096)
def search(
    nest: Nest,
    stores: tuple[Store, ...],
    array: Array,
    *,
    resident: bool = False,
    reserved: float = 0.0,
) -> Mapping:
    """The cheapest mapping of ``nest``.

    Args:
        nest: what is computed.
        stores: memories, nearest first; an external one is the last.
        array: the units.
        resident: whether the nest's weights lie in the largest shared memory on the chip.
        reserved: bytes of that memory that resident weights take.

    Raises:
        PriceError: where no tile fits.
    """
    best: Mapping | None = None
    for stages in _stages(stores, resident):
        found = _Space(nest, stages, array, resident, reserved).best()
        if found is not None and (best is None or found.energy < best.energy * (1 - 1e-12)):
            best = found
    if best is None and reserved:  # so little is left that tiles share the room of the weights
        return search(nest, stores, array, resident=resident)
    if best is None:
        rooms = ", ".join(f"{s.name} {s.room:g}" for s in stores)
        raise PriceError(
            f"expected memories that hold what {array.units} units need of {nest.name!r} at once, "
            f"found {rooms} bytes"
        )
    return best


def _stages(stores: tuple[Store, ...], resident: bool) -> Iterator[tuple[tuple[Store, ...], ...]]:
    """Every choice of memories, nearest first; with the largest one where weights lie there."""
    private = tuple(s for s in stores if s.private)
    shared = [s for s in stores if not s.private and not s.external]
    external = [s for s in stores if s.external][-1:]
    near = (private,) if private else ()
    if not shared:
        yield (*near, *((s,) for s in external))
        return
    largest = max(shared, key=lambda s: s.room)
    most = 1 if private else 2
    for count in range(1, most + 1):
        for used in combinations(shared, count):
            if largest in used or not (resident or not external):
                yield (*near, *((s,) for s in used), *((s,) for s in external))


class _Space:
    """All mappings of one nest on one choice of memories."""

    def __init__(
        self,
        nest: Nest,
        stages: tuple[tuple[Store, ...], ...],
        array: Array,
        resident: bool,
        reserved: float,
    ) -> None:
        self.nest, self.stages, self.array = nest, stages, array
        self.external = stages[-1][0].external
        on_chip = [i for i, stage in enumerate(stages) if not stage[0].external]
        self.home = on_chip[-1] if on_chip else -1
        self.fixed: tuple[Operand, ...] = ("weights",) if resident and self.external else ()
        self.reserved = reserved
        self.tiles = self._tiles(array.unroll(nest))

    def best(self) -> Mapping | None:
        kept = self._kept()
        allowed = [self._fitting(self.tiles, whole) for whole in kept]
        some = np.logical_or.reduce(allowed)
        if not some.any():
            return None
        tiles, allowed = self.tiles[some], [a[some] for a in allowed]
        tiling = Tiling(self.nest, tiles)
        if self.nest.steps > 1:
            complete = self._finished(tiling)
            allowed = [a & complete for a in allowed]
        exchanges = _Exchanges(self, tiling)
        least: tuple[float, int, tuple[Operand, ...], tuple[Operand, ...]] | None = None
        for orders in product(self._keeping(), repeat=len(self.stages)):
            costs = {o: exchanges.cost(o, orders) for o in OPERANDS}
            for whole_kept, mask in zip(kept, allowed, strict=True):
                total = np.zeros(len(tiles))
                for operand, (inside, outside, spilt) in costs.items():
                    total = total + inside
                    if operand not in whole_kept:
                        total = total + outside
                    elif operand == "sums":
                        total = np.where(spilt, inf, total)
                total = np.where(mask, total, inf)
                place = int(np.argmin(total))
                if total[place] < inf and (least is None or total[place] < least[0] * (1 - 1e-12)):
                    least = float(total[place]), place, orders, whole_kept
        return None if least is None else self._mapping(tiles[[least[1]]], *least[2:])

    def _mapping(
        self, tiles: Tiles, orders: tuple[Operand, ...], kept: tuple[Operand, ...]
    ) -> Mapping:
        tiling = Tiling(self.nest, tiles)
        flows = [
            Flow(store.name, operand, float(r[0]) * groups, float(w[0]) * groups)
            for groups in (self.nest.groups,)
            for operand in OPERANDS
            for pair in pairs(self.stages, operand)
            if not (pair.crossing and operand in kept)
            for stores, (read, written) in [exchange(self.nest, tiling, orders, pair)]
            for store, r, w in zip(stores, read, written, strict=True)
        ]
        rates = {s.name: (s.read, s.write) for stage in self.stages for s in stage}
        energy = sum(f.read * rates[f.store][0] + f.written * rates[f.store][1] for f in flows)
        turned = float(cycles(tiles)[0]) * self.nest.groups
        return Mapping(
            stores=tuple(tuple(s.name for s in stage) for stage in self.stages),
            tiles=tuple(tuple(int(v) for v in tile) for tile in tiles[0]),
            orders=orders,
            resident=kept,
            flows=_joined(flows),
            energy=energy,
            cycles=turned,
            utilisation=self.nest.macs * self.nest.steps / (turned * self.array.units),
        )

    def _keeping(self) -> list[Operand]:
        """What a stage may keep stationary: only what is reused along some loop."""
        sizes = self.nest.sizes
        some = [o for o in OPERANDS if any(sizes[d] > 1 for d in GROUPS[STATIONARY[o]])]
        return some or ["weights"]

    def _kept(self) -> list[tuple[Operand, ...]]:
        """Every choice of operands that stay on the chip."""
        if not self.external or self.home < 0:
            return [self.fixed]
        room = self.stages[self.home][0].room / 2
        nest, held = self.nest, self.stages[self.home][0].holds
        free: list[Operand] = []
        if "inputs" in held and nest.input_count * nest.input_bytes * nest.steps <= room:
            free.append("inputs")
        if "sums" in held and nest.output_count * nest.output_bytes <= room:
            free.append("sums")
        return [
            (*self.fixed, *some) for n in range(len(free) + 1) for some in combinations(free, n)
        ]

    def _fitting(self, tiles: Tiles, kept: tuple[Operand, ...]) -> Flags:
        fitting = np.ones(len(tiles), bool)
        last = len(self.stages) - 1
        for index, stage in enumerate(self.stages):
            if index == last and (self.external or index):
                continue  # the outermost memory holds everything, however many chips that takes
            for store in stage:
                tile = tiles[:, index + 1]
                if store.private:
                    tile = -(-tile // tiles[:, 0])
                whole = tuple(o for o in kept if o != "weights") if index == self.home else ()
                held = tuple(o for o in store.holds if not (index == self.home and o in self.fixed))
                room = store.room - (self.reserved if index == self.home and self.external else 0)
                fitting &= fits(self.nest, tile, held, whole, room)
        return fitting

    def _finished(self, tiling: Tiling) -> Flags:
        """Whether every time step's sums are complete before the next step begins."""
        complete, inside = np.ones(len(tiling.tiles), bool), np.zeros(len(tiling.tiles), bool)
        for stage in range(tiling.stages):
            complete &= ~(inside & tiling.turning(stage, (C, R, S)))
            inside |= tiling.turning(stage, (T,))
        return complete

    def _tiles(self, space: tuple[int, ...]) -> Tiles:
        """Every chain of tiles, (mappings, stages + 1, 8)."""
        middle = len(self.stages) - 1
        sizes = [_sizes(s, w) for s, w in zip(space, self.nest.sizes, strict=True)]
        sizes[T] = [1, self.nest.steps] if self.nest.steps > 1 else [1]
        while prod(len(_chains(some, middle)) for some in sizes) > MOST:
            longest = max(range(T), key=lambda d: len(sizes[d]))
            if len(sizes[longest]) <= 2:
                break
            some = sizes[longest]
            sizes[longest] = sorted({some[0], *some[::2], some[-1]})
        chains = [_chains(some, middle) for some in sizes]
        counts = [len(c) for c in chains]
        places = np.unravel_index(np.arange(prod(counts)), counts)
        tiles = np.empty((prod(counts), middle + 2, len(DIMENSIONS)), np.int64)
        tiles[:, 0], tiles[:, -1] = space, self.nest.sizes
        for dimension, (chain, place) in enumerate(zip(chains, places, strict=True)):
            tiles[:, 1:-1, dimension] = np.array(chain, np.int64).reshape(len(chain), middle)[place]
        return tiles


class _Exchanges:
    """Energies of an operand's flows, computed once for all orders that they are the same for."""

    def __init__(self, space: _Space, tiling: Tiling) -> None:
        self.space, self.tiling = space, tiling
        self._known: dict[tuple[Operand, int, tuple[Operand, ...]], tuple[Reals, Flags]] = {}
        self._none = np.zeros(len(tiling.tiles))

    def cost(self, operand: Operand, orders: tuple[Operand, ...]) -> tuple[Reals, Reals, Flags]:
        """Energy inside the chip, energy of external memory, whether unfinished sums go there."""
        inside = outside = self._none
        spilt = self._none > 0
        for pair in pairs(self.space.stages, operand):
            key = operand, pair.child, orders[pair.child :]
            if key not in self._known:
                stores, (read, written) = exchange(self.space.nest, self.tiling, orders, pair)
                energy = self._none
                for store, r, w in zip(stores, read, written, strict=True):
                    energy = energy + (r * store.read + w * store.write)
                self._known[key] = energy, read[0] > 0
            energy, some = self._known[key]
            if pair.crossing:
                outside, spilt = outside + energy, spilt | some
            else:
                inside = inside + energy
        return inside, outside, spilt


@dataclass(frozen=True, slots=True)
class Pair:
    """A memory and the one below it that hold the same operand; None below are the units."""

    operand: Operand
    child: int
    store: Store
    below: Store | None
    crossing: bool


@lru_cache(maxsize=256)
def pairs(stages: tuple[tuple[Store, ...], ...], operand: Operand) -> tuple[Pair, ...]:
    """Every pair of memories that exchange ``operand``, nearest first."""
    found: list[Pair] = []
    child, below = 0, None
    for index, stage in enumerate(stages):
        for store in stage:
            if operand in store.holds:
                crossing = store.external and index > 0 and below is stages[index - 1][0]
                found.append(Pair(operand, child, store, below, crossing))
                child, below = index + 1, store
    return tuple(found)


def exchange(
    nest: Nest, tiling: Tiling, orders: tuple[Operand, ...], pair: Pair
) -> tuple[list[Store], tuple[list[Reals], list[Reals]]]:
    """The memories of ``pair``, and the bytes that each reads and writes."""
    store, below, width = pair.store, pair.below, nest.width(pair.operand)
    private = store.private if below is None else below.private
    moved = tiling.traffic(orders, pair.operand, pair.child, private)
    leaving = SUM_BYTES if store.private else nest.output_bytes
    up = (moved.up - moved.final) * width + moved.final * leaving
    if below is None:
        if private:
            return [store], ([moved.filled * width], [moved.drained * width])
        return [store], ([moved.down * width], [up])
    drained = moved.drained * width if below.private else up
    return [store, below], ([moved.down * width, drained], [up, moved.filled * width])


def _joined(flows: list[Flow]) -> tuple[Flow, ...]:
    """One flow for each memory and operand."""
    read: dict[tuple[str, Operand], float] = {}
    written: dict[tuple[str, Operand], float] = {}
    for flow in flows:
        key = flow.store, flow.operand
        read[key] = read.get(key, 0.0) + flow.read
        written[key] = written.get(key, 0.0) + flow.written
    return tuple(Flow(*key, read[key], written[key]) for key in read)


def _sizes(space: int, whole: int) -> list[int]:
    """Sizes that a tile may have along one dimension."""
    sizes = []
    while space < whole:
        sizes.append(space)
        space *= 2
    return [*sizes, whole]


def _chains(sizes: list[int], middle: int) -> list[tuple[int, ...]]:
    """Sizes of ``middle`` tiles, each at most as large as the next."""
    return [c for c in product(sizes, repeat=middle) if list(c) == sorted(c)]
