"""The mapping of memory, each assumption worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sangbo import chips
from sangbo.chips.chip import Chip, MemoryLevel, Quantity
from sangbo.chips.mapping import stored_bits
from sangbo.errors import PriceError
from sangbo.ledger import Histogram, Ledger


def memory(name: str, capacity: int | None, energy: float) -> MemoryLevel:
    def number(value: float, unit: str) -> Quantity:
        return Quantity(value, unit, "a test", "estimate")

    room = None if capacity is None else number(capacity, "byte")
    each = number(energy, "pJ/byte")
    return MemoryLevel(name, "external" if capacity is None else "on-chip", room, each, each)


def chip(*levels: MemoryLevel, included: bool = False) -> Chip:
    return Chip("test", "a test", True, True, "folded", included, {}, levels)


SMALL, LARGE, FAR = memory("small", 100, 1), memory("large", 5000, 10), memory("far", None, 100)


def linear(outputs: int, rows: int = 2, highest: int = 5) -> Ledger:
    """A linear layer of 80 inputs, int8 weights."""
    ledger = Ledger(samples=rows)
    ledger.neuron("n").add(np.full((rows, 80), highest, np.int32))
    count = ledger.operation("o", "n", 80 * outputs)
    count.rows = rows
    count.pairs.merge(ledger.neuron("n"), outputs)
    return ledger


def moved(ledger: Ledger, on: Chip, batch: int = 1) -> set[tuple[str, str, float, float]]:
    found = chips.accesses(ledger, on, batch=batch)
    return {(a.operand, a.level.name, a.read, a.written) for a in found}


def test_weights_that_do_not_fit_come_from_far_once_a_row() -> None:
    # 100 outputs: 8000 bytes of weights, and two passes of 64 sums, so levels are read twice.
    on = chip(SMALL, LARGE, FAR)
    assert moved(linear(100), on) == {
        ("weights", "far", 8000, 0),
        ("weights", "small", 8000, 8000),
        ("levels", "small", 160, 80),
    }
    assert moved(linear(100), on, batch=2) == {
        ("weights", "far", 4000, 0),
        ("weights", "small", 8000, 4000),
        ("levels", "small", 160, 80),
    }


def test_weights_that_fit_stay_on_the_chip() -> None:
    assert moved(linear(10), chip(SMALL, LARGE, FAR)) == {
        ("weights", "large", 800, 0),
        ("weights", "small", 800, 800),
        ("levels", "small", 80, 80),
    }
    assert moved(linear(1), chip(LARGE)) == {
        ("weights", "large", 80, 0),
        ("levels", "large", 80, 80),
    }


def test_wide_levels_take_more_bytes_and_may_move_out() -> None:
    # 80 levels of two bytes are 160 bytes a row, more than the small memory holds.
    found = moved(linear(10, highest=128), chip(SMALL, LARGE, FAR))
    assert ("levels", "large", 160, 160) in found


@pytest.mark.parametrize(
    ("highest", "bits"), [(0, 8), (127, 8), (128, 16), (32767, 16), (32768, 24), (2**20, 24)]
)
def test_stored_bits(highest: int, bits: int) -> None:
    assert stored_bits(Histogram({0: 1, highest: 1})) == bits


@pytest.mark.parametrize(("length", "home"), [(40, "large"), (6000, "far")])
def test_cached_keys_are_read_once_a_row_and_written_once(length: int, home: str) -> None:
    ledger = Ledger(samples=3)
    ledger.neuron("q").add(np.ones((3, 2), np.int32))
    ledger.neuron("k").add(np.ones((3, 2), np.int32))
    count = ledger.operation("a.scores", "q")
    count.rows, count.cache_bytes = 3, 3 * length
    count.pairs.merge(ledger.neuron("q"), length // 2)
    found = moved(ledger, chip(SMALL, LARGE, FAR))
    assert {a for a in found if a[0] == "cache"} == {
        ("cache", home, 0, 2),
        ("cache", home, length, 0),
        ("cache", "small", length, length),
    }


def test_the_cache_gives_way_to_the_weights() -> None:
    ledger = linear(50)  # 4000 of the 5000 bytes
    count = ledger.operation("a.scores", "n")
    count.rows, count.cache_bytes = 2, 2 * 1001
    assert ("cache", "far", 1001, 0) in moved(ledger, chip(SMALL, LARGE, FAR))
    count.cache_bytes = 2 * 1000
    assert ("cache", "large", 1000, 0) in moved(ledger, chip(SMALL, LARGE, FAR))


def test_memory_that_is_included_is_not_charged_again() -> None:
    assert chips.accesses(linear(10), chip(SMALL, included=True)) == []
    level = MemoryLevel("bare", "on-chip", SMALL.capacity)
    with pytest.raises(PriceError, match="expected energies of memory bare"):
        _ = chips.Access("levels", level, 1, 1).energy


@given(st.integers(1, 300), st.integers(1, 4), st.integers(1, 200))
def test_energy_is_bytes_times_energy_per_byte(outputs: int, rows: int, highest: int) -> None:
    ledger = linear(outputs, rows, highest)
    ledger.operations["o"].rescales = 0
    on = chips.load("horowitz-45nm")
    levels = {m.name: m for m in on.memory}
    price = chips.price(ledger, on)[0]
    expected: dict[str, float] = {}
    for _, name, read, written in moved(ledger, on):
        number_read, number_write = levels[name].read, levels[name].write
        assert number_read is not None
        assert number_write is not None
        expected[name] = (
            expected.get(name, 0) + read * number_read.value + written * number_write.value
        )
    assert price.energy is not None
    assert price.energy.levels == pytest.approx(expected)
    assert price.energy.memory == pytest.approx(sum(expected.values()))
