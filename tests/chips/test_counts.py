"""Access counts against a simulator that runs the loops and fetches what its buffer lacks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sangbo.chips.counts import GROUPS, ORDERS, Tiling, cycles, fits, footprint
from sangbo.chips.nests import OPERANDS, RELEVANT, B, C, K, Nest, Operand, R, S, T, X, Y, linear
from sangbo.errors import PriceError

Index = tuple[int, ...]
Tile = tuple[int, ...]


@st.composite
def cases(draw: st.DrawFn, *, dividing: bool) -> tuple[Nest, list[Tile], tuple[Operand, ...]]:
    """A small nest, a chain of tiles up to the whole of it, and what each stage keeps."""
    stages = draw(st.integers(1, 3))
    chain: list[list[int]] = [[] for _ in range(stages + 1)]
    for dimension in range(8):
        limit = 4 if dimension in (B, K, C, T) else 3
        sizes = [draw(st.integers(1, 2)) if draw(st.booleans()) else 1]
        for _ in range(stages):
            sizes.append(sizes[-1] * draw(st.integers(1, 2)))
        whole = sizes[-1] if dividing else max(1, sizes[-1] - draw(st.integers(0, 1)))
        sizes = [min(size, whole) for size in sizes]
        if whole > 2 * limit:
            sizes = [1] * (stages + 1)
        for tile, size in zip(chain, sizes, strict=True):
            tile.append(size)
    b, k, c, y, x, r, s, t = chain[-1]
    nest = Nest("n", b, k, c, y, x, r, s, stride=draw(st.integers(1, 3)), steps=t)
    orders = tuple(draw(st.sampled_from(OPERANDS)) for _ in range(stages))
    return nest, [tuple(tile) for tile in chain], orders


def loops(tiles: list[Tile], orders: tuple[Operand, ...], child: int) -> Iterator[Index]:
    """Where tile ``child`` stands, in the order in which the loops above it turn."""

    def within(stage: int, start: Index, end: Index) -> Iterator[Index]:
        if stage == child:
            yield start
            return
        step = tiles[stage - 1]
        turning = [T, *(d for g in ORDERS[orders[stage - 1]] for d in GROUPS[g])]
        for at in itertools.product(*(range(start[d], end[d], step[d]) for d in turning)):
            inner = list(start)
            for d, place in zip(turning, at, strict=True):
                inner[d] = place
            stop = tuple(min(inner[d] + step[d], end[d]) for d in range(8))
            yield from within(stage - 1, tuple(inner), stop)

    whole = tiles[-1]
    yield from within(len(tiles) - 1, (0,) * 8, whole)


def touched(operand: Operand, start: Index, end: Index, stride: int) -> set[Index]:
    """Elements of ``operand`` that the products of a tile touch."""
    at = [range(start[d], end[d]) for d in range(8)]
    if operand == "weights":
        return set(itertools.product(at[K], at[C], at[R], at[S]))
    if operand == "sums":
        return set(itertools.product(at[B], at[K], at[Y], at[X]))
    rows = {stride * y + r for y in at[Y] for r in at[R]}
    columns = {stride * x + s for x in at[X] for s in at[S]}
    return set(itertools.product(at[T], at[B], at[C], rows, columns))


def simulate(
    nest: Nest, tiles: list[Tile], orders: tuple[Operand, ...], operand: Operand, child: int
) -> tuple[int, int]:
    """Elements read from and written to the memory above ``child``, by a buffer of one tile."""
    down = up = 0
    held: Index | None = None
    buffer: set[Index] = set()
    begun: set[Index] = set()
    for start in loops(tiles, orders, child):
        key = tuple(start[d] for d in RELEVANT[operand])
        if key == held:
            continue
        held = key
        end = tuple(min(start[d] + tiles[child][d], tiles[-1][d]) for d in range(8))
        if operand == "sums":
            up += len(buffer)
        buffer = touched(operand, start, end, nest.stride)
        if operand == "sums":
            down += len(buffer & begun)
            begun |= buffer
        else:
            down += len(buffer)
    return down, up + (len(buffer) if operand == "sums" else 0)


def counted(
    nest: Nest, tiles: list[Tile], orders: tuple[Operand, ...], operand: Operand, child: int
) -> tuple[float, float]:
    found = Tiling(nest, np.array([tiles])).traffic(orders, operand, child, private=False)
    return float(found.down[0]), float(found.up[0])


@settings(max_examples=60, deadline=None)
@given(cases(dividing=True))
def test_counts_equal_a_simulation(case: tuple[Nest, list[Tile], tuple[Operand, ...]]) -> None:
    nest, tiles, orders = case
    for operand, child in itertools.product(OPERANDS, range(len(orders))):
        found = counted(nest, tiles, orders, operand, child)
        assert found == simulate(nest, tiles, orders, operand, child), (operand, child)


@settings(max_examples=60, deadline=None)
@given(cases(dividing=False))
def test_tiles_that_do_not_divide_are_counted_from_above(
    case: tuple[Nest, list[Tile], tuple[Operand, ...]],
) -> None:
    nest, tiles, orders = case
    for operand, child in itertools.product(OPERANDS, range(len(orders))):
        down, up = counted(nest, tiles, orders, operand, child)
        least = simulate(nest, tiles, orders, operand, child)
        assert down >= least[0]
        assert up >= least[1]
        if len(orders) == 1:  # no loop turns only once at an edge
            assert (down, up) == least


@settings(max_examples=40, deadline=None)
@given(cases(dividing=True))
def test_units_with_memories_of_their_own(
    case: tuple[Nest, list[Tile], tuple[Operand, ...]],
) -> None:
    """Every unit fetches its own copy: run each unit's share of the tiles by itself."""
    nest, tiles, orders = case
    space = tiles[0]
    for operand, child in itertools.product(OPERANDS, range(min(2, len(orders)))):
        found = Tiling(nest, np.array([tiles])).traffic(orders, operand, child, private=True)
        total = 0
        own = tuple(-(-tiles[child][d] // space[d]) for d in range(8))
        held: Index | None = None
        for start in loops(tiles, orders, child):
            key = tuple(start[d] for d in RELEVANT[operand])
            adding = operand == "sums" and child == 0
            if key == held and not adding:
                continue
            held = key
            for unit in itertools.product(*(range(space[d]) for d in range(8))):
                first = tuple(start[d] + unit[d] * own[d] for d in range(8))
                last = tuple(first[d] + own[d] for d in range(8))
                total += len(touched(operand, first, last, nest.stride))
        if operand == "sums":
            assert found.drained[0] == total
        else:
            assert found.filled[0] == total


@settings(max_examples=40, deadline=None)
@given(cases(dividing=True))
def test_footprints_and_cycles(case: tuple[Nest, list[Tile], tuple[Operand, ...]]) -> None:
    nest, tiles, orders = case
    start = (0,) * 8
    for operand in OPERANDS:
        tile = (*tiles[0][:T], 1)
        found = footprint(np.array([tile]), operand, nest.stride)[0]
        assert found == len(touched(operand, start, tile, nest.stride))
    assert cycles(np.array([tiles]))[0] == len(list(loops(tiles, orders, 0)))


def test_what_fits() -> None:
    nest = linear("n", 4, 8, batch=2)
    tile = np.array([[2, 4, 8, 1, 1, 1, 1, 1]])
    # 32 weights, 16 inputs, 8 sums of four bytes.
    assert fits(nest, tile, OPERANDS, (), 80)[0]
    assert not fits(nest, tile, OPERANDS, (), 79)[0]
    half = np.array([[1, 2, 8, 1, 1, 1, 1, 1]])
    # 16 weights, 8 inputs, 2 sums; or all 16 inputs, and all 8 outputs beside the 2 sums.
    assert fits(nest, half, OPERANDS, (), 32)[0]
    assert not fits(nest, half, OPERANDS, ("inputs",), 39)[0]
    assert fits(nest, half, OPERANDS, ("inputs", "sums"), 48)[0]
    assert not fits(nest, half, OPERANDS, ("inputs", "sums"), 47)[0]
    with pytest.raises(PriceError, match=r"sizes of 1 or more in nest 'n', found \{'outputs': 0"):
        linear("n", 0, 8)
