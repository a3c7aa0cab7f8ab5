"""Connection rules as what they promise, and against brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sangbo import dynamics
from sangbo.errors import SimulationError


def made(
    rule: dynamics.Rule,
    pre: int,
    post: int | None = None,
    synapses: dynamics.Static | None = None,
    threads: int = 1,
    **positions: Any,
) -> dict[str, np.ndarray]:
    """Connections of ``rule``; within one population where ``post`` is None."""
    network = dynamics.Network(step=0.1, seed=9, threads=threads)
    source = network.population(pre, dynamics.LIF(), name="pre", positions=positions.get("at"))
    target = (
        source
        if post is None
        else network.population(post, dynamics.LIF(), name="post", positions=positions.get("to"))
    )
    return network.connect(source, target, rule, synapses).connections()


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(0, 60), st.booleans())
def test_fixed_degrees(pre: int, post: int, degree: int, multapses: bool) -> None:
    for rule, size, key, candidates in (
        (dynamics.FixedInDegree(degree, multapses=multapses), post, "target", pre),
        (dynamics.FixedOutDegree(degree, multapses=multapses), pre, "source", post),
    ):
        if degree > candidates and not multapses:
            with pytest.raises(SimulationError, match="expected a degree of 0 to"):
                made(rule, pre, post)
            continue
        found = made(rule, pre, post)
        np.testing.assert_array_equal(
            np.bincount(found[key], minlength=size), np.full(size, degree)
        )
        pairs = found["source"].astype(np.int64) * post + found["target"]
        assert multapses or len(np.unique(pairs)) == len(pairs)


def test_all_to_all_and_one_to_one() -> None:
    found = made(dynamics.AllToAll(autapses=False), 300)
    mask = np.zeros((300, 300), int)
    np.add.at(mask, (found["source"], found["target"]), 1)
    np.testing.assert_array_equal(mask, 1 - np.eye(300, dtype=int))
    found = made(dynamics.OneToOne(), 70, 70)
    np.testing.assert_array_equal(found["source"], found["target"])
    assert len(found["source"]) == 70
    with pytest.raises(SimulationError, match="populations of one size"):
        made(dynamics.OneToOne(), 3, 4)


def test_fixed_probability_and_total() -> None:
    found = made(dynamics.FixedProbability(0.1, autapses=False), 1000)
    count, expected = len(found["source"]), 0.1 * 1000 * 999
    assert abs(count - expected) < 5 * np.sqrt(expected * 0.9)
    assert (found["source"] != found["target"]).all()
    in_degrees = np.bincount(found["target"], minlength=1000)
    assert in_degrees.var() == pytest.approx(90, rel=0.25)
    found = made(dynamics.FixedTotal(50_000), 400, 500)
    assert len(found["source"]) == 50_000
    assert np.bincount(found["target"]).var() == pytest.approx(100, rel=0.3)
    assert np.bincount(found["source"]).var() == pytest.approx(125, rel=0.3)


def test_distance() -> None:
    at = np.random.default_rng(3).uniform(0, 1, (600, 2))
    rule = dynamics.ByDistance(0.8, 0.1, torus=(1.0, 1.0), reach=0.3, autapses=False)
    found = made(rule, 600, at=at)
    apart = np.abs(at[:, None] - at[None])
    distance = np.hypot(*np.moveaxis(np.minimum(apart, 1 - apart), 2, 0))
    chance = np.where(distance <= 0.3, 0.8 * np.exp(-(distance**2) / 0.02), 0)
    np.fill_diagonal(chance, 0)
    joined = np.zeros((600, 600), bool)
    joined[found["source"], found["target"]] = True
    assert not joined[chance == 0].any()
    for low, high in ((0.0, 0.2), (0.2, 0.5), (0.5, 0.8)):
        some = (chance > low) & (chance <= high)
        deviation = np.sqrt((chance * (1 - chance))[some].sum())
        assert abs(joined[some].sum() - chance[some].sum()) < 5 * deviation


def test_listed_pairs_keep_their_numbers() -> None:
    generator = np.random.default_rng(1)
    source, target = generator.integers(0, 50, 4000), generator.integers(0, 900, 4000)
    weight, delay = generator.normal(0, 5, 4000), generator.integers(1, 90, 4000) * 0.1
    listed = dynamics.Pairs(source, target)
    for threads in (1, 3):
        found = made(
            listed, 50, 900, dynamics.Static(weight=weight, delay=delay, storage="wide"), threads
        )
        order = np.lexsort((target, source))
        np.testing.assert_array_equal(found["source"], source[order])
        np.testing.assert_array_equal(found["target"], target[order])
        np.testing.assert_array_equal(found["weight"], weight[order].astype(np.float32))
        np.testing.assert_allclose(found["delay"], delay[order])
        compact = made(listed, 50, 900, dynamics.Static(weight=weight, delay=delay), threads)
        largest = np.abs(weight).max()
        assert np.abs(compact["weight"] - weight[order]).max() <= largest / 4000


def test_compact_weights_that_share_a_unit_are_exact() -> None:
    weight = np.tile([0.3, -1.2, 0.9], 40)
    found = made(
        dynamics.Pairs(np.arange(120), np.arange(120)), 120, 120, dynamics.Static(weight=weight)
    )
    np.testing.assert_allclose(found["weight"], weight, rtol=1e-6)


def test_convolution_is_scipys() -> None:
    from scipy.signal import correlate

    generator = np.random.default_rng(2)
    kernel = generator.integers(-3, 4, (2, 3, 3, 2)).astype(float)
    rule = dynamics.Convolution(kernel, (3, 7, 6), padding=(1, 0))
    pairs, weights = rule.pairs()
    image = generator.normal(size=(3, 7, 6))
    out = np.zeros(int(np.prod(rule.output_shape)))
    np.add.at(out, np.asarray(pairs.targets), weights * image.ravel()[np.asarray(pairs.sources)])
    padded = np.pad(image, ((0, 0), (1, 1), (0, 0)))
    expected = [correlate(padded, k, mode="valid")[0] for k in kernel]
    np.testing.assert_allclose(out.reshape(rule.output_shape), expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_a_convolution_that_is_connected_does_what_it_says(seed: int) -> None:
    generator = np.random.default_rng(seed)
    groups, stride, dilation, padding = (int(n) for n in generator.integers(1, 3, 4))
    kernel = generator.integers(-5, 6, (4, 2, 3, 3)).astype(float)
    shape = (2 * groups, 9, 8)
    rule = dynamics.Convolution(kernel, shape, (stride, 1), (padding, 0), (1, dilation), groups)
    network = dynamics.Network(step=1.0, threads=2)
    image = generator.random(shape) < 0.3
    source = network.population(
        None, dynamics.SpikeTimes([[1.0] if on else [] for on in image.ravel()])
    )
    target = network.population(
        int(np.prod(rule.output_shape)), dynamics.McCullochPitts(threshold=1e6), name="target"
    )
    network.connect(source, target, rule)
    network.run(2.0)
    padded = np.pad(image.astype(float), ((0, 0), (padding, padding), (0, 0)))
    expected = np.zeros(rule.output_shape)
    for out, y, x in np.ndindex(*rule.output_shape):
        for channel, row, column in np.ndindex(*kernel.shape[1:]):
            expected[out, y, x] += (
                kernel[out, channel, row, column]
                * padded[
                    out // (4 // groups) * 2 + channel, y * stride + row, x + column * dilation
                ]
            )
    np.testing.assert_array_equal(target.state("sum"), expected.ravel())


@pytest.mark.parametrize(
    ("synapses", "message"),
    [
        (dynamics.Static(delay=0.01), "one step"),
        (dynamics.Static(delay=1000.0), "delays of fewer than 4096 steps"),
        (dynamics.Static(weight=np.nan), "finite weight"),
        (dynamics.Static(weight=np.ones(3)), "for each listed pair"),
    ],
)
def test_impossible_synapses_are_refused(synapses: dynamics.Static, message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        made(dynamics.AllToAll(), 10, 10, synapses)
