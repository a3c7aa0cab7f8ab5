"""The native engine against the reference engine: the same bits, the same ledger."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from random_graphs import CONTEXT, VOCABULARY, Builder, all_values, language_model
from sangbo import _native
from sangbo.engines import Reference, Segment
from sangbo.engines.native import Native, NativeCache, instruction_sets
from sangbo.errors import EngineError
from sangbo.graph import Add, Graph, Linear, Neuron, Operation, ValueType, Weight, load, save
from sangbo.ledger import Ledger

Arrays = dict[str, NDArray[Any]]


def rows_of(lengths: list[int], starts: list[int], seed: int) -> Arrays:
    random = np.random.default_rng(seed)
    total = sum(lengths)
    places = [np.arange(s, s + n) for s, n in zip(starts, lengths, strict=True)]
    return {
        "tokens": random.integers(0, VOCABULARY, total).astype(np.int32),
        "positions": np.concatenate(places).astype(np.int32),
        "chosen": np.array([total - 1, 0], np.int32),
    }


def same_bits(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def compare(graph: Graph, native: Native, steps: list[list[int]], seed: int = 0) -> Ledger:
    """Run ragged batches through both engines; every value and both ledgers must be the same."""
    reference = Reference(graph)
    count = len(steps[0])
    ours, theirs = [native.cache(CONTEXT) for _ in range(count)], []
    theirs = [reference.cache(CONTEXT) for _ in range(count)]
    direct, deferred, expected = Ledger(), native.ledger(), Ledger()
    again = [native.cache(CONTEXT) for _ in range(count)]
    for step, lengths in enumerate(steps):
        used = [i for i, n in enumerate(lengths) if n]
        inputs = rows_of([lengths[i] for i in used], [ours[i].length for i in used], seed + step)
        want = reference.run(
            inputs, [Segment(theirs[i], lengths[i]) for i in used], ledger=expected
        )
        got = native.run(inputs, [Segment(ours[i], lengths[i]) for i in used], ledger=direct)
        native.run(inputs, [Segment(again[i], lengths[i]) for i in used], ledger=deferred)
        assert got.keys() == want.keys()
        for name in graph.outputs:
            assert same_bits(got[name], want[name]), f"{name} at step {step}"
    assert [c.length for c in ours] == [c.length for c in theirs]
    assert direct.to_dict() == expected.to_dict()
    assert deferred.to_dict() == expected.to_dict()
    return expected


STEPS = [[5, 9, 1], [1, 1, 1], [0, 1, 0], [7, 0, 2], [1, 1, 1]]
FORMATS: dict[str, dict[str, Any]] = {
    "int8": {},
    "int8 by channel, gains, huge levels": {"gain": 1000.0, "gains": True},
    "int8 in groups": {"group": 8, "half": False},
    "int8 in odd groups with minima": {"group": 4, "minima": True},
    "4 bits": {"bits": 4, "group": 8},
    "4 bits, one group": {"bits": 4, "half": False},
}


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("gpt2", [False, True], ids=["llama", "gpt2"])
@pytest.mark.parametrize("form", FORMATS)
def test_every_value_equals_the_reference(isa: str, gpt2: bool, form: str) -> None:
    graph = all_values(language_model(Builder(1, **FORMATS[form]), gpt2=gpt2))
    compare(graph, Native(graph, isa=isa, threads=2), STEPS)


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize(
    "shape",
    [
        {"cached": 1000},
        {"cached": 100_000, "causal": False},
        {"probability": 40_000},
        {"heads": 3, "key_heads": 3, "size": 10, "tied": False},
        {"heads": 6, "key_heads": 1, "size": 16, "probability": 7},
    ],
    ids=str,
)
def test_attention_shapes_and_ranges(isa: str, shape: dict[str, Any]) -> None:
    graph = all_values(language_model(Builder(3, gain=20), **shape))
    compare(graph, Native(graph, isa=isa, threads=2), STEPS)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_any_number_of_threads_gives_the_same(threads: int) -> None:
    graph = language_model(Builder(4), layers=3)
    compare(graph, Native(graph, threads=threads), [[40], *[[1]] * 8])


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    gpt2=st.booleans(),
    bits=st.sampled_from([4, 8]),
    group=st.sampled_from([0, 4, 8]),
    gain=st.sampled_from([0.5, 4.0, 30.0, 400.0, 9000.0]),
    lengths=st.lists(st.lists(st.integers(1, 6), min_size=2, max_size=2), min_size=1, max_size=4),
)
def test_random_graphs_equal_the_reference(
    seed: int, gpt2: bool, bits: int, group: int, gain: float, lengths: list[list[int]]
) -> None:
    builder = Builder(seed, bits=bits, group=group, gain=gain)
    graph = language_model(builder, gpt2=gpt2, layers=1)
    compare(graph, Native(graph, threads=1), lengths, seed)


def test_digit_widths_adapt_without_changing_a_bit() -> None:
    for gain in (1.0, 12.0, 100.0):
        graph = language_model(Builder(5, gain=gain))
        compare(graph, Native(graph, threads=2), [[9, 9], *[[3, 1]] * 10])


def test_truncating_a_cache_goes_back() -> None:
    graph = language_model(Builder(6))
    native = Native(graph, threads=1)
    cache = native.cache(20)
    start, more = rows_of([6], [0], 1), rows_of([4], [6], 2)
    native.run(start, [Segment(cache, 6)])
    expected = native.run(more, [Segment(cache, 4)])["logits"]
    cache.truncate(6)
    other = rows_of([9], [6], 3)
    native.run(other, [Segment(cache, 9)])
    cache.truncate(6)
    assert same_bits(native.run(more, [Segment(cache, 4)])["logits"], expected)
    with pytest.raises(EngineError, match="0…10"):
        cache.truncate(11)


def test_a_cache_counts_its_bytes() -> None:
    graph = language_model(Builder(6), layers=2, key_heads=2, size=8)
    native = Native(graph, threads=1)
    cache = native.cache(20)
    native.run(rows_of([6], [0], 1), [Segment(cache, 6)])
    assert cache.nbytes == 6 * 2 * 2 * (2 * 8)


def test_concurrent_callers_with_caches_of_their_own() -> None:
    graph = language_model(Builder(7))
    native = Native(graph, threads=2)

    def sequence(seed: int) -> list[bytes]:
        cache = native.cache(CONTEXT)
        results = []
        for step, rows in enumerate([8, *[1] * 20]):
            inputs = rows_of([rows], [cache.length], seed + step)
            results.append(native.run(inputs, [Segment(cache, rows)])["logits"].tobytes())
        return results

    expected = {seed: sequence(seed) for seed in (10, 20)}
    found: dict[int, list[bool]] = {10: [], 20: []}

    def caller(seed: int) -> None:
        for _ in range(5):
            found[seed].append(sequence(seed) == expected[seed])

    callers = [threading.Thread(target=caller, args=(seed,)) for seed in found]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert found == {10: [True] * 5, 20: [True] * 5}


def test_a_stopped_run_leaves_the_cache_as_it_was() -> None:
    graph = language_model(Builder(8))
    native = Native(graph, threads=2)
    cache, stop = native.cache(20), _native.Stop()
    stop.set()
    with pytest.raises(EngineError, match="cancelled"):
        native.run(rows_of([5], [0], 1), [Segment(cache, 5)], stop=stop)
    assert cache.length == 0
    stop.clear()
    fresh = native.cache(20)
    after = native.run(rows_of([5], [0], 1), [Segment(cache, 5)], stop=stop)
    assert same_bits(
        after["logits"], native.run(rows_of([5], [0], 1), [Segment(fresh, 5)])["logits"]
    )


class StruckError(Exception):
    """Somebody pressed a key."""


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals of this system")
@pytest.mark.parametrize("number", ["SIGINT", "SIGALRM"])
def test_a_signal_stops_a_run_on_its_way(number: str) -> None:
    rng = np.random.default_rng(0)
    width, count, rows = 512, 24, 2048
    tensors: dict[str, Any] = {
        "w": rng.integers(-127, 128, (width, width)).astype(np.int8),
        "scale": np.full((width, 1), 5e-4, np.float32), "one": np.array(1, np.float32),
    }  # fmt: skip
    operations: list[Operation] = []
    for i in range(count):
        operations.append(Neuron(f"n{i}", f"y{i - 1}" if i else "x", "one", "one"))
        operations.append(Linear(f"y{i}", f"n{i}", Weight("w", 8, width, "scale")))
    inputs = {"x": ValueType("real", ("rows", width))}
    native = Native(Graph("many", inputs, tuple(operations), (f"y{count - 1}",), tensors))
    x = {"x": rng.normal(size=(rows, width)).astype(np.float32)}
    began = time.perf_counter()
    whole = native.run(x, [])
    took = time.perf_counter() - began

    def strike(number: int, frame: object) -> None:
        raise StruckError

    kind = getattr(signal, number)
    ctrl_c = number == "SIGINT"  # by Python's own handler
    before = signal.signal(kind, signal.default_int_handler if ctrl_c else strike)
    timer = threading.Timer(took / 10, signal.pthread_kill, (threading.get_ident(), kind))
    try:
        timer.start()
        began = time.perf_counter()
        with pytest.raises(KeyboardInterrupt if ctrl_c else StruckError):
            native.run(x, [])
        stopped = time.perf_counter() - began
    finally:
        timer.join()
        signal.signal(kind, before)
    assert stopped < 0.8 * took
    assert same_bits(native.run(x, [])[f"y{count - 1}"], whole[f"y{count - 1}"])


def test_a_saved_graph_runs_from_its_mapped_file(tmp_path: Path) -> None:
    graph = language_model(Builder(9, bits=4, group=8))
    save(graph, tmp_path)
    mapped = load(tmp_path)
    native, inputs = Native(mapped, threads=1), rows_of([5], [0], 1)
    expected = Reference(graph)
    want = expected.run(inputs, [Segment(expected.cache(9), 5)])["logits"]
    assert same_bits(native.run(inputs, [Segment(native.cache(9), 5)])["logits"], want)
    for name, tensor in graph.tensors.items():
        assert np.array_equal(mapped.tensors[name], tensor), name


def one_linear(inverse: float = 1.0, outputs: tuple[str, ...] = ("y",)) -> Graph:
    """Real rows of 5, levels, one linear operation with weights of 127."""
    tensors = {
        "theta": np.float32(1 / inverse),
        "inverse": np.float32(inverse),
        "w": np.full((3, 5), 127, np.int8),
        "scale": np.full((3, 1), 0.5, np.float32),
    }
    operations = (
        Neuron("n", "x", "theta", "inverse"),
        Linear("y", "n", Weight("w", 8, 5, "scale")),
    )
    inputs = {"x": ValueType("real", ("rows", 5))}
    return Graph("one", inputs, operations, outputs, {n: np.asarray(t) for n, t in tensors.items()})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_neuron_refuses_what_is_not_finite(bad: float) -> None:
    x = np.zeros((3, 5), np.float32)
    x[1, 4] = bad
    with pytest.raises(EngineError, match=r"'n'.*NaN or ∞"):
        Native(one_linear(), threads=2).run({"x": x}, [])


def test_accumulators_beyond_32_bits_are_refused_as_by_the_reference() -> None:
    graph = one_linear()
    most = 2**20
    native, reference = Native(graph, threads=1), Reference(graph)
    assert 127 * (5 * most) < 2**31  # five levels alone cannot reach it
    native.run({"x": np.full((1, 5), most, np.float32)}, [])
    wide = np.full((3, 20), 127, np.int8)
    tensors = {**graph.tensors, "w": wide}
    operations = (graph.operations[0], Linear("y", "n", Weight("w", 8, 20, "scale")))
    inputs = {"x": ValueType("real", ("rows", 20))}
    graph = Graph("wide", inputs, operations, ("y",), tensors)
    native, reference = Native(graph, threads=1), Reference(graph)
    fits = np.zeros((1, 20), np.float32)
    fits[0, :16] = most
    fits[0, 16] = (2**31 - 1) // 127 - 16 * most
    want = reference.run({"x": fits}, [])["y"]
    assert same_bits(native.run({"x": fits}, [])["y"], want)
    fits[0, 16] += 1
    for engine in (native, reference):
        with pytest.raises(EngineError, match="accumulators within 32 bits"):
            engine.run({"x": fits}, [])


def test_levels_may_be_outputs() -> None:
    graph = one_linear(3.0, ("n", "y"))
    x = np.linspace(-5, 5, 20, dtype=np.float32).reshape(4, 5)
    got, want = Native(graph, threads=1).run({"x": x}, []), Reference(graph).run({"x": x}, [])
    assert same_bits(got["n"], want["n"])
    assert same_bits(got["y"], want["y"])


def test_no_rows_give_no_rows() -> None:
    got = Native(one_linear(), threads=2).run({"x": np.empty((0, 5), np.float32)}, [])
    assert got["y"].shape == (0, 3)


def bad_inputs() -> dict[str, tuple[Arrays, str]]:
    good = rows_of([3], [0], 1)
    return {
        "a missing input": ({"tokens": good["tokens"]}, "expected inputs"),
        "floats as an index": ({**good, "tokens": np.zeros(3, np.float32)}, "'tokens'"),
        "two axes": ({**good, "positions": np.zeros((3, 1), np.int32)}, "'positions'"),
        "rows that differ": ({**good, "positions": np.zeros(2, np.int32)}, "'positions'"),
        "a token outside": ({**good, "tokens": np.array([0, 37, 0], np.int32)}, "'x'"),
        "a negative token": ({**good, "tokens": np.array([0, -1, 0], np.int32)}, "'x'"),
        "a token beyond 32 bits": ({**good, "tokens": np.array([0, 2**40, 0])}, "32 bits"),
        "a position outside": ({**good, "positions": np.array([0, 1, 64], np.int32)}, "indices"),
        "a row outside": ({**good, "chosen": np.array([3], np.int32)}, "'chosen.x'"),
    }


@pytest.mark.parametrize("case", bad_inputs())
def test_bad_inputs_are_refused_by_name(case: str) -> None:
    native = Native(language_model(Builder(1)), threads=2)
    inputs, message = bad_inputs()[case]
    cache = native.cache(10)
    with pytest.raises(EngineError, match=message):
        native.run(inputs, [Segment(cache, 3)])
    assert cache.length == 0


def test_segments_must_fit() -> None:
    native = Native(language_model(Builder(1)), threads=1)
    small, inputs = native.cache(2), rows_of([3], [0], 1)
    with pytest.raises(EngineError, match="at most 2 rows"):
        native.run(inputs, [Segment(small, 3)])
    with pytest.raises(EngineError, match="segments of 3 rows"):
        native.run(inputs, [])
    twice = native.cache(9)
    with pytest.raises(EngineError, match="cache of its own"):
        native.run(inputs, [Segment(twice, 1), Segment(twice, 2)])
    other = Native(language_model(Builder(1), layers=1), threads=1)
    with pytest.raises(EngineError, match="cache of this engine"):
        native.run(inputs, [Segment(other.cache(9), 3)])


def test_caches_need_room() -> None:
    native = Native(language_model(Builder(1)), threads=1)
    with pytest.raises(EngineError, match="at least one row"):
        native.cache(0)
    with pytest.raises(MemoryError):
        native.cache(2**62)


def test_float_graphs_are_refused() -> None:
    graph = one_linear()
    tensors = {"w": np.ones((3, 5), np.float32)}
    real = replace(graph, operations=(Linear("y", "x", Weight("w")),), tensors=tensors)
    with pytest.raises(EngineError, match="complementary"):
        Native(real)


def test_threads_and_instruction_sets_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = one_linear()
    with pytest.raises(EngineError, match="instruction set"):
        Native(graph, isa="mmx")
    with pytest.raises(EngineError, match="1 to 1024 threads"):
        Native(graph, threads=0)
    monkeypatch.setenv("SANGBO_THREADS", "two")
    with pytest.raises(EngineError, match="SANGBO_THREADS"):
        Native(graph)
    monkeypatch.setenv("SANGBO_THREADS", "3")
    monkeypatch.setenv("SANGBO_ISA", "portable")
    engine = Native(graph)
    assert (engine.threads, engine.isa) == (3, "portable")


def test_a_graph_without_linear_operations_runs() -> None:
    graph = Graph("sum", {"x": ValueType("real", ("rows", 2))}, (Add("y", "x", "x"),), ("y",), {})
    x = np.array([[1, 2], [3, 4]], np.float32)
    assert np.array_equal(Native(graph, threads=1).run({"x": x}, [])["y"], 2 * x)


def test_native_caches_are_caches() -> None:
    native = Native(language_model(Builder(1)), threads=1)
    cache: NativeCache = native.cache(11)
    assert (cache.length, cache.capacity) == (0, 11)
