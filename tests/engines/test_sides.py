"""Splits change no result; the engine's tallies are those of the levels it sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import networks
from sangbo import codes, tallies
from sangbo.engines import Native, Reference, Segment
from sangbo.engines.sides import GroupSplit
from sangbo.errors import EngineError
from sangbo.graph import Attention, Linear, Neuron
from sangbo.ledger import Ledger
from sangbo.tallies import SPLITS, Tallies

FAMILIES = [networks.llama, networks.gpt2]
TILE = (4, 5)


def begun() -> Ledger:
    return Ledger(tallies=Tallies.of(SPLITS, TILE))


def run(engine: Any, ids: Any, steps: list[int], ledger: Ledger | None) -> Any:
    """Logits of one sequence that is read in ``steps`` rows at a time."""
    cache, found, start = engine.cache(64), [], 0
    for rows in steps:
        part = networks.inputs(ids[start : start + rows], start)
        found.append(engine.run(part, [Segment(cache, rows)], ledger=ledger)["logits"])
        start += rows
    return np.concatenate(found)


@settings(max_examples=40)
@given(
    st.sampled_from(FAMILIES),
    st.sampled_from([4, 8]),
    st.sampled_from(sorted(codes.CODES)),
    st.sampled_from(sorted(SPLITS)),
    st.floats(0, 20),
    st.tuples(st.sampled_from([1, 2, 8]), st.integers(1, 40)),
)
def test_no_split_changes_a_bit(
    family: Any, bits: int, code: str, split: str, worth: float, tile: tuple[int, int]
) -> None:
    graph, ids = networks.converted(family(layers=1), bits, 0.1), networks.tokens(4)
    product = GroupSplit(codes.code(code), tallies.split(split, tile), worth)
    folded, apart = (run(e, ids, [4], None) for e in (Reference(graph), Reference(graph, product)))
    assert np.array_equal(folded, apart)


def test_a_group_split_sends_whole_groups() -> None:
    levels = np.array([[1, 1], [7, 1], [7, 7]], np.int32)
    weights = np.array([[1, 1]], np.int8)
    seen: list[int] = []

    def spikes(sent: Any) -> Any:
        return codes.CODES["rate"].spikes(sent)

    def digits(sent: Any) -> Any:
        seen.extend(np.abs(sent).sum(axis=1).tolist())
        return codes.CODES["rate"].digits(sent)

    watched = replace(codes.CODES["rate"], spikes=spikes, digits=digits)
    found = GroupSplit(watched, SPLITS["token"], 4.5)(levels, weights, 1)
    assert seen == [2, 8, 0]
    assert found.ravel().tolist() == [2, 8, 14]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("steps", [[9], [4, 1, 4], [1] * 9])
def test_tallies_of_a_run_sum_up_to_its_histograms(family: Any, steps: list[int]) -> None:
    graph, ids = networks.converted(family(), threshold=0.1), networks.tokens(9)
    ledger, native, plain = begun(), Ledger(), Ledger()
    logits = run(Reference(graph), ids, steps, ledger)
    ledger.check_tallies()
    assert np.array_equal(logits, run(Native(graph), ids, steps, native))
    run(Reference(graph), ids, steps, plain)
    assert ledger.neurons == plain.neurons == native.neurons
    assert ledger.operations == plain.operations == native.operations
    assert Ledger.loads(ledger.dumps()) == ledger
    # However a text is cut into runs, its tokens and channels are the same groups.
    whole = begun()
    run(Reference(graph), ids, [9], whole)
    for name in ("token", "channel", "layer"):
        assert ledger.groups(name) == whole.groups(name)


@pytest.mark.parametrize("family", FAMILIES)
def test_tallies_are_those_of_the_levels_sent(family: Any) -> None:
    """Every neuron layer again, from the levels and the targets that the graph states."""
    graph, ids, ledger = networks.converted(family(), threshold=0.1), networks.tokens(9), begun()
    neurons = [o.output for o in graph.operations if isinstance(o, Neuron)]
    engine = Reference(graph)
    segments = [Segment(engine.cache(64), 4), Segment(engine.cache(64), 5)]
    kept = engine.run(networks.inputs(ids), segments, ledger=ledger, keep=neurons)
    targets = np.zeros((len(neurons), 9), np.int64)
    for o in graph.operations:
        if isinstance(o, Linear):
            targets[neurons.index(o.input)] += len(graph.tensors[o.weight.values])
        elif isinstance(o, Attention):
            targets[neurons.index(o.query)] += [1, 2, 3, 4, 1, 2, 3, 4, 5]
    expected = Tallies.of(SPLITS, TILE)
    for name, fan in zip(neurons, targets, strict=True):
        if fan.any():
            expected.count(name, kept[name], fan)
    assert ledger.tallies is not None
    for split, layers in expected.layers.items():
        found = ledger.tallies.layers[split]
        assert {n: t for n, t in found.items() if not n.endswith(".probability")} == layers
    probabilities = {o.output for o in graph.operations if isinstance(o, Attention)}
    others = {n for n in ledger.groups("channel") if n.endswith(".probability")}
    assert others == {f"{n}.probability" for n in probabilities}


def test_the_native_engine_counts_no_groups() -> None:
    graph = networks.converted(networks.llama(layers=1))
    with pytest.raises(EngineError, match="without tallies"):
        run(Native(graph), networks.tokens(3), [3], begun())
