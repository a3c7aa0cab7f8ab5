from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import single
from sangbo.engines import Reference, Segment
from sangbo.errors import EngineError
from sangbo.graph import Graph, Recurrent, Weight
from sangbo.graph.operations.recurrent import GATES
from sangbo.ledger import Ledger

CELLS = ["lstm", "gru", "ssru"]
SIZE = 4


def sigma(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def slow(cell: Any, x: Any, weight: Any, bias: Any, encode: Any, h: Any = None) -> Any:
    """The cell in float64, one sequence (T, gates·size); ``encode`` says what is passed on."""
    size = x.shape[1] // GATES[cell]
    h = np.zeros(size) if h is None else h
    c = np.zeros(size)
    rows = []
    for row in x.astype(np.float64):
        g = row.reshape(-1, size)
        if cell == "ssru":
            h = sigma(g[0]) * h + (1 - sigma(g[0])) * g[1]
            rows.append(np.maximum(h, 0))
            continue
        u = (weight @ encode(h) + bias).reshape(-1, size)
        if cell == "lstm":
            i, f, n, o = g + u
            c = sigma(f) * c + sigma(i) * np.tanh(n)
            h = sigma(o) * np.tanh(c)
        else:
            z = sigma(g[1] + u[1])
            h = (1 - z) * np.tanh(g[2] + sigma(g[0] + u[0]) * u[2]) + z * h
        rows.append(h)
    return np.array(rows).reshape(-1, size)


def made(cell: Any, axes: int, seed: int = 0, **more: Any) -> tuple[Graph, Any, Any]:
    """A graph of float cells, its weight and its bias."""
    rng = np.random.default_rng(seed)
    width = GATES[cell] * SIZE
    weight = rng.normal(size=(width, SIZE)).astype(np.float32)
    bias = rng.normal(size=width).astype(np.float32)
    shape = ("rows", width) if axes == 2 else ("samples", 5, width)
    has = cell != "ssru"
    operation = Recurrent("y", "x", cell, Weight("w") if has else None, "b" if has else None,
                          **more)  # fmt: skip
    inputs = {"x": single.real(*shape)}
    if operation.initial is not None:
        inputs["first"] = single.real("source", SIZE)
    tensors = {"w": weight, "b": bias} if has else {}
    return single.graph_of([operation], tensors, **inputs), weight, bias


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("samples", [0, 1, 3])
def test_cells_over_whole_sequences(cell: str, reverse: bool, samples: int) -> None:
    graph, weight, bias = made(cell, 3, reverse=reverse)
    x = np.random.default_rng(1).normal(size=(samples, 5, len(weight))).astype(np.float32)
    found = single.run(graph, x=x)
    turn = slice(None, None, -1 if reverse else 1)
    assert found.shape == (samples, 5, SIZE)
    for sample, expected in zip(found, x, strict=True):
        whole = slow(cell, expected[turn], weight, bias, lambda h: h)[turn]
        np.testing.assert_allclose(sample, whole, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_sequences_are_continued_by_their_caches(cell: str) -> None:
    graph, weight, bias = made(cell, 2)
    rng = np.random.default_rng(2)
    texts = [rng.normal(size=(n, len(weight))).astype(np.float32) for n in (6, 4)]
    engine = Reference(graph)
    caches = [engine.cache(8) for _ in texts]
    found: list[list[Any]] = [[], []]
    for cuts in ((2, 0), (1, 3), (3, 1)):
        starts = [c.length for c in caches]
        x = np.concatenate(
            [t[s : s + n] for t, s, n in zip(texts, starts, cuts, strict=True)]
        )  # fmt: skip
        segments = [Segment(c, n) for c, n in zip(caches, cuts, strict=True) if n]
        y = engine.run({"x": x}, segments)["y"]
        found[0].append(y[: cuts[0]])
        found[1].append(y[cuts[0] :])
    for text, parts in zip(texts, found, strict=True):
        expected = slow(cell, text, weight, bias, lambda h: h)
        np.testing.assert_allclose(np.concatenate(parts), expected, atol=1e-5)
    caches[0].truncate(2)
    again = engine.run({"x": texts[0][2:]}, [Segment(caches[0], 4)])["y"]
    assert np.array_equal(again, np.concatenate(found[0])[2:])


@pytest.mark.parametrize("cell", CELLS)
def test_a_state_begins_as_the_last_row_along_another_axis(cell: str) -> None:
    graph, weight, bias = made(cell, 2, initial="first")
    rng = np.random.default_rng(3)
    x = rng.normal(size=(4, len(weight))).astype(np.float32)
    first = rng.normal(size=(3, SIZE)).astype(np.float32)
    engine = Reference(graph)
    cache, other = engine.cache(8), engine.cache(8)
    empty = np.zeros((0, SIZE), np.float32)
    segments = [Segment(cache, 1, {"source": 2}), Segment(other, 0, {"source": 1})]
    parts = [engine.run({"x": x[:1], "first": first}, segments)["y"]]
    parts.append(engine.run({"x": x[1:], "first": empty}, [Segment(cache, 3)])["y"])
    expected = slow(cell, x, weight, bias, lambda h: h, first[1].astype(np.float64))
    np.testing.assert_allclose(np.concatenate(parts), expected, atol=1e-5)
    late = engine.run({"x": x, "first": empty}, [Segment(other, 4)])["y"]
    expected = slow(cell, x, weight, bias, lambda h: h, first[2].astype(np.float64))
    np.testing.assert_allclose(late, expected, atol=1e-5)


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(["lstm", "gru"]), st.booleans(), st.integers(0, 99))
def test_cells_on_levels_pass_on_what_neurons_send(cell: Any, minima: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    width = GATES[cell] * SIZE
    weight, tensors, reals = single.integers(rng, width, SIZE, minima=minima)
    tensors["b"] = rng.normal(size=width).astype(np.float32)
    tensors |= {"t": np.float32(1 / 16), "i": np.float32(16)}
    reals = reals / 64
    for name in ("w.scale", "w.minimum"):
        if name in tensors:
            tensors[name] = tensors[name] / np.float32(64)
    operation = Recurrent("y", "x", cell, weight, "b", threshold="t", inverse="i",
                          lowest=-15, highest=15)  # fmt: skip
    graph = single.graph_of([operation], tensors, x=single.real("samples", 6, width))
    x = rng.normal(size=(2, 6, width)).astype(np.float32)
    sent: list[Any] = []

    def encode(h: Any) -> Any:
        driven = h * 16 + 0.5
        assume(np.abs(driven - np.round(driven)).min() > 1e-4)  # between two levels it may be both
        sent.append(np.clip(np.floor(driven), -15, 15))
        return sent[-1] / 16

    ledger = Ledger()
    found = single.run(graph, ledger, x=x)
    for sample, rows in zip(found, x, strict=True):
        expected = slow(cell, rows, reals, tensors["b"], encode)
        np.testing.assert_allclose(sample, expected, atol=1e-4)
    count = ledger.operations["y"]
    assert (count.source, count.rows) == ("y.state", 12)
    assert ledger.neurons["y.state"].total == 12 * SIZE
    assert count.pairs.total == 12 * SIZE * width
    spikes = sum(int(np.abs(levels).sum()) for levels in sent)
    assert (count.pairs.magnitudes * count.pairs.occurrences).sum() == spikes * width
    assert count.accumulators == 12 * (width + (1 if minima else 0))


def test_rows_before_are_refused_by_cells_that_run_backwards() -> None:
    graph, weight, _ = made("gru", 2, reverse=True)
    x = np.zeros((2, len(weight)), np.float32)
    engine = Reference(graph)
    cache = engine.cache(4)
    engine.run({"x": x}, [Segment(cache, 2)])
    with pytest.raises(EngineError, match="whole sequences, found one with 2 rows"):
        engine.run({"x": x}, [Segment(cache, 2)])
    with pytest.raises(EngineError, match="segments of 2 rows in all, found 0"):
        engine.run({"x": x}, [])
