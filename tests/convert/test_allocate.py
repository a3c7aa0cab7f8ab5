"""Budgets: what they say, and that allocation keeps them on the frontier."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sangbo import Settings
from sangbo.convert.allocate import Choice, Prices, allocate, attainable, point, wanted
from sangbo.convert.budget import Budget, Kind
from sangbo.convert.prepare import prices
from sangbo.convert.sensitivity import FINE, FINEST, Candidates
from sangbo.convert.sites import Site
from sangbo.errors import ConversionError

PRICES = Prices(3.0, 0.1e-12)


def _budget(nats: float) -> Budget:
    return Budget("perplexity", math.expm1(nats))


def _candidates(rng: np.random.Generator, sites: int, options: int) -> list[Candidates]:
    """Sites that send 9 values to 2 targets; finer thresholds lose less and send more spikes."""
    found = []
    for i in range(sites):
        site = Site(f"x{i}", "sent", 2, -9, 9)
        uniform = np.sort(rng.integers(0, 5, (options, 9)), axis=0)[::-1]
        sent = np.stack([np.bincount(row, minlength=6) for row in uniform]).astype(np.float64)
        divergence = np.sort(rng.uniform(0, 1, options))
        thresholds = np.arange(1, options + 1).astype(np.float32)
        found.append(Candidates(site, thresholds, divergence, sent, 2 * sent, 1.0, 1))
    return found


def _spent(
    candidates: Sequence[Candidates], rows: Sequence[int], price: Callable[[int], float]
) -> float:
    """What targets receive, by brute force."""
    return sum(
        float(c.received[i, k]) * price(k)
        for c, i in zip(candidates, rows, strict=True)
        for k in range(6)
    )


def _indices(candidates: Sequence[Candidates], taken: Sequence[Choice]) -> list[int]:
    return [
        int(np.searchsorted(c.divergence, t.divergence))
        for c, t in zip(candidates, taken, strict=True)
    ]


@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 3))
def test_an_attainable_budget_can_be_kept(seed: int, nats: float) -> None:
    candidates = _candidates(np.random.default_rng(seed), 3, 4)
    least = sum(float(c.divergence.min()) for c in candidates)
    budget = attainable(candidates, _budget(nats))
    assert budget == (_budget(nats) if nats >= 1.1 * least else _budget(1.1 * least))
    assert sum(c.divergence for c in allocate(candidates, budget, PRICES)) <= max(nats, 1.1 * least)


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 3))
def test_finer_thresholds_are_for_budgets_that_ask_for_them(seed: int, nats: float) -> None:
    rng = np.random.default_rng(seed)
    thresholds = np.array([2 * FINE, FINE, FINE / 2, FINEST], np.float32)
    candidates = [replace(c, thresholds=thresholds) for c in _candidates(rng, 3, 4)]
    candidates = [replace(c, divergence=c.divergence[::-1]) for c in candidates]
    least = sum(float(c.divergence[1]) for c in candidates)
    found = wanted(candidates, _budget(nats))
    count = 2 if nats >= 1.1 * least else 4
    assert all(len(c.thresholds) == len(c.divergence) == count for c in found)
    spikes = wanted(candidates, Budget("spikes", 1.2))
    assert all(len(c.sent) == len(c.received) == 2 for c in spikes)


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 3))
def test_allocation_is_on_the_frontier(seed: int, budget: float) -> None:
    """No choice of all has both less divergence and a lower price than the one taken."""
    rng = np.random.default_rng(seed)
    candidates = _candidates(rng, 3, 4)
    least = sum(float(c.divergence.min()) for c in candidates)
    if least > budget:
        with pytest.raises(ConversionError, match="budget of at least"):
            allocate(candidates, _budget(budget), PRICES)
        return
    taken = allocate(candidates, _budget(budget), PRICES)
    spent = sum(t.divergence for t in taken)
    paid = _spent(candidates, _indices(candidates, taken), lambda k: min(k, 3))
    assert spent <= budget * (1 + 1e-12)
    for choice in itertools.product(range(4), repeat=3):
        divergence = sum(float(c.divergence[i]) for c, i in zip(candidates, choice, strict=True))
        assert divergence >= spent - 1e-9 or _spent(
            candidates, choice, lambda k: min(k, 3)
        ) >= paid - 1e-9  # fmt: skip


@given(st.integers(0, 2**32 - 1), st.floats(0.5, 4), st.sampled_from(["spikes", "energy"]))
def test_a_budget_of_spikes_or_energy_is_kept_on_the_frontier(
    seed: int, amount: float, kind: Kind
) -> None:
    """Spikes are those per value; energy has three accumulates for a MAC, and every target."""
    rng = np.random.default_rng(seed)
    candidates = _candidates(rng, 3, 4)
    amount *= 54 * 0.1e-12 if kind == "energy" else 1

    def spent(rows: Sequence[int]) -> float:
        if kind == "energy":
            return 0.1e-12 * _spent(candidates, rows, lambda k: min(k, 3))
        return _spent(candidates, rows, float) / 54

    if spent([3, 3, 3]) > amount:
        with pytest.raises(ConversionError, match=f"budget of at least {kind}="):
            allocate(candidates, Budget(kind, amount), PRICES)
        return
    taken = allocate(candidates, Budget(kind, amount), PRICES)
    found = spent(_indices(candidates, taken))
    assert found <= amount * (1 + 1e-9)
    divergence = sum(t.divergence for t in taken)
    for choice in itertools.product(range(4), repeat=3):
        other = sum(float(c.divergence[i]) for c, i in zip(candidates, choice, strict=True))
        assert other >= divergence - 1e-9 or spent(choice) >= found - 1e-9 * amount


@given(st.integers(0, 2**32 - 1), st.floats(0.3, 3), st.floats(0.01, 0.5))
def test_beside_a_dense_side_more_is_kept(seed: int, amount: float, dense: float) -> None:
    """The spikes that are left keep the budget; without a dense side it loses no less."""
    candidates = _candidates(np.random.default_rng(seed), 3, 4)
    try:
        taken = allocate(candidates, Budget("spikes", amount, dense), PRICES)
    except ConversionError:
        with pytest.raises(ConversionError):
            allocate(candidates, Budget("spikes", amount), PRICES)
        return
    values = np.concatenate([np.repeat(range(6), c.sent.astype(int)) for c in taken])
    values.sort()
    few = int(np.floor(dense * len(values)))
    spiking = values[: len(values) - few]
    part = dense * len(values) - few
    assert (spiking.sum() - part * spiking[-1]) / len(values) <= amount * (1 + 1e-9)
    try:
        alone = allocate(candidates, Budget("spikes", amount), PRICES)
    except ConversionError:
        return
    assert sum(c.divergence for c in taken) <= sum(c.divergence for c in alone) + 1e-9


@pytest.mark.parametrize(
    ("text", "kind", "amount"),
    [
        ("perplexity=0.2%", "perplexity", 0.002), ("perplexity=0.01", "perplexity", 0.01),
        ("spikes=1.2", "spikes", 1.2), ("energy=50uJ", "energy", 50e-6),
        ("spikes=1.2,dense=5%", "spikes", 1.2),
        ("energy=1e-3mJ", "energy", 1e-6), ("energy=3µJ", "energy", 3e-6),
    ],
)  # fmt: skip
def test_a_budget_reads_as_it_is_written(text: str, kind: str, amount: float) -> None:
    budget = Budget.parse(text)
    assert budget.kind == kind
    assert budget.amount == pytest.approx(amount)
    again = Budget.parse(str(budget))
    assert again.kind == kind
    assert again.dense == pytest.approx(0.05 if "dense" in text else 0.0)
    assert again.amount == pytest.approx(amount, rel=1e-5)


@pytest.mark.parametrize(
    "text",
    ["", "0.002", "spikes", "spikes=", "spikes=1.2%", "energy=5", "energy=5kWh", "spikes=1.2.3",
     "perplexity=0", "spikes=-1", "speed=3", "energy=nanJ",
     "perplexity=1%,dense=5%", "spikes=1,dense=100%", "spikes=1,dense=5"],
)  # fmt: skip
def test_a_budget_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConversionError, match="expected a"):
        Budget.parse(text)


def test_energy_needs_a_price() -> None:
    with pytest.raises(ConversionError, match="prices an accumulate"):
        allocate([], Budget("energy", 1.0), Prices(3.0, None))


def test_what_costs_the_same_is_dense() -> None:
    """0.3 pJ a MAC and 0.1 pJ an accumulate: three spikes cost exactly a MAC, as in pricing."""
    found = prices(Settings(chip="horowitz-45nm"))
    assert found.worth == 3
    site = Site("x", "sent", 1, -99, 99)
    for spikes, dense in ((2, 0), (3, 1), (4, 1)):
        counts = np.zeros(6)
        counts[spikes] = 1
        seen = point([Choice(site, np.float32(1), 0.0, counts, counts)], found)
        assert seen.energy == pytest.approx(min(spikes, 3) * 0.1e-12)
        assert seen.dense == dense
