from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import networks
from sangbo import codes
from sangbo.engines import Reference, Segment
from sangbo.engines.sides import Split
from sangbo.errors import EngineError
from sangbo.graph import Graph, Linear, Neuron, ValueType, Weight
from sangbo.ledger import Ledger

FAMILIES = [networks.llama, networks.gpt2]


def run(graph: Graph, ids: Any, ledger: Ledger | None = None, product: Any = None) -> Any:
    engine = Reference(graph) if product is None else Reference(graph, product)
    segment = Segment(engine.cache(64), len(ids))
    return engine.run(networks.inputs(ids), [segment], ledger=ledger)["logits"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("bits", [4, 8, 32])
def test_reading_by_pieces_is_reading_at_once(family: Any, bits: int) -> None:
    graph = family() if bits == 32 else networks.converted(family(), bits)
    ids = networks.tokens(12)
    whole = run(graph, ids)
    engine = Reference(graph)
    cache = engine.cache(64)
    parts = []
    for start, stop in itertools.pairwise((0, 5, 6, 7, 12)):
        given = networks.inputs(ids[start:stop], start)
        parts.append(engine.run(given, [Segment(cache, stop - start)])["logits"])
    if bits == 32:
        assert np.abs(np.concatenate(parts) - whole).max() < 1e-4
    else:
        assert np.array_equal(np.concatenate(parts), whole)
    assert cache.length == 12


@pytest.mark.parametrize("family", FAMILIES)
def test_sequences_in_one_run_do_not_see_each_other(family: Any) -> None:
    graph = networks.converted(family())
    texts = [networks.tokens(n, n) for n in (3, 1, 7)]
    engine = Reference(graph)
    inputs = {
        "tokens": np.concatenate(texts),
        "positions": np.concatenate([np.arange(len(t), dtype=np.int32) for t in texts]),
        "selected": np.array([2, 3, 10], np.int32),
    }
    together = engine.run(inputs, [Segment(engine.cache(8), len(t)) for t in texts])["logits"]
    apart = [run(graph, t)[-1] for t in texts]
    assert np.array_equal(together, np.stack(apart))


def test_truncating_forgets() -> None:
    graph = networks.converted(networks.llama())
    engine, ids = Reference(graph), networks.tokens(9)
    cache = engine.cache(64)
    engine.run(networks.inputs(ids), [Segment(cache, 9)])
    cache.truncate(4)
    again = engine.run(networks.inputs(ids[4:], 4), [Segment(cache, 5)])["logits"]
    assert np.array_equal(again, run(graph, ids)[4:])
    with pytest.raises(EngineError, match="within 0…9"):
        cache.truncate(10)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("code", list(codes.CODES))
@pytest.mark.parametrize("largest", [0, 1, 3, 20, 2**20])
def test_any_split_gives_the_dense_bits(family: Any, bits: int, code: str, largest: int) -> None:
    graph = networks.converted(family(layers=1), bits, threshold=0.1)
    ids = networks.tokens(4)
    assert np.array_equal(
        run(graph, ids), run(graph, ids, product=Split(codes.code(code), largest))
    )


def test_ledger_equals_a_loop_over_every_weight_and_spike() -> None:
    """Events of a linear layer, counted one by one."""
    rng = np.random.default_rng(3)
    levels = rng.integers(-9, 10, (3, 8)).astype(np.int32)
    weights = rng.integers(-127, 128, (5, 8)).astype(np.int8)
    theta = np.float32(0.5)
    tensors: dict[str, Any] = {
        "w": weights, "s": np.ones((5, 2), np.float32),
        "t": np.array(theta), "i": np.array(np.float32(1) / theta),
    }  # fmt: skip
    graph = Graph(
        "one layer", {"x": ValueType("real", ("rows", 8))},
        (Neuron("n", "x", "t", "i"), Linear("y", "n", Weight("w", 8, 4, "s"))), ("y",), tensors,
    )  # fmt: skip
    ledger = Ledger()
    found = Reference(graph).run({"x": levels * theta}, [], ledger=ledger)["y"]
    macs = additions = 0
    sums = np.zeros((3, 5), np.int64)
    for row, output, column in itertools.product(range(3), range(5), range(8)):
        n, w = int(levels[row, column]), int(weights[output, column])
        macs += 1
        for _ in range(abs(n)):
            additions += 1
            sums[row, output] += w if n > 0 else -w
    sent = sum(abs(n) for n in levels.ravel().tolist())
    assert np.array_equal(found, sums.astype(np.float32) * theta)
    count, histogram = ledger.operations["y"], ledger.neurons["n"]
    assert count.pairs.total == macs
    assert int((count.pairs.magnitudes * count.pairs.occurrences).sum()) == additions
    assert int((histogram.magnitudes * histogram.occurrences).sum()) == sent
    assert (count.source, count.rows, ledger.samples) == ("n", 3, 3)
    assert (count.accumulators, count.rescales) == (3 * 5 * 2, 3 * 5 * 2)
    assert count.weight_bytes == weights.nbytes + 5 * 2 * 4


def test_attention_is_counted_pair_by_pair() -> None:
    graph = networks.converted(networks.llama(layers=1, heads=4, key_heads=2, channels=32))
    ids, ledger = networks.tokens(5), Ledger()
    engine = Reference(graph)
    at = "layers.0.attention"
    names = [f"{at}.query.rotary.levels", f"{at}.value.levels"]
    cache = engine.cache(8)
    values = engine.run(networks.inputs(ids), [Segment(cache, 5)], ledger=ledger, keep=names)
    query = values[names[0]].reshape(5, 4, 8)
    pairs: dict[int, int] = {}
    for row, head, channel, seen in itertools.product(range(5), range(4), range(8), range(5)):
        if seen <= row:
            n = abs(int(query[row, head, channel]))
            pairs[n] = pairs.get(n, 0) + 1
    scores, mix = ledger.operations[f"{at}.mix.scores"], ledger.operations[f"{at}.mix.mix"]
    assert scores.pairs.counts == pairs
    visible = 1 + 2 + 3 + 4 + 5
    assert ledger.neurons[f"{at}.mix.probability"].total == visible * 4
    assert mix.pairs.total == visible * 4 * 8
    assert (scores.accumulators, mix.accumulators) == (visible * 4, 5 * 4 * 8)
    assert scores.cache_bytes == mix.cache_bytes == visible * 2 * 8 * 2
    assert ledger.neurons[names[1]].total == 5 * 2 * 8


def test_counting_changes_nothing_and_adds_up() -> None:
    graph, ids = networks.converted(networks.gpt2()), networks.tokens(6)
    ledger = Ledger()
    assert np.array_equal(run(graph, ids, ledger), run(graph, ids))
    pieces = Ledger()
    engine = Reference(graph)
    cache = engine.cache(8)
    for i in range(6):
        engine.run(networks.inputs(ids[i : i + 1], i), [Segment(cache, 1)], ledger=pieces)
    assert pieces == ledger


def test_what_cannot_run_is_refused() -> None:
    graph = networks.converted(networks.llama())
    engine, ids = Reference(graph), networks.tokens(4)
    inputs = networks.inputs(ids)
    with pytest.raises(EngineError, match="at most 3 rows in a sequence, found 4"):
        engine.run(inputs, [Segment(engine.cache(3), 4)])
    with pytest.raises(EngineError, match="segments of 4 rows in all, found 3"):
        engine.run(inputs, [Segment(engine.cache(8), 3)])
    cache = engine.cache(8)
    with pytest.raises(EngineError, match="cache of its own"):
        engine.run(inputs, [Segment(cache, 2), Segment(cache, 2)])
    with pytest.raises(EngineError, match="expected inputs"):
        engine.run({"tokens": ids}, [Segment(engine.cache(8), 4)])
    for name, value, message in (
        ("tokens", 61, "'tokens' within 0…60, found"),
        ("tokens", -1, "found -1"),
        ("positions", 64, "positions within 0…63, found"),
        ("selected", 4, "'selected' within 0…3, found"),
    ):
        wrong = {**inputs, name: inputs[name].copy()}
        wrong[name][2] = value
        with pytest.raises(EngineError, match=message):
            engine.run(wrong, [Segment(engine.cache(8), 4)])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_neurons_refuse_what_is_not_finite(value: float) -> None:
    tensors: dict[str, Any] = {"t": np.array(np.float32(1)), "i": np.array(np.float32(1))}
    graph = Graph(
        "n", {"x": ValueType("real", ("rows", 2))}, (Neuron("n", "x", "t", "i"),), ("n",), tensors
    )
    with pytest.raises(EngineError, match="finite values at neuron 'n'"):
        Reference(graph).run({"x": np.array([[0, value]], np.float32)}, [])


def test_accumulators_that_could_overflow_are_refused() -> None:
    tensors: dict[str, Any] = {
        "t": np.array(np.float32(1)), "i": np.array(np.float32(1)),
        "w": np.full((1, 32), 127, np.int8), "s": np.ones((1, 1), np.float32),
    }  # fmt: skip
    graph = Graph(
        "n", {"x": ValueType("real", ("rows", 32))},
        (Neuron("n", "x", "t", "i"), Linear("y", "n", Weight("w", 8, 32, "s"))), ("y",), tensors,
    )  # fmt: skip
    most = (2**31 - 1) // 127 // 32
    engine = Reference(graph)
    fits = engine.run({"x": np.full((1, 32), most, np.float32)}, [])["y"]
    assert fits == np.float32(most * 32 * 127)
    with pytest.raises(EngineError, match="within 32 bits"):
        engine.run({"x": np.full((1, 32), most + 1, np.float32)}, [])
