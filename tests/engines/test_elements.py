"""Operations on elements and rows, and those that only move them."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import networks
import single
from sangbo.engines import Reference
from sangbo.graph import (
    Activation,
    Affine,
    Concatenate,
    Constant,
    Graph,
    Linear,
    Multiply,
    Operation,
    Reshape,
    Softmax,
    Take,
    Transpose,
    Weight,
)
from sangbo.ledger import Ledger
from sangbo.tallies import PAIRS, SENT, Tallies


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


EXACT: dict[str, Any] = {
    "silu": lambda x: x * sigma(x),
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "gelu_tanh": lambda x: x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    "quick_gelu": lambda x: x * sigma(1.702 * x),
    "relu": lambda x: max(x, 0),
    "relu6": lambda x: min(max(x, 0), 6),
    "leaky_relu": lambda x: x if x > 0 else 0.125 * x,
    "hardswish": lambda x: x * min(max(x + 3, 0), 6) / 6,
    "sigmoid": sigma,
    "tanh": math.tanh,
    "sqrt": lambda x: math.sqrt(max(x, 0)),
}


def one(operation: Operation, x: Any, tensors: dict[str, Any] | None = None) -> Any:
    graph = single.graph_of([operation], tensors, x=single.real("rows", *x.shape[1:]))
    return single.run(graph, x=x)


@pytest.mark.parametrize("function", list(EXACT))
def test_activations_are_near_their_equations(function: Any) -> None:
    x = np.concatenate([np.linspace(-20, 20, 4001), [-80, 80]]).astype(np.float32).reshape(-1, 1)
    slope = 0.125 if function == "leaky_relu" else 0.0
    found = one(Activation("y", "x", function, slope), x)
    expected = np.array([EXACT[function](float(v)) for v in x[:, 0]])
    np.testing.assert_allclose(found[:, 0], expected, rtol=2e-6, atol=4e-7)
    ends = np.array([[-3e38], [3e38], [-np.inf], [np.inf], [np.nan], [-0.0]], np.float32)
    met = one(Activation("y", "x", function, slope), ends)
    assert np.isnan(met[4, 0])
    assert not np.isnan(met[:2]).any() or function in ("gelu_tanh", "hardswish")
    assert one(Activation("y", "x", function, slope), x[:0]).shape == (0, 1)


@pytest.mark.parametrize("chosen", [0, 1, 2, 5])
def test_softmax_keeps_the_largest(chosen: int) -> None:
    x = np.random.default_rng(0).normal(size=(3, 2, 5)).astype(np.float32)
    x[0, 0] = [1, 2, 2, 2, 0]
    found = one(Softmax("y", "x", chosen), x)
    for row, y in zip(x.reshape(-1, 5), found.reshape(-1, 5), strict=True):
        e = [math.exp(v - max(row)) for v in row]
        kept = sorted(range(5), key=lambda i: -row[i])[: chosen or 5]
        total = sum(e[i] for i in kept)
        expected = [e[i] / total if i in kept else 0 for i in range(5)]
        np.testing.assert_allclose(y, expected, rtol=1e-5)
    assert one(Softmax("y", "x", chosen), x[:0]).shape == (0, 2, 5)


@pytest.mark.parametrize("shape", [(4,), (3, 4)])
@pytest.mark.parametrize("parts", [("w", "b"), ("w", None), (None, "b"), (None, None)])
def test_affine_scales_and_shifts(shape: tuple[int, ...], parts: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 4)).astype(np.float32)
    tensors = {n: rng.normal(size=shape).astype(np.float32) for n in parts if n}
    expected = x * tensors.get("w", np.float32(1)) + tensors.get("b", np.float32(0))
    assert np.array_equal(one(Affine("y", "x", *parts), x, tensors), expected)


@settings(deadline=None, max_examples=30)
@given(st.permutations([1, 2, 3]), st.integers(0, 2))
def test_moving_elements_keeps_them(axes: list[int], rows: int) -> None:
    x = np.random.default_rng(0).normal(size=(rows, 2, 3, 4)).astype(np.float32)
    moved = one(Transpose("y", "x", tuple(axes)), x)
    assert moved.shape == (rows, *(x.shape[a] for a in axes))
    for place in itertools.product(range(rows), range(2), range(3), range(4)):
        assert moved[(place[0], *(place[a] for a in axes))] == x[place]
    assert np.array_equal(one(Reshape("y", "x", (6, 4)), x).reshape(-1), x.reshape(-1))
    taken = one(Take("y", "x", 2, (2, 0, 0)), x)
    assert np.array_equal(taken, np.stack([x[:, :, 2], x[:, :, 0], x[:, :, 0]], axis=2))


def test_values_stand_side_by_side_and_constants_are_repeated() -> None:
    x = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    token = np.array([[7, 8, 9]], np.float32)
    graph = single.graph_of(
        [Constant("c", "x", "t"), Concatenate("y", ("c", "x"), 1)], {"t": token},
        x=single.real("samples", 2, 3),
    )  # fmt: skip
    found = single.run(graph, x=x)
    assert found.tolist() == [[[7, 8, 9], *sample] for sample in x.tolist()]
    assert single.run(graph, x=x[:0]).shape == (0, 3, 3)


def test_one_channel_multiplies_all() -> None:
    x, g = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([[2], [-1]], np.float32)
    graph = single.graph_of(
        [Multiply("y", "x", "g")], x=single.real("rows", 3), g=single.real("rows", 1)
    )
    assert single.run(graph, x=x, g=g).tolist() == (x * g).tolist()


def gated(bits: int) -> tuple[Graph, Any]:
    rng = np.random.default_rng(0)
    weight, tensors, reals = single.integers(rng, 3, 4)
    tensors["b"] = rng.normal(size=3).astype(np.float32)
    if bits == 8:
        neuron, own = single.neuron("n", "x")
        operations: list[Operation] = [neuron, Linear("y", "n", weight, "b", "g")]
        tensors |= own
    else:
        tensors = {"w": reals.astype(np.float32), "b": tensors["b"]}
        operations = [Linear("y", "x", Weight("w"), "b", "g")]
    inputs = {"x": single.real("rows", 4), "g": single.real("rows", 1)}
    return single.graph_of(operations, tensors, **inputs), reals


@pytest.mark.parametrize("bits", [8, 32])
def test_rows_with_a_closed_gate_are_left_out(bits: int) -> None:
    graph, reals = gated(bits)
    levels, x = single.scaled(np.random.default_rng(1), 5, 4)
    gate = np.array([[0], [0.5], [0], [-1], [2]], np.float32)
    opened = gate[:, 0] != 0
    ledger = Ledger(tallies=Tallies.of(["token"]))
    found = Reference(graph).run({"x": x, "g": gate}, [], ledger=ledger)["y"]
    expected = np.where(opened[:, None], x @ reals.T.astype(np.float32) + graph.tensors["b"], 0)
    assert np.array_equal(found, expected)
    if bits == 8:
        count = ledger.operations["y"]
        assert (count.rows, count.pairs.total, ledger.neurons["n"].total) == (3, 3 * 4 * 3, 20)
        spikes = np.abs(levels[opened]).sum() * 3
        assert (count.pairs.magnitudes * count.pairs.occurrences).sum() == spikes
        tally = ledger.groups("token")["n"]
        assert tally.sums[:, SENT, 0].sum() == 20
        assert tally.sums[:, PAIRS, 0].sum() == 36
        ledger.check_tallies()


@pytest.mark.parametrize("bits", [4, 8])
def test_no_rows_are_no_rows_of_any_table(bits: int) -> None:
    graph = networks.converted(networks.llama(), bits)
    engine, none = Reference(graph), np.zeros(0, np.int32)
    inputs = {"tokens": none, "positions": none, "selected": none}
    assert engine.run(inputs, [])["logits"].shape == (0, networks.VOCABULARY)
