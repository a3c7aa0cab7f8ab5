"""One switching core or two separate ones: counts of cycles against loops over tiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sangbo.chips.cores import ACCUMULATE, MULTIPLY_ACCUMULATE, Cores, balanced, swing
from sangbo.errors import PriceError

tile = st.tuples(st.integers(0, 5000), st.integers(0, 5000))
layers = st.dictionaries(
    st.text("abc", max_size=2), st.lists(tile, min_size=1, max_size=9), min_size=1, max_size=4
).map(lambda found: {name: np.array(tiles, np.int64) for name, tiles in found.items()})


@given(layers, st.integers(2, 50), st.integers(1, 8), st.integers(0, 3), st.integers(1, 5))
def test_a_switching_core_takes_each_window_twice(
    work: Any, units: int, additions: int, switch: int, window: int
) -> None:
    cores = Cores(units, additions, switch, window)
    used = cores.switching(work)
    cycles = 0
    for tiles in work.values():
        for start in range(0, len(tiles), window):
            products, added = (int(n) for n in tiles[start : start + window].sum(axis=0))
            cycles += -(-products // units) + -(-added // (units * additions))
            cycles += switch if products and added else 0
    assert used.cycles == cycles
    assert 0 <= used.utilisation <= 1 + 1e-9
    if cycles:
        assert used.dense + used.spiking <= 1 + 1e-9


@given(layers, st.integers(2, 50), st.integers(1, 5))
def test_separate_cores_are_bound_by_the_slower_and_by_both_together(
    work: Any, units: int, window: int
) -> None:
    cores = Cores(units, window=window)
    split = cores.split(work)
    assert split[0] * MULTIPLY_ACCUMULATE + split[1] * ACCUMULATE == pytest.approx(cores.area)
    need = [tiles / np.array(split) for tiles in work.values()]
    slower = sum(float(n.sum(axis=0).max()) for n in need)
    together = sum(float(n.max(axis=1).sum()) for n in need)
    one_by_one = sum(float(n.sum()) for n in need)
    for ordered in (True, False):
        used = cores.separate(work, split, ordered=ordered)
        assert slower - 1e-6 <= used.cycles <= one_by_one + 1e-6
        assert 0 <= used.utilisation <= 1 + 1e-9
    if window == 1:
        # Without room for a second tile both cores wait for each other at every tile.
        assert cores.separate(work, split).cycles == pytest.approx(together)


@given(layers, st.integers(2, 50))
def test_room_for_all_tiles_leaves_only_the_slower_core(work: Any, units: int) -> None:
    cores = Cores(units, window=100)
    split = cores.split(work)
    slower = sum(float((t / np.array(split)).sum(axis=0).max()) for t in work.values())
    assert cores.separate(work, split).cycles == pytest.approx(slower)


@given(st.lists(tile, min_size=1, max_size=12))
def test_an_order_takes_every_tile_once_and_keeps_the_cores_together(tiles: Any) -> None:
    need = np.array(tiles, np.float64)
    order = balanced(need)
    assert sorted(order.tolist()) == list(range(len(need)))
    uneven = need[:, 0] - need[:, 1]
    ahead = np.cumsum(uneven[order])
    # Never further apart than the most uneven tile, until one side has nothing left to catch up.
    most = np.abs(uneven).max()
    assert ahead.max(initial=0) <= max(most, uneven.sum()) + 1e-9
    assert ahead.min(initial=0) >= min(-most, uneven.sum()) - 1e-9


def test_ordering_helps_where_tiles_lean_to_one_side_for_long() -> None:
    tiles = np.array([[900, 0]] * 10 + [[0, 900]] * 10, np.int64)
    cores = Cores(10, window=2)
    split = (10.0, 10.0)
    # As they come, the second core waits but for the last tile of the first.
    assert cores.separate({"a": tiles}, split, ordered=False).cycles == pytest.approx(1710)
    assert cores.separate({"a": tiles}, split).cycles == pytest.approx(900)


def test_swings_are_quantiles_of_the_dense_share() -> None:
    works = [np.array([[1, 0]]), np.array([[0, 5]]), np.array([[0, 0]])]
    found = swing(works)
    assert (found["least"], found["most"]) == (0.0, 1.0)
    assert swing([]) == {}


@pytest.mark.parametrize(
    "fields", [{"units": 1}, {"additions": 0}, {"additions": 9}, {"switch": -1}, {"window": 0}]
)
def test_cores_that_are_none_are_refused(fields: dict[str, int]) -> None:
    with pytest.raises(PriceError, match="expected"):
        Cores(**({"units": 4} | fields))
