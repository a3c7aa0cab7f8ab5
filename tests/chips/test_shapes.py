"""What turns an operation into loop nests, against the operation's own windows and weights."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import networks
from sangbo import chips
from sangbo.chips.fit import layers_of
from sangbo.chips.shapes import OPERATIONS, counted, nests_of, weighted
from sangbo.errors import PriceError
from sangbo.graph import Convolution, Graph, Linear, Recurrent, ValueType, Weight
from sangbo.graph.operations import OPERATIONS as ALL
from sangbo.ledger import Ledger


def network(operation: Convolution | Recurrent, shape: tuple[int, ...], *weight: int) -> Graph:
    return Graph(
        "one operation",
        {"x": ValueType("real", ("samples", *shape))},
        (operation,),
        (operation.output,),
        {"w": np.ones(weight, np.float32)},
    )


@st.composite
def convolutions(draw: st.DrawFn, *, padded: bool, spread: int) -> Graph:
    axes = draw(st.integers(1, 2))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    inputs, outputs = (groups * draw(st.integers(1, 3)) for _ in range(2))
    kernel = tuple(draw(st.integers(1, 3)) * spread for _ in range(axes))
    space = tuple(draw(st.integers(k, k + 4)) for k in kernel)
    stride = 1 if spread > 1 else draw(st.integers(1, 3))
    sides = (draw(st.integers(0, 2)), draw(st.integers(0, 2))) if padded else (0, 0)
    operation = Convolution(
        "y", "x", Weight("w"), kernel, (stride,) * axes, (sides,) * axes, (1,) * axes,
        (spread,) * axes, groups,
    )  # fmt: skip
    return network(operation, (*space, inputs), outputs, prod(kernel) * inputs // groups)


def products(graph: Graph) -> int:
    """Pairs of an input and a weight that meet, counted one by one."""
    (operation,) = graph.operations
    assert isinstance(operation, Convolution)
    sliding = operation.windows(graph.values["x"])
    seen = 1
    for window in sliding:
        seen *= sum(
            window.source(output, tap) is not None
            for output, tap in product(range(window.outputs), range(window.kernel))
        )
    return seen * graph.values["y"].channels * (graph.values["x"].channels // operation.groups)


@settings(max_examples=60, deadline=None)
@given(convolutions(padded=False, spread=1))
def test_a_convolution_has_the_products_weights_and_outputs_of_its_windows(graph: Graph) -> None:
    (nest,) = nests_of(graph.operations[0], graph)
    assert nest.macs == products(graph)
    assert nest.weight_count == graph.tensors["w"].size
    assert nest.output_count == prod(graph.values["y"].inner())
    assert nest.input_count <= prod(graph.values["x"].inner())


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([1, 2, 3]).flatmap(lambda s: convolutions(padded=True, spread=s)))
def test_borders_and_zeros_between_are_counted_from_above(graph: Graph) -> None:
    """A kernel of a whole number of spreads, so that the nest's weights are the kernel's."""
    (nest,) = nests_of(graph.operations[0], graph)
    assert nest.weight_count == graph.tensors["w"].size
    assert nest.macs >= products(graph)
    assert nest.output_count >= prod(graph.values["y"].inner())


def test_a_recurrent_cell_is_a_product_of_its_gates_with_its_state() -> None:
    weight = Weight("w")
    lstm = network(Recurrent("y", "x", "lstm", weight), (12,), 12, 3)
    assert [(n.outputs, n.inputs, n.batch) for n in nests_of(lstm.operations[0], lstm)] == [
        (12, 3, 1)
    ]
    plain = Graph(
        "ssru", {"x": ValueType("real", ("rows", 6))}, (Recurrent("y", "x", "ssru"),), ("y",), {}
    )
    assert nests_of(plain.operations[0], plain) == []
    assert layers_of(plain) == []


def test_every_synaptic_type_of_a_graph_has_its_function() -> None:
    assert {t for t in ALL.values() if t.synaptic} == set(OPERATIONS)
    graph = networks.llama()
    embedding = graph.operations[0]
    with pytest.raises(PriceError, match=r"one of Linear, .*, found Embedding 'embedding"):
        nests_of(embedding, graph)


def test_what_sums_give_is_what_the_graph_says() -> None:
    graph = networks.llama()
    known = weighted(graph)
    linear = [o for o in graph.operations if isinstance(o, Linear)]
    assert list(known) == [o.output for o in linear]
    ledger = Ledger(samples=4)
    for nest in (shaped.nest for shaped in known.values()):
        ledger.neuron(f"{nest.name}.in").add(np.ones((4, nest.inputs), np.int32))
        count = ledger.operation(nest.name, f"{nest.name}.in", nest.weight_count)
        count.rows = 4
        count.pairs.merge(ledger.neuron(f"{nest.name}.in"), nest.outputs)
    assert counted(ledger) == counted(ledger, known=known)


def test_a_convolution_reads_its_weights_once_an_image() -> None:
    """A row is an output position: 9 × 9 × 8 inputs, 3 × 3 taps, 49 positions, 16 outputs."""
    operation = Convolution("y", "x", Weight("w"), (3, 3), (1, 1), ((0, 0),) * 2, (1, 1), (1, 1))
    graph = network(operation, (9, 9, 8), 16, 72)
    ledger = Ledger(samples=2)
    ledger.neuron("x").add(np.ones((2, 9, 9, 8), np.int32))
    count = ledger.operation("y", "x", 16 * 72)
    count.rows = 2 * 49
    window = operation.windows(graph.values["x"])[0]
    sees = [
        sum(window.source(o, t) == place for o in range(7) for t in range(3)) for place in range(9)
    ]
    count.pairs.add(np.ones((2, 9, 9, 8), np.int32), 16 * np.outer(sees, sees)[..., None])
    assert count.pairs.total == 2 * products(graph)
    for known in (weighted(graph), None):
        shaped = counted(ledger, known=known)["y"]
        assert shaped.times * shaped.nest.macs == pytest.approx(count.pairs.total / 2)
        assert counted(ledger, 4, known)["y"].times == pytest.approx(shaped.times / 4)
        for name in ("horowitz-45nm", "eyeriss-like"):
            run = chips.moved(ledger, chips.load(name), nests=known)
            outermost = [a for a in run.accesses if a.operand == "weights"][-1]
            assert outermost.read == pytest.approx(16 * 72, rel=0.3 if known is None else 1e-9)
