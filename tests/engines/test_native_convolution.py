"""Convolutions, pools and moved elements in the native engine: as the reference engine's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from native_agreement import agree
from random_graphs import Builder
from sangbo.engines.native import Native, instruction_sets
from sangbo.errors import EngineError
from sangbo.graph import (
    Activation,
    Concatenate,
    Constant,
    Convolution,
    Graph,
    Neuron,
    Pool,
    Reshape,
    Take,
    Transpose,
    ValueType,
    Weight,
)

FORMATS: tuple[dict[str, Any], ...] = (
    {},
    {"gain": 3000.0, "gains": True},
    {"gain": 15000.0},  # some levels beyond 16 bits
    {"minima": True, "half": False},
    {"bits": 4},
)


def convolve(
    builder: Builder, space: tuple[int, ...], channels: int, outputs: int,
    kernel: tuple[int, ...], *, stride: Any = 1, padding: Any = None, dilation: Any = 1,
    spread: Any = 1, groups: int = 1, shared: int = 0, bias: bool = True,
) -> Graph:  # fmt: skip
    """x → levels → convolution; ``shared`` inputs have one scale, all where it is 0."""
    axes = len(space)
    each = [v if isinstance(v, tuple) else (v,) * axes for v in (stride, dilation, spread)]
    around = padding or tuple((k // 2, (k - 1) // 2) for k in kernel)
    levels = builder.neuron("n", "x", channels)
    inputs = math.prod(kernel) * channels // groups
    weight = builder.weight("w", outputs, inputs, shared or inputs)
    shift = builder.normal("b", outputs, scale=0.1) if bias else None
    builder.add(Convolution("y", levels, weight, kernel, each[0], around, each[1], each[2], groups,
                            shift))  # fmt: skip
    return builder.graph("convolution", ("y",), x=ValueType("real", ("samples", *space, channels)))


def images(graph: Graph, samples: int, seed: int = 0) -> dict[str, Any]:
    shape = (samples, *graph.inputs["x"].inner())
    return {"x": np.random.default_rng(seed).normal(size=shape).astype(np.float32)}


def check(graph: Graph, samples: int = 2, **more: Any) -> Any:
    return agree(graph, [(images(graph, n, n), []) for n in (samples, samples + 1)], **more)


SHAPES: dict[str, dict[str, Any]] = {
    "of images with few channels": {"space": (9, 7), "channels": 3, "outputs": 21, "kernel": (3, 3),
                                    "stride": 2},
    "of rows of whole fours": {"space": (6, 5), "channels": 16, "outputs": 33, "kernel": (3, 3)},
    "of rows that end within a word of bits": {"space": (4, 3), "channels": 40, "outputs": 17,
                                               "kernel": (3, 3)},
    "of rows of several words of bits": {"space": (3, 3), "channels": 264, "outputs": 17,
                                         "kernel": (2, 2)},
    "that shares scales within a tap": {"space": (5, 4), "channels": 16, "outputs": 5,
                                        "kernel": (2, 3), "shared": 8},
    "that shares scales over taps": {"space": (5, 4), "channels": 8, "outputs": 5,
                                     "kernel": (2, 3), "shared": 24},
    "pointwise": {"space": (4, 4), "channels": 24, "outputs": 40, "kernel": (1, 1)},
    "pointwise with a stride": {"space": (5, 4), "channels": 24, "outputs": 9, "kernel": (1, 1),
                                "stride": 2},
    "depthwise": {"space": (7, 6), "channels": 19, "outputs": 19, "kernel": (5, 5), "groups": 19},
    "depthwise, strided": {"space": (7, 6), "channels": 32, "outputs": 32, "kernel": (3, 3),
                           "groups": 32, "stride": (2, 1)},
    "depthwise with scales for each row": {"space": (4, 4), "channels": 6, "outputs": 6,
                                           "kernel": (4, 4), "groups": 6, "shared": 4},
    "in groups": {"space": (5, 5), "channels": 12, "outputs": 18, "kernel": (3, 3), "groups": 3},
    "depthwise with several outputs": {"space": (5, 5), "channels": 4, "outputs": 12,
                                       "kernel": (2, 2), "groups": 4},
    "transposed": {"space": (4, 3), "channels": 16, "outputs": 20, "kernel": (4, 4), "spread": 2,
                   "padding": ((2, 2), (2, 2))},
    "transposed from one position": {"space": (1, 1), "channels": 10, "outputs": 8,
                                     "kernel": (4, 4), "padding": ((3, 3), (3, 3))},
    "transposed with other scales": {"space": (3, 3), "channels": 8, "outputs": 4,
                                     "kernel": (3, 3), "spread": 2, "shared": 8},
    "dilated": {"space": (9,), "channels": 8, "outputs": 16, "kernel": (3,), "dilation": 2},
    "of sound": {"space": (40,), "channels": 1, "outputs": 18, "kernel": (16,), "stride": 8},
}  # fmt: skip


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("shape", SHAPES)
def test_convolutions_equal_the_reference(isa: str, shape: str) -> None:
    for form in FORMATS:
        case = dict(SHAPES[shape])
        inputs = math.prod(case["kernel"]) * case["channels"] // case.get("groups", 1)
        if form.get("bits") == 4 and inputs % 2:
            continue
        check(convolve(Builder(1, **form), **case), isa=isa)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_convolution_equals_the_reference(data: st.DataObject) -> None:
    draw = data.draw
    axes = draw(st.integers(1, 2))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(axes))

    space, kernel, stride, dilation, spread = (
        each(1, 7),
        each(1, 4),
        each(1, 3),
        each(1, 2),
        each(1, 3),
    )
    padding = []
    for s, k, d, g in zip(space, kernel, dilation, spread, strict=True):
        short = max(0, (k - 1) * d - (s - 1) * g)
        padding.append((draw(st.integers(0, 3)) + short, draw(st.integers(0, 3))))
    groups = draw(st.integers(1, 3))
    channels = groups * draw(st.sampled_from([1, 3, 8, 16]))
    outputs = groups * draw(st.integers(1, 20))
    inputs = math.prod(kernel) * channels // groups
    shared = draw(st.sampled_from([n for n in range(1, inputs + 1) if inputs % n == 0]))
    form = draw(st.sampled_from(FORMATS[:4]))
    graph = convolve(
        Builder(draw(st.integers(0, 99)), **form), space, channels, outputs, kernel, stride=stride,
        padding=tuple(padding), dilation=dilation, spread=spread, groups=groups, shared=shared,
        bias=draw(st.booleans()),
    )  # fmt: skip
    check(graph, draw(st.integers(0, 2)), threads=draw(st.integers(1, 2)))


def test_two_convolutions_count_the_levels_of_one_neuron() -> None:
    b = Builder(3)
    levels = b.neuron("n", "x", 8)
    ones = ((1, 1), (1, 1))
    b.add(Convolution("y", levels, b.weight("v", 6, 72), (3, 3), (2, 2), ((1, 1), (1, 1)), *ones))
    b.add(Convolution("z", levels, b.weight("w", 4, 8), (1, 1), (2, 2), ((0, 0), (0, 0)), *ones))
    b.add(Convolution("t", levels, b.weight("u", 5, 8), (1, 1), (1, 1), ((0, 0), (0, 0)), *ones))
    graph = b.graph("two", ("y", "z", "t"), x=ValueType("real", ("samples", 5, 6, 8)))
    ledger = check(graph)
    assert ledger.operations["z"].pairs.total == 5 * 3 * 3 * 8 * 4


def test_accumulators_beyond_32_bits_are_refused() -> None:
    most = 2**20
    for groups, taps in ((1, 5), (5, 17)):
        tensors = {
            "one": np.float32(1),
            "w": np.full((5, taps * 5 // groups), 127, np.int8),
            "scale": np.ones((5, 1), np.float32),
        }
        weight = Weight("w", 8, taps * 5 // groups, "scale")
        operations = (
            Neuron("n", "x", "one", "one"),
            Convolution("y", "n", weight, (taps,), (1,), ((0, 0),), (1,), (1,), groups),
        )
        inputs = {"x": ValueType("real", ("samples", taps, 5))}
        arrays = {n: np.asarray(t) for n, t in tensors.items()}
        native = Native(Graph("big", inputs, operations, ("y",), arrays), threads=1)
        x = np.zeros((1, taps, 5), np.float32)
        each = x.reshape(-1) if groups == 1 else x[0, :, 2]
        each[:16] = most
        each[16] = (2**31 - 1) // 127 - 16 * most
        native.run({"x": x}, [])
        each[16] += 1
        with pytest.raises(EngineError, match=r"accumulators within 32 bits at 'y'"):
            native.run({"x": x}, [])


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_pools_equal_the_reference(data: st.DataObject) -> None:
    draw = data.draw
    axes = draw(st.integers(1, 2))
    space = tuple(draw(st.integers(1, 6)) for _ in range(axes))
    kernel = tuple(draw(st.integers(1, s)) for s in space)
    stride = tuple(draw(st.integers(1, 3)) for _ in range(axes))
    padding = tuple((draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))) for k in kernel)
    form: Any = draw(st.sampled_from(["max", "mean"]))
    channels = draw(st.sampled_from([1, 5, 16, 20]))
    graph = Graph(
        "pool", {"x": ValueType("real", ("samples", *space, channels))},
        (Pool("y", "x", form, kernel, stride, padding, draw(st.booleans())),), ("y",), {},
    )  # fmt: skip
    check(graph, draw(st.integers(0, 2)))


def in_rows(draw: Any) -> tuple[tuple[int, ...], int, int]:
    """The inner axes of a value, their size, and a length of rows that divides it."""
    inner = tuple(draw(st.sampled_from([1, 2, 3, 16, 17])) for _ in range(draw(st.integers(1, 3))))
    size = math.prod(inner)
    return inner, size, draw(st.sampled_from([n for n in range(1, size + 1) if size % n == 0]))


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_inputs_in_other_rows_equal_the_reference(data: st.DataObject) -> None:
    draw = data.draw
    inner, size, columns = in_rows(draw)
    reshaped = Reshape("rows", "x", (size // columns, columns))
    beside = draw(st.sampled_from([(), (Activation("y", "x", "relu"),)]))
    operations = draw(st.permutations([reshaped, *beside]))
    given_as = {"x": ValueType("real", ("samples", *inner))}
    graph = Graph("given", given_as, tuple(operations), tuple(o.output for o in operations), {})
    check(graph, draw(st.integers(0, 20)), threads=draw(st.integers(1, 2)))


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_moved_elements_equal_the_reference(data: st.DataObject) -> None:
    draw = data.draw
    inner, size, columns = in_rows(draw)
    rank = len(inner)
    axes = tuple(draw(st.permutations(range(1, rank + 1))))
    axis = draw(st.integers(1, rank))
    places = tuple(draw(st.lists(st.integers(0, inner[axis - 1] - 1), min_size=1, max_size=5)))
    token = np.random.default_rng(0).normal(size=inner).astype(np.float32)
    operations = (
        Transpose("turned", "x", axes),
        Take("taken", "x", axis, places),
        Constant("token", "x", "token"),
        Concatenate("joined", ("x", "taken", "token"), axis),
        Reshape("flat", "joined", (math.prod(inner) * 2 + size // inner[axis - 1] * len(places),)),
        Reshape("rows", "turned", (size // columns, columns)),
    )
    graph = Graph("moved", {"x": ValueType("real", ("samples", *inner))}, operations, ("flat",),
                  {"token": token})  # fmt: skip
    check(graph, draw(st.integers(0, 2)), threads=draw(st.integers(1, 2)))
