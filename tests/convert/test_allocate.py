"""Budgets: what they say, and that allocation keeps them on the frontier."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sangbo import Settings
from sangbo.convert.allocate import allocate
from sangbo.convert.budget import Budget, Kind
from sangbo.convert.prepare import prices
from sangbo.convert.sensitivity import Candidates
from sangbo.convert.sites import Site
from sangbo.errors import ConversionError


def _budget(nats: float) -> Budget:
    return Budget("perplexity", math.expm1(nats))


def _candidates(rng: np.random.Generator, sites: int, options: int) -> list[Candidates]:
    site = Site("x", "sent", 1, -9, 9)
    return [
        Candidates(
            site,
            np.arange(1, options + 1).astype(np.float32),
            np.sort(rng.uniform(0, 1, options)),
            price := np.sort(rng.uniform(0, 1, options))[::-1].copy(),
            price * np.sort(rng.uniform(1, 2, options))[::-1],
            np.sort(rng.uniform(0, 1, options))[::-1].copy(),
            1.0,
            2.0,
            1,
        )
        for _ in range(sites)
    ]


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 3))
def test_allocation_is_on_the_frontier(seed: int, budget: float) -> None:
    """No choice of all has both less divergence and a lower price than the one taken."""
    rng = np.random.default_rng(seed)
    candidates = _candidates(rng, 3, 4)
    least = sum(float(c.divergence.min()) for c in candidates)
    if least > budget:
        with pytest.raises(ConversionError, match="budget of at least"):
            allocate(candidates, _budget(budget))
        return
    taken = allocate(candidates, _budget(budget))
    spent, paid = sum(t.divergence for t in taken), sum(t.price for t in taken)
    assert spent <= budget * (1 + 1e-12)
    for choice in itertools.product(range(4), repeat=3):
        divergence = sum(float(c.divergence[i]) for c, i in zip(candidates, choice, strict=True))
        price = sum(float(c.price[i]) for c, i in zip(candidates, choice, strict=True))
        assert divergence >= spent - 1e-9 or price >= paid - 1e-9


@given(st.integers(0, 2**32 - 1), st.floats(0.2, 2), st.sampled_from(["spikes", "energy"]))
def test_a_budget_of_spikes_or_energy_is_kept_on_the_frontier(
    seed: int, amount: float, kind: Kind
) -> None:
    rng = np.random.default_rng(seed)
    candidates = _candidates(rng, 3, 4)
    joules = 3e-12
    amount *= joules if kind == "energy" else 1

    def spent(rows: Sequence[int]) -> float:
        if kind == "energy":
            return joules * sum(float(c.price[i]) for c, i in zip(candidates, rows, strict=True))
        return sum(float(c.spikes[i]) for c, i in zip(candidates, rows, strict=True)) / 6.0

    if spent([3, 3, 3]) > amount:
        with pytest.raises(ConversionError, match=f"budget of at least {kind}="):
            allocate(candidates, Budget(kind, amount), joules)
        return
    taken = allocate(candidates, Budget(kind, amount), joules)
    indices = [
        int(np.searchsorted(c.divergence, t.divergence))
        for c, t in zip(candidates, taken, strict=True)
    ]
    assert spent(indices) <= amount * (1 + 1e-9)
    divergence = sum(t.divergence for t in taken)
    for choice in itertools.product(range(4), repeat=3):
        other = sum(float(c.divergence[i]) for c, i in zip(candidates, choice, strict=True))
        assert other >= divergence - 1e-9 or spent(choice) >= spent(indices) - 1e-9 * amount


@pytest.mark.parametrize(
    ("text", "kind", "amount"),
    [
        ("perplexity=0.2%", "perplexity", 0.002), ("perplexity=0.01", "perplexity", 0.01),
        ("spikes=1.2", "spikes", 1.2), ("energy=50uJ", "energy", 50e-6),
        ("energy=1e-3mJ", "energy", 1e-6), ("energy=3µJ", "energy", 3e-6),
    ],
)  # fmt: skip
def test_a_budget_reads_as_it_is_written(text: str, kind: str, amount: float) -> None:
    budget = Budget.parse(text)
    assert budget.kind == kind
    assert budget.amount == pytest.approx(amount)
    again = Budget.parse(str(budget))
    assert again.kind == kind
    assert again.amount == pytest.approx(amount, rel=1e-5)


@pytest.mark.parametrize(
    "text",
    ["", "0.002", "spikes", "spikes=", "spikes=1.2%", "energy=5", "energy=5kWh", "spikes=1.2.3",
     "perplexity=0", "spikes=-1", "speed=3", "energy=nanJ"],
)  # fmt: skip
def test_a_budget_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConversionError, match="expected a"):
        Budget.parse(text)


def test_energy_needs_a_price() -> None:
    with pytest.raises(ConversionError, match="prices an accumulate"):
        allocate([], Budget("energy", 1.0))


def test_what_costs_the_same_is_dense() -> None:
    """0.3 pJ a MAC and 0.1 pJ an accumulate: three spikes cost exactly a MAC, as in pricing."""
    prices_ = prices(Settings(chip="horowitz-45nm"))
    table = prices_.table()
    assert prices_.worth == 3
    assert table[9].tolist() == [2, 2, 0]
    assert table[11].tolist() == [3, 3, 1]
    assert table[43].tolist() == [3, 4, 1]
