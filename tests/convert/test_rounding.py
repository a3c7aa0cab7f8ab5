"""Second-order rounding: better than the nearest integers, and of the values that it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import families
import networks
import sangbo
from sangbo import Settings
from sangbo.convert import rounding
from sangbo.convert.rounding import (
    Factor,
    Reader,
    best_scales,
    measured,
    refine,
    second_order,
    shrunk,
)
from sangbo.convert.weights import four_bit, per_channel, per_group, quantise
from sangbo.engines import Reading, Reference
from sangbo.errors import ConversionError
from sangbo.graph import Convolution, Graph, Linear
from sangbo.progress import silent
from sangbo.sources import Source
from sangbo.tasks.language import Text
from sangbo.verify import compare


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


@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 9, 27]))
def test_few_inputs_get_the_scale_that_loses_least(seed: int, group: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(8, 27)).astype(np.float32)
    x = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 27)) + 0.1 * rng.normal(size=(200, 27))
    squares = (x.T @ x).astype(np.float64)
    grid, factor = per_group(weights, group), Factor.of(squares)
    first, best = second_order(weights, grid, factor), best_scales(weights, grid, factor, squares)
    lost = [np.square((g.reals() - weights) @ x.T).sum(axis=1) for g in (first, best)]
    assert (lost[1] <= lost[0] * (1 + 1e-5)).all()
    assert lost[1].sum() < 0.9 * lost[0].sum()
    assert (np.abs(best.values) <= 127).all()
    assert (best.scale >= grid.scale).all()


def test_second_order_rounding_without_correlation_is_rounding() -> None:
    weights = np.random.default_rng(0).normal(size=(5, 64)).astype(np.float32)
    grid = per_channel(weights)
    assert np.array_equal(second_order(weights, grid, Factor.of(np.eye(64))).values, grid.values)


def test_second_order_rounding_refuses_what_it_cannot_invert() -> None:
    with pytest.raises(ConversionError, match="rounded for"):
        Factor.of(-np.eye(32))
    broken = np.full((32, 32), np.nan, np.float32)
    with pytest.raises(ConversionError, match="expected finite inputs"):
        shrunk(broken, 100)


def test_squares_are_those_of_the_values_each_row_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = networks.llama(layers=2)
    readings = [Text.of(networks.tokens(20, seed)) for seed in range(3)]
    wanted = list(dict.fromkeys(o.input for o in graph.operations if isinstance(o, Linear)))
    whole = dict(measured(graph, wanted, readings))
    monkeypatch.setattr(rounding, "MOST_BYTES", 1)  # one value at a time
    assert list(whole) == wanted
    for name, squares in measured(graph, wanted, readings):
        assert np.array_equal(squares, whole[name])
        engine = Reference(graph)
        x = np.concatenate([r.run(engine, keep=[name])[name] for r in readings]).astype(np.float64)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        np.testing.assert_allclose(squares, x.T @ x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_few_rows_are_not_believed_too_much(seed: int) -> None:
    """Rounding for fewer rows than channels must pay on rows that it has not seen."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(24, 64)).astype(np.float32)
    mixing = rng.normal(size=(16, 64))

    def rows(count: int) -> Any:
        x = rng.normal(size=(count, 16)) @ mixing + 0.3 * rng.normal(size=(count, 64))
        return x.astype(np.float32)

    x, seen = rows(2000), rows(48)
    grid = four_bit(weights)
    better = second_order(weights, grid, Factor.of(shrunk(seen.T @ seen, len(seen))))
    wrong, less = (np.square(x @ (g.reals() - weights).T).sum() for g in (grid, better))
    assert less < 0.9 * wrong


@pytest.mark.parametrize("bits", [4, 8])
def test_new_grids_are_rounded_to_second_order_unless_told_otherwise(bits: int) -> None:
    """The divergence of the conversion falls, on texts that it has not seen."""
    original = networks.llama(seed=5, layers=2, channels=64, hidden=128)
    fresh = [Text.of(networks.tokens(60, seed)) for seed in range(12)]
    settings = Settings(weight_bits=bits, sequences=12, length=60, budget="perplexity=0.05%")
    found = [
        compare(
            Reference(original),
            sangbo.convert(
                Source(original), settings=replace(settings, second_order=second)
            ).engine,
            fresh,
        ).kl_divergence
        for second in (True, False)
    ]
    assert found[0] < found[1]


def convolutions(graph: Graph) -> list[Convolution]:
    return [o for o in graph.operations if isinstance(o, Convolution)]


def smooth(graph: Graph, count: int) -> list[Reading]:
    """Pictures whose neighbours are alike, as in real ones."""
    rng = np.random.default_rng(3)
    (name,) = graph.inputs
    pictures = rng.normal(size=(count, 4, *graph.values[name].inner())).astype(np.float32)
    return [Reading({name: x.cumsum(axis=1).cumsum(axis=2).astype(np.float32)}) for x in pictures]


@pytest.mark.parametrize("most", [rounding.MOST_PLACES, 7])
def test_rows_that_a_convolution_reads_give_what_it_computes(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(rounding, "MOST_PLACES", most)
    graph = families.cnn()
    (reading,) = smooth(graph, 1)
    names = [n for o in convolutions(graph) for n in (o.input, o.output)]
    values = {**reading.inputs, **reading.run(Reference(graph), keep=names)}
    assert {o.groups > 1 for o in convolutions(graph)} == {False, True}
    for operation in convolutions(graph):
        reader = Reader.of(operation, graph)
        rows = reader.rows(values[operation.input])
        weights = graph.tensors[operation.weight.values]
        own = weights.reshape(operation.groups, -1, reader.inputs)
        found = (rows @ own.transpose(0, 2, 1)).transpose(1, 0, 2).reshape(-1, len(weights))
        y = values[operation.output] - graph.tensors[str(operation.bias)]
        samples, channels = len(y), y.shape[-1]
        places = len(found) // samples
        step = max(1, y.size // channels // most)
        expected = y.reshape(samples, -1, channels)[:, ::step]
        assert places == expected.shape[1]
        np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-4, atol=1e-4)


def test_convolutions_lose_less_by_rounding_to_second_order() -> None:
    graph = families.cnn()
    readings = smooth(graph, 6)
    names = list(dict.fromkeys(o.input for o in convolutions(graph)))
    plain = quantise(graph, 8, {}, silent)
    better = refine(graph, plain, frozenset(), readings, silent)
    fresh = smooth(graph, 8)[6:]
    lost = np.zeros(2)
    for reading in fresh:
        values = {**reading.inputs, **reading.run(Reference(graph), keep=names)}
        for operation in convolutions(graph):
            reader, name = Reader.of(operation, graph), operation.weight.values
            rows = reader.rows(values[operation.input])
            shape = (operation.groups, -1, reader.inputs)
            for i, grid in enumerate((plain[name], better[name])):
                error = (grid.reals() - graph.tensors[name]).reshape(shape)
                wrong = np.square(rows @ error.transpose(0, 2, 1)).sum()
                lost[i] += wrong / np.square(rows).sum()
    assert lost[1] < 0.7 * lost[0]
    assert all((better[n].scale >= plain[n].scale).all() for n in plain)
