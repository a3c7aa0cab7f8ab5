"""Attention, cells and gates in the native engine: as the reference engine's."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from native_agreement import Step, agree
from random_graphs import Builder
from sangbo.engines import Reference, Segment
from sangbo.engines.native import Native, instruction_sets
from sangbo.errors import EngineError
from sangbo.graph import (
    Activation,
    Affine,
    Attention,
    Graph,
    Linear,
    Multiply,
    Recurrent,
    Softmax,
    ValueType,
)
from sangbo.graph.operations.recurrent import GATES
from sangbo.graph.operations.rows import Function

SIZE = 5


def real(*shape: int | str) -> ValueType:
    return ValueType("real", shape)


def normal(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def attend(
    builder: Builder, query: tuple[int | str, ...], key: tuple[int | str, ...], *, heads: int,
    key_heads: int, causal: bool, distances: int | None, cached: int = 127, probability: int = 255,
) -> Graph:  # fmt: skip
    """q, k and v → levels → attention; ``distances`` is D of a bias, where there is one."""
    b = builder
    sizes = {"q": heads * SIZE, "k": key_heads * SIZE, "v": key_heads * SIZE}
    q, k, v = (b.neuron(f"{n}.n", n, c, None if n == "q" else cached) for n, c in sizes.items())
    b.tensor("theta", np.float32(1 / probability))
    b.tensor("inverse", np.float32(probability))
    table = None if distances is None else b.normal("b", heads, 2 * distances + 1)
    b.add(Attention("y", q, k, v, heads, key_heads, SIZE**-0.5, causal, "theta", "inverse",
                    probability, table))  # fmt: skip
    inputs = {n: real(*(query if n == "q" else key), channels) for n, channels in sizes.items()}
    return b.graph("attention", ("y",), **inputs)


def filled(graph: Graph, seed: int, **sizes: int) -> dict[str, Any]:
    found = {}
    for number, (name, kind) in enumerate(graph.inputs.items()):
        shape = tuple(sizes[d] if isinstance(d, str) else d for d in kind.shape)
        found[name] = normal(10 * seed + number, *shape)
    return found


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("key", [None, 7])
@pytest.mark.parametrize("distances", [None, 0, 3])
def test_whole_sequences_attend(isa: str, key: int | None, distances: int | None) -> None:
    for causal in (False, True) if key is None else (False,):
        graph = attend(Builder(1), ("samples", 20), ("samples", key or 20), heads=4, key_heads=2,
                       causal=causal, distances=distances)  # fmt: skip
        agree(graph, [(filled(graph, n, samples=n), []) for n in (3, 0, 1)], isa=isa)


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_any_whole_sequences_attend(data: st.DataObject) -> None:
    draw = data.draw
    queries, keys = draw(st.integers(1, 20)), draw(st.integers(1, 40))
    causal = draw(st.booleans())
    key_heads, group = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    graph = attend(
        Builder(draw(st.integers(0, 99)), gain=draw(st.sampled_from([8.0, 900.0]))),
        ("samples", queries), ("samples", queries if causal else keys),
        heads=key_heads * group, key_heads=key_heads, causal=causal,
        distances=draw(st.sampled_from([None, 2])),
        cached=draw(st.sampled_from([127, 3000, 100_000])),
        probability=draw(st.sampled_from([7, 255, 40_000])),
    )  # fmt: skip
    inputs, threads = filled(graph, 1, samples=draw(st.integers(1, 3))), draw(st.integers(1, 2))
    try:
        Reference(graph).run(inputs, [])
    except EngineError:  # what one refuses the other does
        with pytest.raises(EngineError, match="accumulators within 32 bits"):
            Native(graph, threads=threads).run(inputs, [])
        return
    agree(graph, [(inputs, [])], threads=threads)


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("large", ["q", "k", "v"])
@pytest.mark.parametrize("axes", [("samples", 9), ("rows",)])
def test_some_rows_have_levels_beyond_16_bits(isa: str, large: str, axes: Any) -> None:
    graph = attend(Builder(4, gain=18_000.0), axes, axes, heads=4, key_heads=2, causal=True,
                   distances=None, cached=100_000)  # fmt: skip
    inputs = filled(graph, 1, samples=2, rows=18)
    for name, x in inputs.items():
        x *= np.float32(1 if name == large else 1e-3)
    of_rows = np.abs(inputs[large] * graph.tensors[f"{large}.n.inverse"]).max(axis=-1)
    assert of_rows.min() < 2**15 - 1000
    assert of_rows.max() > 2**15
    segments: list[Any] = [] if len(axes) == 2 else [(0, 12, {}), (1, 6, {})]
    agree(graph, [(inputs, segments)], isa=isa)


def test_sums_of_values_beyond_32_bits_are_refused_by_both_engines() -> None:
    graph = attend(Builder(0, gain=900.0), ("samples", 3), ("samples", 26), heads=6, key_heads=2,
                   causal=False, distances=None, cached=100_000, probability=40_000)  # fmt: skip
    for engine in (Reference(graph), Native(graph)):
        with pytest.raises(EngineError, match="accumulators within 32 bits"):
            engine.run(filled(graph, 1, samples=2), [])


@pytest.mark.parametrize("distances", [None, 2])
@pytest.mark.parametrize("whole", [False, True])
def test_targets_attend_to_a_source_that_is_kept(whole: bool, distances: int | None) -> None:
    key: tuple[int | str, ...] = ("samples", 5) if whole else ("source",)
    axis = str(key[0])
    graph = attend(Builder(2), ("rows",), key, heads=4, key_heads=2, causal=False,
                   distances=distances)  # fmt: skip
    first, second = (1, 1) if whole else (20, 3)

    def step(seed: int, rows: int, source: int, segments: Any) -> Step:
        return filled(graph, seed, **{"rows": rows, axis: source}), segments

    agree(graph, [
        step(1, 2, first + second, [(0, 2, {axis: first}), (1, 0, {axis: second})]),
        step(2, 5, 0, [(0, 1, {}), (1, 4, {})]),
        step(3, 4, first, [(2, 3, {axis: first}), (0, 1, {})]),
    ])  # fmt: skip


def test_more_source_may_follow() -> None:
    graph = attend(Builder(3), ("rows",), ("source",), heads=2, key_heads=2, causal=False,
                   distances=1)  # fmt: skip
    steps: list[Step] = [
        (filled(graph, n, rows=2, source=source), [(0, 2, {"source": source})])
        for n, source in enumerate((3, 30, 0, 1, 16))
    ]
    agree(graph, steps)


def test_biases_follow_rows_through_the_cache() -> None:
    graph = attend(Builder(4), ("rows",), ("rows",), heads=2, key_heads=1, causal=True,
                   distances=2)  # fmt: skip
    agree(graph, [(filled(graph, n, rows=n + 2), [(0, n, {}), (1, 2, {})]) for n in (1, 4, 2)])


def test_rows_without_keys_are_refused() -> None:
    graph = attend(Builder(5), ("rows",), ("samples", 3), heads=1, key_heads=1, causal=False,
                   distances=None)  # fmt: skip
    native = Native(graph, threads=1)
    inputs = filled(graph, 1, rows=1, samples=0)
    with pytest.raises(EngineError, match="rows before 'y' attends to them"):
        native.run(inputs, [Segment(native.cache(4), 1)])
    with pytest.raises(EngineError, match=r"1 rows in all.* found 0"):
        native.run(inputs, [Segment(native.cache(4), 0, {"samples": 1})])
    both = filled(graph, 1, rows=1, samples=2)
    with pytest.raises(EngineError, match="one sample for each sequence"):
        native.run(both, [Segment(native.cache(4), 1, {"samples": 2})])


FORMATS: dict[str, dict[str, Any]] = {
    "int8": {},
    "in groups, huge levels": {"group": 3, "minima": True, "gain": 4000.0},
    "4 bits": {"bits": 4},
}


def cells(
    builder: Builder, cell: Any, shape: tuple[int | str, ...], size: int, **more: Any
) -> Graph:
    b, gates = builder, GATES[cell]
    inputs = {"x": real(*shape, gates * size)}
    parts: dict[str, Any] = {}
    if cell != "ssru":
        b.neuron("state", "x", size)  # for its tensors alone
        b.operations.clear()
        parts = {
            "weight": b.weight("w", gates * size, size),
            "bias": b.normal("b", gates * size, scale=0.1),
            "threshold": "state.threshold",
            "inverse": "state.inverse",
        }
        b.tensor("state.inverse", np.float32(b.gain))
    if "initial" in more:
        inputs["first"] = real("source", size)
    b.add(Recurrent("y", "x", cell, **parts, **more))
    return b.graph("cells", ("y",), **inputs)


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("form", FORMATS)
def test_cells_over_whole_sequences(isa: str, cell: str, form: str) -> None:
    for size, samples, reverse in ((6, 1, False), (18, 11, True)):
        graph = cells(Builder(1, **FORMATS[form]), cell, ("samples", 7), size, reverse=reverse)
        agree(graph, [(filled(graph, n, samples=n), []) for n in (samples, 0)], isa=isa)


@pytest.mark.parametrize("cell", GATES)
def test_states_are_kept_between_runs(cell: str) -> None:
    graph = cells(Builder(2), cell, ("rows",), 6)
    agree(graph, [(filled(graph, n, rows=n + 2), [(0, n, {}), (1, 2, {})]) for n in (1, 4, 2)])
    native = Native(graph, threads=2)
    x = filled(graph, 1, rows=6)["x"]
    cache = native.cache(8)
    whole = native.run({"x": x}, [Segment(cache, 6)])["y"]
    cache.truncate(2)
    assert np.array_equal(native.run({"x": x[2:]}, [Segment(cache, 4)])["y"], whole[2:])


@pytest.mark.parametrize("cell", GATES)
def test_states_begin_along_another_axis(cell: str) -> None:
    graph = cells(Builder(3), cell, ("rows",), 6, initial="first")

    def step(seed: int, rows: int, source: int, segments: Any) -> Step:
        return filled(graph, seed, rows=rows, source=source), segments

    agree(graph, [
        step(1, 2, 5, [(0, 2, {"source": 3}), (1, 0, {"source": 2})]),
        step(2, 3, 0, [(1, 2, {}), (0, 1, {})]),
        step(3, 3, 1, [(0, 2, {"source": 1}), (1, 1, {})]),
    ])  # fmt: skip
    native = Native(graph, threads=1)
    inputs, cache = filled(graph, 1, rows=3, source=1), native.cache(8)
    first = native.run(inputs, [Segment(cache, 3, {"source": 1})])["y"]
    cache.truncate(0)
    again = native.run(
        {**inputs, "first": inputs["first"][:0]}, [Segment(cache, 3)]
    )["y"]  # fmt: skip
    assert np.array_equal(first, again)


def test_cells_that_run_backwards_want_whole_sequences() -> None:
    graph = cells(Builder(4), "gru", ("rows",), 6, reverse=True)
    agree(graph, [(filled(graph, 1, rows=5), [(0, 3, {}), (1, 2, {})])])
    native = Native(graph, threads=1)
    cache, inputs = native.cache(8), filled(graph, 1, rows=2)
    native.run(inputs, [Segment(cache, 2)])
    with pytest.raises(EngineError, match="runs backwards"):
        native.run(inputs, [Segment(cache, 2)])


@pytest.mark.parametrize("isa", instruction_sets())
def test_functions_of_elements_equal_the_reference(isa: str) -> None:
    operations = [
        Activation(name, "x", name, 0.1 if name == "leaky_relu" else 0.0)
        for name in get_args(Function)
    ]
    graph = Graph("functions", {"x": real("samples", 3, 50)}, tuple(operations), ("relu",), {})
    x = np.concatenate([normal(1, 4, 3, 50) * s for s in (1, 10, 100)])
    x[0, 0, :4] = 0, -0.0, 100, -100
    agree(graph, [({"x": x}, [])], isa=isa)


@pytest.mark.parametrize("chosen", [0, 1, 2, 13])
def test_softmax_equals_the_reference(chosen: int) -> None:
    graph = Graph("softmax", {"x": real("rows", 13)}, (Softmax("y", "x", chosen),), ("y",), {})
    x = np.round(normal(1, 40, 13) * 2) / 2  # equal ones too
    agree(graph, [({"x": x}, [])])


@pytest.mark.parametrize("shape", [(18,), (3, 18)])
def test_scales_and_shifts_equal_the_reference(shape: tuple[int, ...]) -> None:
    tensors = {"w": normal(2, *shape), "b": normal(3, *shape)}
    operations = (
        Affine("both", "x", "w", "b"),
        Affine("scaled", "both", "w"),
        Affine("shifted", "scaled", None, "b"),
        Affine("same", "shifted"),
        Multiply("y", "same", "gate"),
    )
    inputs = {"x": real("samples", 3, 18), "gate": real("samples", 3, 1)}
    graph = Graph("affine", inputs, operations, ("y",), tensors)
    agree(graph, [(filled(graph, 1, samples=n), []) for n in (2, 0)])


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("form", FORMATS)
def test_gated_rows_are_left_out(isa: str, form: str) -> None:
    b = Builder(1, **FORMATS[form])
    levels = b.neuron("n", "x", 24)
    b.add(Linear("y", levels, b.weight("w", 37, 24), b.normal("b", 37), "gate"))
    graph = b.graph("gated", ("y",), x=real("rows", 24), gate=real("rows", 1))
    steps: list[Step] = []
    for n in (1, 9, 600, 0):
        inputs = filled(graph, n, rows=n)
        inputs["gate"] *= inputs["gate"] > 0.5
        steps.append((inputs, []))
    agree(graph, steps, isa=isa)
