"""Prices against a loop that visits every weight and every spike, and against published figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sangbo import chips
from sangbo.chips.chip import Chip, MemoryLevel, Quantity
from sangbo.codes import CODES
from sangbo.errors import CodeError, LedgerError, PriceError
from sangbo.ledger import Histogram, Ledger

WEIGHTS = np.random.default_rng(3).integers(-127, 128, (3, 4)).tolist()
level = st.one_of(st.integers(-9, 9), st.integers(-300, 300), st.integers(-(2**20), 2**20))
layers = st.lists(st.lists(level, min_size=4, max_size=4), min_size=1, max_size=3)
small_layers = st.lists(
    st.lists(st.integers(-40, 40), min_size=4, max_size=4), min_size=1, max_size=3
)
energy = st.floats(0.01, 100)


def quantity(value: float, unit: str = "pJ") -> Quantity:
    return Quantity(value, unit, "a test", "estimate")


def chip(energies: Mapping[str, float], **changes: object) -> Chip:
    sram = MemoryLevel(
        "sram", "on-chip", quantity(64, "byte"), quantity(2, "pJ/byte"), quantity(3, "pJ/byte")
    )
    dram = MemoryLevel("dram", "external", None, quantity(50, "pJ/byte"), quantity(70, "pJ/byte"))
    fields: dict[str, object] = {
        "name": "test",
        "title": "a test",
        "dense": "mac" in energies,
        "spiking": "accumulate" in energies,
        "execution": "folded",
        "memory_included": False,
        "tables": {"energy": {key: quantity(value) for key, value in energies.items()}},
        "memory": (sram, dram),
    }
    return Chip(**(fields | changes))  # type: ignore[arg-type]


ROOMY = (
    MemoryLevel(
        "sram", "on-chip", quantity(2**20, "byte"), quantity(2, "pJ/byte"), quantity(2, "pJ/byte")
    ),
    MemoryLevel("dram", "external", None, quantity(50, "pJ/byte"), quantity(50, "pJ/byte")),
)


def ledger_of(rows: list[list[int]]) -> Ledger:
    """The ledger of one linear layer, filled as an engine fills it."""
    ledger = Ledger(samples=len(rows))
    ledger.neuron("n").add(np.array(rows, np.int64))
    count = ledger.operation("o", "n", 12)
    count.rows = len(rows)
    count.pairs.merge(ledger.neuron("n"), len(WEIGHTS))
    count.accumulators = count.rescales = len(rows) * len(WEIGHTS)
    return ledger


def spikes_of(n: int, code: str) -> list[int]:
    """What each spike of level n is worth, from the definition of the code alone."""
    sign = 1 if n > 0 else -1
    if code == "rate":
        return [sign] * abs(n)
    if code == "graded":
        return [n] if n else []
    if code == "radix":
        return [sign * 2**k for k, bit in enumerate(reversed(bin(abs(n))[2:])) if bit == "1"]
    worths, place = [], 1
    while n:  # the non-adjacent form, lowest digit first
        digit = 2 - n % 4 if n % 2 else 0
        if digit:
            worths.append(digit * place)
        n, place = (n - digit) // 2, place * 2
    return worths


@dataclass
class Counted:
    macs: int = 0
    synaptic_operations: int = 0
    spikes: int = 0
    dense_nonzero: int = 0
    nonzero: int = 0


def run(rows: list[list[int]], code: str, most_spikes: float) -> Counted:
    """Execute the layer spike by spike; levels of more than ``most_spikes`` spikes go dense."""
    counted = Counted()
    for row in rows:
        sums = [0] * len(WEIGHTS)
        for source, n in enumerate(row):
            worths = spikes_of(n, code)
            to_dense = len(worths) > most_spikes
            counted.spikes += 0 if to_dense else len(worths)
            for target, weights in enumerate(WEIGHTS):
                counted.nonzero += n != 0
                if to_dense:
                    counted.macs += 1
                    counted.dense_nonzero += n != 0
                    sums[target] += n * weights[source]
                else:
                    for worth in worths:
                        counted.synaptic_operations += 1
                        sums[target] += worth * weights[source]
        assert sums == (np.array(WEIGHTS, object) @ np.array(row, object)).tolist()
    return counted


def check_events(rows: list[list[int]], code: str) -> None:
    found = chips.price(ledger_of(rows), chip({"mac": 3.5, "accumulate": 1}), code=code)
    limits = {"dense": -1, "spiking": float("inf"), "complementary": 0 if code == "graded" else 3}
    assert [p.scheme for p in found] == list(limits)
    for price in found:
        expected = run(rows, code, limits[price.scheme])
        per = len(rows)
        assert price.events.macs == expected.macs / per
        assert price.events.synaptic_operations == expected.synaptic_operations / per
        assert price.events.spikes == expected.spikes / per
        assert price.events.neuron_updates == 4
        assert price.dense_fraction == (expected.dense_nonzero / (expected.nonzero or 1))
        assert price.dense_fraction_levels == pytest.approx(price.dense_fraction)
        assert price.energy is not None
        per_spike = 3.5 if code == "graded" else 1
        compute = (3.5 * expected.macs + per_spike * expected.synaptic_operations) / per
        assert price.energy.compute == pytest.approx(compute)
        side = [n for row in rows for n in row if len(spikes_of(n, code)) <= limits[price.scheme]]
        assert price.largest_spiking == max(map(abs, side), default=0)
        most = max((len(spikes_of(n, code)) for n in side), default=0)
        assert price.most_spikes == most


@pytest.mark.parametrize("code", [c for c in CODES if c != "rate"])
@given(rows=layers)
def test_events_equal_a_run_spike_by_spike(code: str, rows: list[list[int]]) -> None:
    check_events(rows, code)


@given(small_layers)
def test_events_equal_a_run_spike_by_spike_rate(rows: list[list[int]]) -> None:
    check_events(rows, "rate")


def test_events_of_a_huge_level_in_the_rate_code() -> None:
    check_events([[70_000, -3, 0, 4]], "rate")


@st.composite
def ledgers(draw: st.DrawFn) -> Ledger:
    """Any ledger that fits together, uneven fan-out included."""
    ledger = Ledger(samples=draw(st.integers(1, 5)))
    for index in range(draw(st.integers(0, 3))):
        magnitudes = draw(st.dictionaries(st.integers(0, 2**20), st.integers(1, 99), max_size=6))
        ledger.neuron(f"n{index}").merge(Histogram(magnitudes))
        for target in range(draw(st.integers(0, 2))):
            count = ledger.operation(f"o{index}{target}", f"n{index}", draw(st.integers(0, 999)))
            count.rows = draw(st.integers(1, 9))
            count.rescales = draw(st.integers(0, 99))
            count.cache_bytes = draw(st.integers(0, 9999))
            for magnitude, times in magnitudes.items():
                count.pairs.merge(Histogram({magnitude: times}), draw(st.integers(0, 20)))
    return ledger


@given(
    ledgers(),
    st.fixed_dictionaries(
        {"mac": energy, "accumulate": energy, "neuron_update": energy},
        optional={"spike": energy, "transport": energy, "rescale": energy},
    ),
    st.sampled_from(sorted(CODES)),
    st.integers(1, 4),
)
def test_complementary_is_never_dearer(
    ledger: Ledger, energies: dict[str, float], code: str, batch: int
) -> None:
    found = chips.price(ledger, chip(energies, memory=ROOMY), code=code, batch=batch)
    dense, spiking, both = (p.energy for p in found)
    assert dense is not None
    assert spiking is not None
    assert both is not None
    assert both.compute <= min(dense.compute, spiking.compute) * (1 + 1e-6)
    assert both.levels == dense.levels == spiking.levels
    assert all(b.energy.compute <= dense.compute * (1 + 1e-9) for b in found[0].baselines)
    assert both.total == pytest.approx(both.compute + sum(both.levels.values()))
    assert sum(both.parts.values()) == pytest.approx(both.compute)
    stepped = found[1].stepped
    assert stepped is not None
    assert stepped.compute >= spiking.compute * (1 - 1e-9)


def test_break_even_of_published_tables() -> None:
    horowitz = chips.load("horowitz-45nm")
    assert round(chips.break_even(horowitz, "float32", "float32"), 1) == 5.1
    assert round(chips.break_even(horowitz, "int8", "int8"), 1) == 7.7
    assert round(chips.break_even(horowitz), 1) == 3.0


def test_equal_prices_go_dense() -> None:
    # 7 = 111 in binary has three spikes, and 3 × 0.1 pJ is exactly one MAC of 0.3 pJ.
    both = chips.price(ledger_of([[7, 3, 0, 0]]), chips.load("horowitz-45nm"), code="radix")[2]
    assert (both.events.macs, both.events.synaptic_operations) == (3, 6)
    assert (both.largest_spiking, both.most_spikes) == (3, 2)
    assert both.dense_fraction == both.dense_fraction_levels == 0.5


def test_spikes_that_cost_to_send_go_dense_when_few_listen() -> None:
    rows = [[1, 0, 0, 0]]
    cheap = chips.price(ledger_of(rows), chip({"mac": 3, "accumulate": 1, "transport": 5}))
    dear = chips.price(ledger_of(rows), chip({"mac": 3, "accumulate": 1, "transport": 7}))
    assert (cheap[2].events.macs, cheap[2].events.spikes) == (0, 1)
    assert (dear[2].events.macs, dear[2].events.spikes) == (3, 0)


def test_neuron_updates_and_rescales_are_paid_by_all() -> None:
    energies = {"mac": 1e-9, "accumulate": 1e-9, "neuron_update": 5, "rescale": 7}
    for price in chips.price(ledger_of([[1, 2, 3, 4]]), chip(energies)):
        assert price.energy is not None
        assert price.energy.compute == pytest.approx(4 * 5 + 3 * 7)


def test_baselines() -> None:
    # Levels 5, 0, 1, 0: largest 5, so ⌈log2(5 + 1)⌉ = 3 bits; 12 products, 6 of them not zero.
    tables = {
        "energy": {"mac": quantity(0.3), "accumulate": quantity(0.1)},
        "arithmetic": {"multiply_int8": quantity(0.2)},
    }
    found = chips.price(
        ledger_of([[5, 0, 1, 0]]), chip({}, dense=True, spiking=True, tables=tables)
    )
    by_name = {b.name: b.energy for b in found[0].baselines}
    narrow = 0.2 * 3 / 8 + 0.1
    assert by_name["zero skipping"].compute == pytest.approx(6 * 0.3)
    assert by_name["quantised"].compute == pytest.approx(12 * narrow)
    assert by_name["quantised, zero skipping"].compute == pytest.approx(6 * narrow)
    # One unit adds up one output after the other: four levels, at 2 pJ a byte, are read for each of
    # three outputs, with 3 bits instead of a byte.
    dense = found[0].energy
    assert dense is not None
    assert by_name["zero skipping"].memory == dense.memory
    assert dense.memory - by_name["quantised"].memory == pytest.approx(4 * (1 - 3 / 8) * 3 * 2)
    assert found[0].relative_to_baseline == pytest.approx(
        dense.total / by_name["quantised, zero skipping"].total
    )


def test_a_chip_without_a_dense_unit() -> None:
    rows = [[5, -2, 0, 1]]
    dense, spiking, both = chips.price(ledger_of(rows), chips.load("loihi-1"), code="rate")
    for price in (dense, both):
        assert price.energy is None
        assert price.relative_to_dense is None
        assert f"loihi-1 has no unit for the {price.scheme} scheme." in price.notes
        assert "not available" in str(price)
    assert spiking.energy is not None
    assert spiking.energy.memory == 0
    # 8 spikes at 3 targets; 4 neurons updated in each of the 5 steps that level 5 takes.
    assert spiking.events.synaptic_operations == 24
    assert spiking.events.neuron_updates == 20
    assert spiking.energy.compute == pytest.approx(24 * 23.6 + 20 * 81 + 8 * 1.7)
    assert any("rescale: not priced" in note for note in spiking.notes)
    assert not any("at least" in note for note in spiking.notes)
    graded = chips.price(ledger_of(rows), chips.load("loihi-1"), code="graded")
    assert all(p.energy is None for p in graded)


def test_a_network_that_needs_several_chips_says_so() -> None:
    ledger = ledger_of([[1, 1, 1, 1]])
    ledger.operation("big", "n", 40 * 2**20)
    spiking = chips.price(ledger, chips.load("loihi-1"))[1]
    assert any("at least 3 chips" in note for note in spiking.notes)


def test_wide_levels_are_noted() -> None:
    found = chips.price(ledger_of([[128, 127, 0, 0]]), chips.load("horowitz-45nm"))
    wide = [any("25.00% of products have a level above 127" in n for n in p.notes) for p in found]
    assert wide == [True, False, True]


def test_refusals() -> None:
    table = chips.load("horowitz-45nm")
    ledger = ledger_of([[1, 2, 3, 4]])
    with pytest.raises(CodeError, match="found 'morse'"):
        chips.price(ledger, table, code="morse")
    with pytest.raises(PriceError, match="expected a batch of at least 1, found 0"):
        chips.price(ledger, table, batch=0)
    with pytest.raises(LedgerError, match="at least one sample, found 0"):
        chips.price(Ledger(), table)
    ledger.operation("lost", "nobody")
    with pytest.raises(LedgerError, match="expected neurons 'nobody' of operation 'lost'"):
        chips.price(ledger, table)


def test_an_empty_run_costs_nothing() -> None:
    for name, code in product(chips.names(), CODES):
        for price in chips.price(Ledger(samples=1), chips.load(name), code=code):
            assert price.energy is None or price.energy.total == 0
            assert price.relative_to_dense is None
            assert price.relative_to_baseline is None
            assert price.dense_fraction == price.dense_fraction_levels == 0
