"""Second-order rounding: better than the nearest integers, and of the values that it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import networks
from sangbo.convert import rounding
from sangbo.convert.rounding import Factor, Moments, fitting, measured, second_order
from sangbo.convert.sites import find_sites
from sangbo.convert.weights import four_bit, per_channel
from sangbo.engines import Reference, Segment
from sangbo.errors import ConversionError
from sangbo.graph import Linear
from sangbo.tasks.language import whole_reading


@given(st.integers(0, 2**32 - 1), st.sampled_from([4, 8]))
def test_second_order_rounding_changes_products_less(seed: int, bits: int) -> None:
    """Against nearest rounding on inputs that are correlated, as real ones are."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(24, 64)).astype(np.float32)
    x = (rng.normal(size=(400, 16)) @ rng.normal(size=(16, 64))).astype(np.float32)
    x += 0.1 * rng.normal(size=x.shape).astype(np.float32)
    grid = per_channel(weights) if bits == 8 else four_bit(weights)
    better = second_order(weights, grid, Factor.of((x.T @ x).astype(np.float64) + np.eye(64)))
    assert better.values.dtype == grid.values.dtype
    assert better.values.shape == grid.values.shape
    assert np.array_equal(better.scale, grid.scale)
    wrong, less = (np.square(x @ (g.reals() - weights).T).sum() for g in (grid, better))
    assert less < 0.8 * wrong


def test_second_order_rounding_without_correlation_is_rounding() -> None:
    weights = np.random.default_rng(0).normal(size=(5, 64)).astype(np.float32)
    grid = per_channel(weights)
    assert np.array_equal(second_order(weights, grid, Factor.of(np.eye(64))).values, grid.values)


def test_second_order_rounding_refuses_what_it_cannot_invert() -> None:
    with pytest.raises(ConversionError, match="rounded for"):
        Factor.of(-np.eye(32))
    broken = Moments.none(32)
    broken.squares[0, 0] = np.nan
    with pytest.raises(ConversionError, match="expected finite inputs"):
        broken.model()


def test_moments_are_those_of_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = networks.llama(layers=2)
    passages = [networks.tokens(20, seed) for seed in range(3)]
    sites = {site.name: (site, np.float32(0.3)) for site in find_sites(graph)}
    wanted = {
        o.input: sites[o.input] for o in graph.operations if isinstance(o, Linear)
    }  # the same value may feed several
    whole = dict(measured(graph, wanted, passages))
    monkeypatch.setattr(rounding, "MOST_BYTES", 1)  # one value at a time
    assert list(whole) == list(wanted)
    for name, moments in measured(graph, wanted, passages):
        assert np.array_equal(moments.squares, whole[name].squares)
        engine = Reference(graph)
        x = np.concatenate(
            [
                engine.run(whole_reading(t), [Segment(engine.cache(len(t)), len(t))], keep=[name])[
                    name
                ]
                for t in passages
            ]
        ).astype(np.float64)
        sent = np.floor(x / np.float32(0.3) + 0.5) * np.float32(0.3)
        size = 1e-4 * float((x * x).sum())
        np.testing.assert_allclose(moments.squares, x.T @ x, rtol=1e-4, atol=size)
        np.testing.assert_allclose(moments.cross, (x * sent).sum(axis=0), atol=size)
        np.testing.assert_allclose(moments.sent, (sent * sent).sum(axis=0), atol=size)


@given(st.integers(0, 2**32 - 1), st.floats(0.5, 2.0))
def test_fitted_weights_hear_better(seed: int, theta: float) -> None:
    """On rows that were not seen, W*·x̂ is nearer to W·x than W·x̂ is, where channels correlate."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(12, 32)).astype(np.float32)
    mixing = rng.normal(size=(8, 32)) / 3

    def rows(count: int) -> tuple[Any, Any]:
        x = (rng.normal(size=(count, 8)) @ mixing).astype(np.float32)
        return x, np.floor(x / theta + 0.5).astype(np.float32) * np.float32(theta)

    moments = Moments.none(32)
    moments.add(*rows(4000))
    x, sent = rows(1000)
    target = x @ weights.T
    before = np.square(target - sent @ weights.T).sum()
    after = np.square(target - sent @ fitting(*moments.model()).T @ weights.T).sum()
    assert after < before


def test_fitting_to_exact_values_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    weights, x = (rng.normal(size=shape).astype(np.float32) for shape in ((6, 20), (100, 20)))
    moments = Moments.none(20)
    moments.add(x, x)
    np.testing.assert_allclose(weights @ fitting(*moments.model()), weights, atol=1e-5)
