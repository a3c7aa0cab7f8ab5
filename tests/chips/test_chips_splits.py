"""Splits on chips against a loop over blocks of levels; finer splits are never dearer."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sangbo import chips
from sangbo.chips.chip import Chip, MemoryLevel, Quantity
from sangbo.codes import CODES
from sangbo.errors import LedgerError
from sangbo.ledger import Ledger
from sangbo.tallies import SPLITS, Tallies

FAN = 3
HORIZONTAL, VERTICAL = 2, 2
energy = st.floats(0.01, 100)
level = st.one_of(st.integers(-3, 3), st.integers(-300, 300))


@st.composite
def texts(draw: st.DrawFn, count: int = 2) -> list[Any]:
    """Levels (rows, channels) of one neuron layer over several texts."""
    channels = draw(st.integers(1, 5))
    row = st.lists(level, min_size=channels, max_size=channels)
    return [np.array(draw(st.lists(row, min_size=1, max_size=6)), np.int32) for _ in range(count)]


def quantity(value: float, unit: str = "pJ") -> Quantity:
    return Quantity(value, unit, "a test", "estimate")


def chip(mac: float, accumulate: float, spike: float = 0.0, **changes: Any) -> Chip:
    energies = {"mac": mac, "accumulate": accumulate} | ({"spike": spike} if spike else {})
    memory = MemoryLevel("sram", "on-chip", None, quantity(2, "pJ/byte"), quantity(3, "pJ/byte"))
    fields: dict[str, Any] = {
        "name": "test", "title": "a test", "dense": True, "spiking": True, "execution": "folded",
        "memory_included": False, "memory": (memory,),
        "tables": {"energy": {key: quantity(value) for key, value in energies.items()}},
    }  # fmt: skip
    return Chip(**(fields | changes))


def ledger_of(levels: Any) -> Ledger:
    """The ledger of one linear layer of `FAN` outputs, with all tallies."""
    ledger = Ledger(samples=len(levels), tallies=Tallies.of(SPLITS, (VERTICAL, HORIZONTAL)))
    ledger.neuron("n").add(levels)
    count = ledger.operation("o", "n", 12)
    count.rows = len(levels)
    count.pairs.merge(ledger.neuron("n"), FAN)
    assert ledger.tallies is not None
    ledger.tallies.count("n", levels, np.full(len(levels), FAN))
    return ledger


def spikes_of(n: int, code: str) -> int:
    """Spikes of one level, from the definition of the code alone."""
    if code in ("rate", "graded"):
        return abs(n) if code == "rate" else int(n != 0)
    if code == "radix":
        return bin(abs(n)).count("1")
    count = 0
    while n:  # the non-adjacent form, lowest digit first
        digit = 2 - n % 4 if n % 2 else 0
        count += digit != 0
        n = (n - digit) // 2
    return count


def blocks(levels: Any, name: str) -> list[list[int]]:
    rows, channels = {
        "value": (1, 1), "token": (1, 99), "channel": (99, 1), "tile": (VERTICAL, HORIZONTAL),
        "layer": (99, 99),
    }[name]  # fmt: skip
    return [
        levels[top : top + rows, left : left + channels].ravel().tolist()
        for top, left in itertools.product(
            range(0, levels.shape[0], rows), range(0, levels.shape[1], channels)
        )
    ]


def two_sides(
    group: list[int], code: str, mac: float, accumulate: float, spike: float
) -> tuple[float, float, float]:
    """Price of a group as spikes, densely, and densely without its zeros."""
    spikes = sum(spikes_of(n, code) for n in group)
    per_target = mac if CODES[code].multiplies else accumulate
    products = FAN * mac
    return (
        spikes * (FAN * per_target + spike),
        len(group) * products,
        sum(n != 0 for n in group) * products,
    )


@given(texts(1), st.sampled_from(sorted(CODES)), energy, energy, st.sampled_from([0.0, 0.7]))
def test_every_split_against_a_loop_over_its_blocks(
    found: list[Any], code: str, mac: float, accumulate: float, spike: float
) -> None:
    (levels,) = found
    ledger, priced = ledger_of(levels), chip(mac, accumulate, spike)
    compared = chips.compare_splits(ledger, priced, code=code)
    assert [c.price.split for c in compared] == list(SPLITS)
    for split in compared:
        groups = blocks(levels, split.price.split)
        prices = [two_sides(g, code, mac, accumulate, spike) for g in groups]
        assert split.price.energy is not None
        compute = split.price.energy.compute * len(levels)
        assert compute == pytest.approx(sum(min(s, d) for s, d, _ in prices))
        skipping = sum(min(s, d) for s, _, d in prices)
        assert split.skipping * len(levels) == pytest.approx(skipping, abs=1e-6)
        assert split.groups * len(levels) == pytest.approx(len(groups))
        assert split.prediction is None
    # Memory is the same whatever the split, and whatever contains a group is never cheaper.
    energies = {c.price.split: c.price.energy for c in compared}
    levels_of = [e.levels for e in energies.values() if e is not None]
    assert all(e == levels_of[0] for e in levels_of)
    compute_of = {n: e.compute for n, e in energies.items() if e is not None}
    for finer, coarser in (
        *(("value", n) for n in SPLITS), *((n, "layer") for n in SPLITS),
    ):  # fmt: skip
        assert compute_of[finer] <= compute_of[coarser] * (1 + 1e-6)


@given(texts(), st.sampled_from(sorted(CODES)), energy, energy)
def test_predictions(found: list[Any], code: str, mac: float, accumulate: float) -> None:
    known, ledger = (ledger_of(levels) for levels in found)
    priced = chip(mac, accumulate)
    for split in chips.compare_splits(ledger, priced, code=code, known=known):
        name, predicted = split.price.split, split.prediction
        if name == "value":
            assert predicted is None
            continue
        assert predicted is not None
        assert split.price.energy is not None
        assert predicted.compute >= split.price.energy.compute * (1 - 1e-6)
        assert 0 <= predicted.right <= 1
        assert 0 <= predicted.right_products <= 1
        if predicted.right == 1:
            assert predicted.compute == pytest.approx(split.price.energy.compute)
        both = [
            [(g, two_sides(g, code, mac, accumulate, 0)) for g in blocks(levels, name)]
            for levels in found
        ]
        if SPLITS[name].fixed:
            pairs = zip(*both, strict=True)
            total = sum(
                now[0] if before[0] < before[1] * (1 - 1e-9) else now[1]
                for (_, before), (_, now) in pairs
            )
            assert predicted.compute * len(found[1]) == pytest.approx(total)


@given(texts(1), st.sampled_from(sorted(CODES)), energy, energy)
def test_the_bound_is_the_best_on_the_text_it_was_learned_on(
    found: list[Any], code: str, mac: float, accumulate: float
) -> None:
    ledger = ledger_of(found[0])
    for split in chips.compare_splits(
        ledger, chip(mac, accumulate), ["token", "tile"], code=code, known=ledger
    ):
        groups = blocks(found[0], split.price.split)
        means = [sum(map(abs, g)) / len(g) for g in groups]
        sides = [two_sides(g, code, mac, accumulate, 0) for g in groups]
        best = min(
            sum(s if m <= bound else d for m, (s, d, _) in zip(means, sides, strict=True))
            for bound in (-1.0, *means)
        )
        assert split.prediction is not None
        assert split.prediction.compute * len(found[0]) == pytest.approx(best)
        if code == "rate":  # the counter counts its very spikes
            assert split.price.energy is not None
            assert split.prediction.compute == pytest.approx(split.price.energy.compute)


def test_a_mixed_layer_by_hand() -> None:
    # Rate code, a MAC worth 3 additions: 1 → spike, 9 → MAC, each row and channel mixed.
    ledger = ledger_of(np.array([[1, 9], [1, 9]], np.int32))
    found = {c.price.split: c for c in chips.compare_splits(ledger, chip(3, 1), code="rate")}
    compute = {n: c.price.energy.compute for n, c in found.items() if c.price.energy is not None}
    assert compute == {"value": 12, "token": 18, "channel": 12, "tile": 18, "layer": 18}
    assert found["token"].to_dict()["relative_to_value"]["compute"] == 1.5
    assert (found["channel"].groups, found["channel"].spiking_groups) == (1, 0.5)
    assert (found["value"].groups, found["value"].spiking_groups) == (2, 0.5)
    assert found["channel"].price.largest_spiking == 1
    assert found["layer"].price.dense_fraction == 1


def test_what_cannot_be_compared() -> None:
    ledger = ledger_of(np.array([[1, 2]], np.int32))
    lone = chip(3, 1, dense=False)
    assert chips.compare_splits(ledger, lone) == []
    plain = Ledger(samples=1, neurons=ledger.neurons, operations=ledger.operations)
    assert len(chips.compare_splits(plain, chip(3, 1), ["value", "layer"])) == 2
    with pytest.raises(LedgerError, match="tallies by token, found none"):
        chips.compare_splits(plain, chip(3, 1))
    with pytest.raises(LedgerError, match="both ledgers to have neurons 'n'"):
        chips.compare_splits(ledger, chip(3, 1), ["layer"], known=Ledger(samples=1))
    wide = ledger_of(np.array([[1, 2, 3]], np.int32))
    with pytest.raises(LedgerError, match="expected 2 groups by channel, found 3"):
        chips.compare_splits(ledger, chip(3, 1), ["channel"], known=wide)
