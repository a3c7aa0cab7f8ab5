from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import single
from sangbo.engines import Reference
from sangbo.errors import GraphError
from sangbo.graph import Convolution, Pool, Weight
from sangbo.ledger import Ledger
from sliding import convolutions, on_levels, slow, taps


@settings(deadline=None, max_examples=60)
@given(convolutions(), st.integers(0, 2), st.integers(1, 2), st.integers(0, 99))
def test_convolution_is_a_sum_over_every_tap(
    case: tuple[tuple[int, ...], int, Convolution], samples: int, each: int, seed: int
) -> None:
    space, channels, operation = case
    rng = np.random.default_rng(seed)
    outputs = operation.groups * each
    inputs = taps(operation) * channels // operation.groups
    weight = rng.normal(size=(outputs, inputs)).astype(np.float32)
    bias = rng.normal(size=outputs).astype(np.float32)
    x = rng.normal(size=(samples, *space, channels)).astype(np.float32)
    graph = single.graph_of(
        [replace(operation, bias="b")], {"w": weight, "b": bias},
        x=single.real("samples", *space, channels),
    )  # fmt: skip
    found = single.run(graph, x=x)
    expected, _ = slow(x, weight, operation)
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected + bias, rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=60)
@given(
    convolutions(), st.integers(0, 2), st.integers(1, 2), st.booleans(), st.integers(0, 99),
)  # fmt: skip
def test_convolution_on_levels_is_exact_and_counted(
    case: tuple[tuple[int, ...], int, Convolution], samples: int, each: int, minima: bool, seed: int
) -> None:
    operation, graph, reals = on_levels(case, each, seed, minima=minima)
    space, channels = case[:2]
    levels, x = single.scaled(np.random.default_rng(seed), samples, *space, channels)
    ledger = Ledger()
    found = single.run(graph, ledger, x=x)
    expected, products = slow(x.astype(np.float64), reals, operation)
    assert found.tolist() == expected.tolist()
    spikes, _ = slow(np.abs(levels), np.ones_like(reals), operation)
    if samples:
        count = ledger.operations["y"]
        assert count.pairs.total == products
        assert (count.pairs.magnitudes * count.pairs.occurrences).sum() == spikes.sum()
        rows = found.size // len(reals)
        assert count.rows == rows
        shifts = rows * operation.groups if minima else 0
        assert count.accumulators == found.size + shifts
        assert count.rescales == found.size * (2 if minima else 1)
        assert ledger.samples == samples


def test_a_large_image_is_computed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    case = ((5, 4), 2, Convolution("y", "x", Weight("w"), (3, 3), (1, 1), ((1, 1), (1, 1)),
                                   (1, 1), (1, 1)))  # fmt: skip
    _, graph, _ = on_levels(case, 3, 0, minima=False)
    _, x = single.scaled(np.random.default_rng(0), 5, 5, 4, 2)
    whole = single.run(graph, x=x)
    monkeypatch.setattr("sangbo.engines.reference.convolution._BLOCK", 800)
    assert np.array_equal(single.run(graph, x=x), whole)


@pytest.mark.parametrize("form", ["max", "mean"])
@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((1, 1), (0, 1))])
def test_pool_is_the_largest_or_the_mean_of_each_window(
    form: Any, outside: bool, padding: Any
) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 5, 6, 3)).astype(np.float32)
    operation = Pool("y", "x", form, (2, 3), (2, 1), padding, outside)
    graph = single.graph_of([operation], x=single.real("samples", 5, 6, 3))
    found = single.run(graph, x=x)
    fill = np.nan
    padded = np.pad(x.astype(np.float64), [(0, 0), *padding, (0, 0)], constant_values=fill)
    for i, j in itertools.product(range(found.shape[1]), range(found.shape[2])):
        window = padded[:, 2 * i : 2 * i + 2, j : j + 3].reshape(2, 6, 3)
        if form == "max":
            expected = np.nanmax(window, axis=1)
        else:
            inside = 6 if outside else (~np.isnan(window[:, :, :1])).sum(axis=1)
            expected = np.nansum(window, axis=1) / inside
        np.testing.assert_allclose(found[:, i, j], expected, rtol=1e-6, atol=1e-6)
    assert len(single.run(graph, x=x[:0])) == 0


def test_windows_that_do_not_fit_are_refused() -> None:
    x = single.real("samples", 4, 4, 2)
    with pytest.raises(GraphError, match="windows that fit"):
        single.graph_of([Pool("y", "x", "max", (5, 1), (1, 1), ((0, 0), (0, 0)))], x=x)
    with pytest.raises(GraphError, match="taps of 2 channels in 2 groups"):
        single.graph_of(
            [Convolution("y", "x", Weight("w"), (1, 1), (1, 1), ((0, 0),) * 2, (1, 1), (1, 1), 2)],
            {"w": np.zeros((4, 2), np.float32)}, x=x,
        )  # fmt: skip


def test_a_graph_on_images_needs_no_segments() -> None:
    pool = Pool("y", "x", "mean", (2, 2), (2, 2), ((0, 0), (0, 0)))
    engine = Reference(single.graph_of([pool], x=single.real("samples", 2, 2, 1)))
    found = engine.run({"x": np.array([[[[1], [2]], [[3], [6]]]], np.float32)}, [])
    assert found["y"].tolist() == [[[[3.0]]]]
