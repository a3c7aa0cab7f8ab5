"""Spike by spike, every operation gives the bits of the reference engine, and the same counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attending
import single
import sliding
from sangbo.engines import Reference, Segment, Temporal
from sangbo.engines.activity import Activity
from sangbo.engines.reference import dequantise
from sangbo.graph import Convolution, Graph, Linear, Recurrent, Weight
from sangbo.graph.operations.recurrent import GATES
from sangbo.ledger import Ledger
from sangbo.tallies import Tallies

CODES = ["rate", "radix", "csd", "graded"]


def agree(
    graph: Graph,
    runs: Sequence[tuple[Mapping[str, Any], Sequence[tuple[int, Mapping[str, int]]]]],
    **options: Any,
) -> Activity:
    """Run both engines; each run has inputs, and rows of each sequence along the axes."""
    engines: list[Any] = [Reference(graph), Temporal(graph, **options)]
    ledgers = [Ledger(tallies=Tallies.of(["token", "channel"])) for _ in engines]
    activity = Activity()
    sequences = max((len(parts) for _, parts in runs), default=0)
    caches = [[e.cache(99) for _ in range(sequences)] for e in engines]
    for inputs, parts in runs:
        found = []
        for engine, ledger, own in zip(engines, ledgers, caches, strict=True):
            more = {} if engine is engines[0] else {"activity": activity}
            segments = [Segment(c, rows, others) for c, (rows, others) in
                        zip(own, parts, strict=True)]  # fmt: skip
            found.append(engine.run(inputs, segments, ledger=ledger, **more)[graph.outputs[0]])
        assert found[0].dtype == found[1].dtype
        assert np.array_equal(*found)
    assert ledgers[0] == ledgers[1]
    if ledgers[0].samples:
        ledgers[0].check_tallies()
    return activity


@settings(deadline=None, max_examples=40)
@given(
    sliding.convolutions(), st.integers(0, 2), st.integers(1, 2), st.booleans(),
    st.sampled_from(CODES), st.none() | st.integers(0, 9), st.integers(0, 99),
)  # fmt: skip
def test_convolutions(
    case: Any, samples: int, each: int, minima: bool, code: str, most: int | None, seed: int
) -> None:
    _, graph, reals = sliding.on_levels(case, each, seed, minima=minima)
    levels, x = single.scaled(np.random.default_rng(seed), samples, *case[0], case[1])
    steps = 9 if code == "rate" else None
    activity = agree(graph, [({"x": x}, [])], code=code, steps=steps, largest_spiking=most)
    if code == "rate" and most is None:
        spikes, _ = sliding.slow(np.abs(levels), np.ones_like(reals), case[2])
        assert int(activity.operations["y"].accumulates.sum()) == spikes.sum()


@pytest.mark.parametrize("bits", [4, 8])
def test_convolution_of_several_weight_groups(bits: int) -> None:
    case = ((3, 4), 4, Convolution(
        "y", "x", Weight("w"), (2, 2), (1, 2), ((1, 0), (0, 1)), (1, 1), (1, 2), 2
    ))  # fmt: skip
    rng = np.random.default_rng(0)
    if bits == 8:
        weight, tensors, _ = single.integers(rng, 6, 8, minima=True, group=4)
    else:
        weight = Weight("w", 4, 4, "s", "m")
        tensors = {"w": rng.integers(0, 256, (6, 4)).astype(np.uint8)}
        tensors |= {n: rng.normal(size=(6, 2)).astype(np.float16) for n in ("s", "m")}
    neuron, own = single.neuron("n", "x", 9)
    operation = replace(case[2], input="n", weight=weight)
    graph = single.graph_of(
        [neuron, operation], tensors | own, x=single.real("samples", 3, 4, 4)
    )  # fmt: skip
    _, x = single.scaled(rng, 2, 3, 4, 4)
    agree(graph, [({"x": x}, [])])
    real = x @ np.eye(4, dtype=np.float32)
    expected, _ = sliding.slow(real.astype(np.float64), dequantise(weight, graph), case[2])
    found = single.run(graph, x=x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("axes", [2, 3])
def test_recurrent_cells(cell: Any, code: str, axes: int) -> None:
    rng = np.random.default_rng(0)
    width = GATES[cell] * 5
    weight, tensors, _ = single.integers(rng, width, 5, minima=True)
    tensors["w.scale"] = tensors["w.scale"] / np.float32(64)
    tensors["b"] = rng.normal(size=width).astype(np.float32)
    tensors |= {"t": np.float32(1 / 12), "i": np.float32(12)}
    operation = Recurrent("y", "x", cell, weight, "b", threshold="t", inverse="i",
                          lowest=-15, highest=15)  # fmt: skip
    shape = ("rows", width) if axes == 2 else ("samples", 4, width)
    graph = single.graph_of([operation], tensors, x=single.real(*shape))
    x = rng.normal(size=(6, width) if axes == 2 else (2, 4, width)).astype(np.float32)
    runs: list[Any] = [({"x": x}, [])]
    if axes == 2:
        runs = [({"x": x}, [(2, {}), (4, {})]), ({"x": x[:3]}, [(3, {}), (0, {"x": 0})])]
        runs[1] = ({"x": x[:3]}, [(2, {}), (1, {})])
    activity = agree(graph, runs, code=code)
    assert activity.neurons["y.state"].levels == (9 if axes == 2 else 8) * 5


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("distances", [False, True])
def test_attention_of_whole_and_of_kept_sequences(code: str, distances: bool) -> None:
    rng = np.random.default_rng(1)
    drawn, heads, kept = attending.drawn, attending.HEADS, attending.KEY_HEADS
    for causal in (False, True):
        graph, _ = attending.made(("samples", 5), ("samples", 5), causal=causal,
                                       distances=distances, levels=True)  # fmt: skip
        q, k, v = (drawn(rng, 10, h).reshape(2, 5, -1) for h in (heads, kept, kept))
        agree(graph, [({"q": q, "k": k, "v": v}, [])], code=code)
    graph, _ = attending.made(("rows",), ("samples", 5), causal=False,
                                   distances=distances, levels=True)  # fmt: skip
    queries, k = drawn(rng, 6, heads), drawn(rng, 10, kept).reshape(2, 5, -1)
    agree(
        graph,
        [
            ({"q": queries[:3], "k": k, "v": k}, [(2, {"samples": 1}), (1, {"samples": 1})]),
            ({"q": queries[3:], "k": k[:0], "v": k[:0]}, [(1, {}), (2, {})]),
        ],
        code=code,
    )


def test_rows_with_a_closed_gate_send_nothing() -> None:
    rng = np.random.default_rng(2)
    weight, tensors, _ = single.integers(rng, 3, 4)
    neuron, own = single.neuron("n", "x", 15)
    graph = single.graph_of(
        [neuron, Linear("y", "n", weight, gate="g")], tensors | own,
        x=single.real("rows", 4), g=single.real("rows", 1),
    )  # fmt: skip
    levels, x = single.scaled(rng, 5, 4)
    gate = np.array([[0], [1], [0], [-1], [2]], np.float32)
    activity = agree(graph, [({"x": x, "g": gate}, [(5, {})])], code="rate")
    opened = gate[:, 0] != 0
    assert int(activity.operations["y"].accumulates.sum()) == 3 * np.abs(levels[opened]).sum()
