"""The verdict says who won, by how much, and does not flatter spikes."""

from __future__ import annotations

import numpy as np

from sangbo import chips
from sangbo.chips.price import Baseline, Energy, Events, Price, Scheme
from sangbo.ledger import Ledger


def price(
    chip: str, scheme: Scheme, compute: float | None, memory: float = 0, baseline: float = 90
) -> Price:
    rival = Energy({"arithmetic": baseline - memory}, {"dram": memory})
    return Price(
        chip=chip,
        scheme=scheme,
        code="csd",
        split="value" if scheme == "complementary" else "none",
        largest_spiking=1,
        most_spikes=1,
        dense_fraction=0,
        dense_fraction_levels=0,
        events=Events(0, 0, 0, 0),
        energy=None if compute is None else Energy({"arithmetic": compute}, {"dram": memory}),
        dense=None if compute is None else 100,
        baselines=(Baseline("zero skipping", rival),),
        provenances=("claim",),
    )


def test_spikes_that_pay() -> None:
    found = [price("a", "dense", 60, 40), price("a", "complementary", 5, 40)]
    assert chips.verdict(found) == (
        "Spiking paid on a (complementary 0.5× the best dense form; 0.08× in compute alone, but "
        "memory is 88.9% of the total) (modelled, memory included)."
    )


def test_beating_plain_dense_is_not_enough() -> None:
    found = [
        price("a", "dense", 60, 40),
        price("a", "spiking", 65, 40),
        price("a", "complementary", 55, 40),
    ]
    text = chips.verdict(found)
    assert text.startswith("Do not use spikes here: spiking paid on no chip; it lost on a (")
    assert "complementary 1.06× the best dense form; 0.92× in compute alone" in text


def test_a_hair_makes_no_difference() -> None:
    found = [price("a", "dense", 100), price("a", "spiking", 89.5)]
    assert "it made no difference on a" in chips.verdict(found)


def test_chips_are_judged_apart() -> None:
    found = [
        price("a", "dense", 100),
        price("a", "spiking", 10),
        price("b", "dense", 100),
        price("b", "spiking", 200),
        price("c", "dense", None),
        price("c", "spiking", 5),
    ]
    text = chips.verdict(found)
    assert text.startswith("Spiking paid on a (spiking")
    assert "; it lost on b (" in text
    assert "; c cannot execute both, so nothing is compared there (modelled" in text
    assert chips.verdict(found[4:]).startswith("C cannot execute both")


def test_nothing_to_judge() -> None:
    assert chips.verdict([]) == "There are no prices to judge."


def test_decoding_from_external_memory_is_bound_by_memory() -> None:
    # A layer far too large for the chip: reading weights dwarfs arithmetic.
    ledger = Ledger(samples=1)
    ledger.neuron("n").add(np.random.default_rng(0).integers(-8, 9, 1000))
    count = ledger.operation("o", "n", 4_000_000)
    count.rows = 1
    count.pairs.merge(ledger.neuron("n"), 4000)
    text = chips.verdict(chips.price(ledger, chips.load("horowitz-45nm")))
    assert "it made no difference on horowitz-45nm" in text
