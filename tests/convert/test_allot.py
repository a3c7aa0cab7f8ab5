"""Allotted steps: the rates that theory says, the loss that was paid for, whole folders."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import networks
import sangbo
from sangbo.compress import Allotted, Coded
from sangbo.convert import Settings
from sangbo.convert.allot import Matrix, Rate, allot, multiplier, worths
from sangbo.convert.rounding import Factor, shrunk
from sangbo.engines import Reference
from sangbo.errors import ConversionError
from sangbo.sources import Source
from sangbo.tasks.language import Text
from sangbo.tasks.likelihood import Categorical, Gaussian
from sangbo.waterfall.weights import stored_bytes

SMALL = Settings(sequences=3, length=24, budget="perplexity=5%", weight_bits=8, coded=True)


def matrix(seed: int, outputs: int = 96, inputs: int = 64) -> tuple[Any, Any, Matrix]:
    """Weights, H, and what errors of them cost."""
    rng = np.random.default_rng(seed)
    mixed = rng.standard_normal((4000, 12)) @ rng.standard_normal((12, inputs))
    x = mixed * np.exp(rng.standard_normal(inputs)) + 0.3 * rng.standard_normal((4000, inputs))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    second = shrunk((x.T @ x).astype(np.float32), 10**7) / len(x)
    weights = rng.standard_normal((outputs, inputs)).astype(np.float32)
    return weights, second, Matrix("w", Factor.of(second), np.exp(rng.standard_normal(outputs)))


def loss(error: Any, second: Any, rows: Any) -> float:
    return 0.5 * float(np.einsum("o,oi,ij,oj->", rows, error, second, error))


def test_every_weight_loses_half_the_multiplier() -> None:
    weights, second, one = matrix(0)
    fine = multiplier([Rate.of(one, weights, math.inf)], 4.0)
    grid, kept = allot(weights, one, fine)
    assert np.array_equal(kept.tensor(), grid.values)
    lost = loss(grid.reals() - weights, second, one.rows)
    assert lost == pytest.approx(weights.size * fine / 2, rel=0.15)


def test_bits_are_those_of_normal_numbers() -> None:
    """Entropies of a normal number in steps of 1 and 2 deviations, summed exactly elsewhere."""
    weights, _, one = matrix(1)
    for bits, step in ((2.1048, 1.0), (1.2410, 2.0)):
        rate = Rate("w", 1, np.ones((1, 1)), math.inf)
        assert rate.bits(step**2 / 12) - rate.bits(1e9) == pytest.approx(bits, abs=0.01)
    rate = Rate.of(one, weights, math.inf)
    assert rate.bits(multiplier([rate], 3.0)) == pytest.approx(3.0, abs=0.01)
    with pytest.raises(ConversionError, match="bits per weight"):
        multiplier([rate], 900.0)


def test_a_grid_that_loses_nothing_is_kept_where_it_is_cheaper() -> None:
    weights, _, one = matrix(2)
    rate = Rate.of(one, weights, 4.5)
    fine = multiplier([replace(rate, held=math.inf)], 4.2)
    assert not rate.pays(fine)
    assert rate.least(fine) == 4.5
    assert rate.pays(multiplier([replace(rate, held=math.inf)], 3.5))


def test_allotted_steps_lose_less_than_even_ones_of_the_same_bits() -> None:
    weights, second, one = matrix(3)
    plain = Matrix("w", Factor.of(np.eye(64) / 64), np.ones(96))
    lost = []
    for way in (one, plain):
        fine = multiplier([Rate.of(way, weights, math.inf)], 3.0)
        lost.append(loss(allot(weights, way, fine)[0].reals() - weights, second, one.rows))
    assert lost[0] < 0.3 * lost[1]


@pytest.mark.parametrize("meaning", [Categorical(), Categorical(0.2), Gaussian(0.5)])
def test_information_is_the_mean_square_of_gradients(meaning: Categorical | Gaussian) -> None:
    logits = np.random.default_rng(0).standard_normal((2, 5)).astype(np.float32)
    rng = np.random.default_rng(1)
    drawn = np.stack([meaning.gradient(logits, rng) for _ in range(20000)])
    found = np.square(drawn).mean(axis=0)
    np.testing.assert_allclose(meaning.information(logits), found, rtol=0.08, atol=0.004)


def test_what_rows_are_worth_predicts_a_divergence() -> None:
    graph = networks.llama()
    texts = [Text.of(networks.tokens(60, seed)) for seed in range(4)]
    worth = worths(graph, texts, lambda *_: None)
    name = next(n for n in worth.rows if n.endswith("mlp.up"))
    operation = next(o for o in graph.synaptic if name in {w.values for w in o.weights()})
    rng, weights = np.random.default_rng(0), graph.tensors[name]
    error = (1e-3 * rng.standard_normal(weights.shape)).astype(np.float32)
    changed = replace(graph, tensors={**graph.tensors, name: weights + error})
    before, after = Reference(graph), Reference(changed)
    found, predicted = 0.0, 0.0
    for text in texts:
        values = text.run(before, keep=[operation.inputs()[0], "logits"])
        x = values[operation.inputs()[0]]
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        square = np.square(error @ unit.T).mean(axis=1)
        predicted += 0.5 * float(worth.rows[name] @ square) / len(texts)
        divergence = Categorical().divergence(values["logits"], text.run(after)["logits"])
        found += float(divergence.mean()) / len(texts)
    assert predicted == pytest.approx(found, rel=0.5)


def test_allotted_weights_are_written_and_read(tmp_path: Path) -> None:
    source = Source(networks.llama(channels=96, hidden=256), networks.letters())
    made = sangbo.convert(source, tmp_path / "n", replace(SMALL, allotted=4.0))
    again = sangbo.load(tmp_path / "n")
    assert again.graph.sha256() == made.graph.sha256()
    assert Allotted in {type(c) for c in again.compressed.values()}
    assert {type(c) for c in again.compressed.values()} <= {Allotted, Coded}
    plain, held = (sum(stored_bytes(made.graph, c).values()) for c in ({}, again.compressed))
    assert held < 0.75 * plain


@pytest.mark.parametrize(
    "changes", [{"allotted": 0.5}, {"allotted": 9.0}, {"weight_bits": 4}, {"generated": 4.0}]
)
def test_what_does_not_go_together_is_refused(changes: Any) -> None:
    with pytest.raises(ConversionError, match=r"allotted|generated"):
        Settings(**({"allotted": 4.0} | changes))
