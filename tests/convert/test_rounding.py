"""Second-order rounding: better than the nearest integers, and of the values that it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import networks
from sangbo.convert import rounding
from sangbo.convert.rounding import second_order, sums_of_squares
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
    better = second_order(weights, grid, x.T @ x)
    assert better.values.dtype == grid.values.dtype
    assert better.values.shape == grid.values.shape
    assert np.array_equal(better.scale, grid.scale)
    wrong, less = (np.square(x @ (g.reals() - weights).T).sum() for g in (grid, better))
    assert less < 0.8 * wrong


def test_second_order_rounding_without_correlation_is_rounding() -> None:
    weights = np.random.default_rng(0).normal(size=(5, 64)).astype(np.float32)
    grid = per_channel(weights)
    assert np.array_equal(
        second_order(weights, grid, np.eye(64, dtype=np.float32)).values, grid.values
    )


def test_second_order_rounding_refuses_what_it_cannot_invert() -> None:
    weights = np.ones((4, 32), np.float32)
    broken = np.full((32, 32), np.nan, np.float32)
    with pytest.raises(ConversionError, match="expected finite inputs"):
        second_order(weights, per_channel(weights), broken)


def test_sums_of_squares_are_those_of_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = networks.llama(layers=2)
    passages = [networks.tokens(20, seed) for seed in range(3)]
    values = list(dict.fromkeys(o.input for o in graph.operations if isinstance(o, Linear)))
    whole = dict(sums_of_squares(graph, values, passages))
    monkeypatch.setattr(rounding, "MOST_BYTES", 1)  # one value at a time
    assert list(whole) == values
    for name, squares in sums_of_squares(graph, values, passages):
        assert np.array_equal(squares, whole[name])
        engine = Reference(graph)
        x = np.concatenate(
            [
                engine.run(whole_reading(t), [Segment(engine.cache(len(t)), len(t))], keep=[name])[
                    name
                ]
                for t in passages
            ]
        ).astype(np.float64)
        np.testing.assert_allclose(squares, x.T @ x, rtol=1e-4, atol=1e-4 * float((x * x).sum()))
