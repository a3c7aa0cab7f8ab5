"""The temporal engine: the reference's bits on whole networks, and the ledger's events in time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import networks
from random_graphs import CONTEXT, VOCABULARY, Builder, all_values, language_model
from sangbo.codes import CODES
from sangbo.engines import Reference, Segment, Temporal
from sangbo.engines.activity import Activity, room
from sangbo.engines.temporal import timeline
from sangbo.errors import EngineError
from sangbo.graph import Attention, Graph, Linear, Neuron
from sangbo.ledger import Ledger

CODINGS: list[tuple[str, int | None]] = [
    ("rate", 15), ("rate", 3), ("radix", None), ("csd", None), ("csd", 5), ("graded", None),
]  # fmt: skip


def rows_of(lengths: list[int], starts: list[int], seed: int) -> Any:
    random = np.random.default_rng(seed)
    places = [np.arange(s, s + n) for s, n in zip(starts, lengths, strict=True)]
    return {
        "tokens": random.integers(0, VOCABULARY, sum(lengths)).astype(np.int32),
        "positions": np.concatenate(places).astype(np.int32),
        "chosen": np.array([sum(lengths) - 1, 0], np.int32),
    }


def check(graph: Graph, code: str, most: int | None, steps: list[list[int]], seed: int) -> None:
    """Ragged runs of two sequences: every value, both ledgers, and every event in time."""
    engines = Reference(graph), Temporal(graph, code, largest_spiking=most)
    caches = [[e.cache(CONTEXT) for _ in steps[0]] for e in engines]
    ledgers = Ledger(), Ledger()
    activity = Activity()
    for step, lengths in enumerate(steps):
        inputs = rows_of(lengths, [c.length for c in caches[0]], seed + step)
        segments = [[Segment(c, n) for c, n in zip(cs, lengths, strict=True)] for cs in caches]
        want = engines[0].run(inputs, segments[0], ledger=ledgers[0])
        got = engines[1].run(inputs, segments[1], ledger=ledgers[1], activity=activity)
        for name in graph.outputs:
            assert got[name].dtype == want[name].dtype
            assert got[name].tobytes() == want[name].tobytes(), f"{name} at step {step}"
    assert ledgers[0] == ledgers[1]
    spikes_of = CODES[code].spikes
    bound = 2**31 if most is None else most
    assert activity.operations.keys() == ledgers[0].operations.keys()
    for name, count in ledgers[0].operations.items():
        n, times = count.pairs.magnitudes, count.pairs.occurrences
        found = activity.operations[name]
        assert found.source == count.source
        assert found.accumulates.sum() == (spikes_of(n) * times)[n <= bound].sum()
        assert found.macs == times[n > bound].sum()
    assert activity.neurons.keys() == ledgers[0].neurons.keys()
    for name, histogram in ledgers[0].neurons.items():
        n, times = histogram.magnitudes, histogram.occurrences
        layer = activity.neurons[name]
        assert layer.levels == histogram.total
        assert layer.spikes.sum() == (spikes_of(n) * times)[n <= bound].sum()
        assert layer.dense == times[n > bound].sum()
        assert layer.first.sum() == times[(n <= bound) & (n > 0)].sum()
        assert layer.steps == engines[1].steps[name]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    gpt2=st.booleans(),
    form=st.sampled_from(
        [{}, {"bits": 4, "group": 8}, {"group": 4, "minima": True}, {"gains": True, "half": False}]
    ),
    gain=st.sampled_from([0.5, 4.0, 30.0, 400.0]),
    coding=st.sampled_from(CODINGS),
    lengths=st.lists(st.lists(st.integers(1, 5), min_size=2, max_size=2), min_size=1, max_size=3),
    causal=st.booleans(),
)
def test_random_graphs_equal_the_reference_and_the_ledger(
    seed: int, gpt2: bool, form: Any, gain: float, coding: tuple[str, int | None],
    lengths: list[list[int]], causal: bool,
) -> None:  # fmt: skip
    builder = Builder(seed, gain=gain, **form)
    graph = all_values(language_model(builder, gpt2=gpt2, layers=1, causal=causal))
    check(graph, *coding, lengths, seed)


def test_signed_and_asymmetric_ranges() -> None:
    graph = all_values(language_model(Builder(2, highest=6), cached=3, probability=5))
    operations = tuple(
        type(o)(o.output, o.input, o.threshold, o.inverse, -2, o.highest)
        if isinstance(o, Neuron) and o.output.endswith((".m", ".k.n"))
        else o
        for o in graph.operations
    )
    clipped = Graph(graph.name, graph.inputs, operations, graph.outputs, graph.tensors)
    for code in CODES:
        check(clipped, code, None, [[5, 3], [1, 2]], 1)


def test_too_few_steps_name_the_layer_and_what_it_needs() -> None:
    graph = networks.converted(networks.llama(layers=1), threshold=0.02)
    inputs = networks.inputs(networks.tokens(4))
    for code, steps in (("rate", 15), ("radix", 4), ("csd", 4)):
        engine = Temporal(graph, code, steps=steps)
        with pytest.raises(EngineError, match=rf"'layers.0.*{steps} steps of code {code} can send"):
            engine.run(inputs, [Segment(engine.cache(9), 4)])
        split = Temporal(graph, code, steps=steps, largest_spiking=9)
        split.run(inputs, [Segment(split.cache(9), 4)])


def test_steps_are_those_of_a_layers_range() -> None:
    graph = networks.with_levels(networks.converted(networks.llama(layers=1)), 37)
    assert set(Temporal(graph, "rate").steps.values()) == {37}
    assert set(Temporal(graph, "rate", largest_spiking=15).steps.values()) == {15}
    assert set(Temporal(graph, "radix").steps.values()) == {6}
    assert set(Temporal(graph, "csd", steps=3).steps.values()) == {3}
    # Norm → q, k, v → probabilities → output → norm → down, and the head's: one T after the other.
    assert timeline(graph, Temporal(graph, "radix").steps)[1] == 7 * 6


def test_the_outputs_take_the_longest_way() -> None:
    graph = networks.converted(networks.llama(layers=2))
    steps = dict.fromkeys(Temporal(graph, "csd").steps, 1)
    begins, short = timeline(graph, steps)
    assert begins.keys() == steps.keys()
    at = "layers.0.attention"
    assert begins[f"{at}.norm.levels"] == 0
    for name in (f"{at}.query.rotary", f"{at}.key.rotary", f"{at}.value"):
        assert begins[f"{name}.levels"] == 1
    assert begins[f"{at}.mix.probability"] == 2
    slow = next(n for n in steps if n.endswith("attention.value.levels"))
    assert timeline(graph, steps | {slow: 100})[1] == short + 99
    assert timeline(graph, dict.fromkeys(steps, 0))[1] == 0


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(("code", "most"), [("csd", None), ("rate", 4)])
def test_recordings_hold_the_neuron_and_the_membrane_equations(
    bits: int, code: str, most: int | None
) -> None:
    graph, name = networks.converted(networks.llama(layers=1), bits, 0.2), "layers.0.mlp.down"
    engine, activity = Temporal(graph, code, largest_spiking=most), Activity(watched=(name,))
    engine.run(
        networks.inputs(networks.tokens(6)), [Segment(engine.cache(9), 6)], activity=activity
    )
    seen = activity.recordings[name]
    operation = next(o for o in graph.operations if o.output == name)
    assert isinstance(operation, Linear)
    train, potentials = seen.train, seen.potentials
    worths = train.worths[:, None, None]
    assert np.array_equal(potentials[0], seen.drive)
    steps = np.diff(potentials, axis=0)
    assert np.allclose(steps, -worths * train.spikes, atol=1e-6)
    spiking = train.dense == 0 if train.dense is not None else np.ones(seen.drive.shape, bool)
    assert (np.abs(potentials[-1][spiking] - 0.5) <= 0.5).all()
    weights = graph.tensors[operation.weight.values].astype(np.int64)
    if bits == 4:
        low_high = np.stack([weights & 15, weights >> 4], -1)
        weights = low_high.reshape(len(weights), -1)
    groups = weights.reshape(len(weights), -1, operation.weight.group)
    sent = train.levels.reshape(6, -1, operation.weight.group)
    assert np.array_equal(seen.settled, np.einsum("rgk,ogk->rog", sent, groups))
    if train.dense is None:
        assert np.array_equal(seen.membranes[-1], seen.settled)
    assert not seen.membranes[0].any()


def test_what_cannot_be_watched_is_refused() -> None:
    graph = networks.converted(networks.llama(layers=1))
    engine = Temporal(graph)
    segment = Segment(engine.cache(9), 2)
    for name in ("absent", "layers.0.attention.mix"):
        with pytest.raises(EngineError, match="linear operations to watch"):
            engine.run(
                networks.inputs(networks.tokens(2)), [segment], activity=Activity(watched=(name,))
            )
    with pytest.raises(EngineError, match="recording of 'y'"):
        room("y", 2**20, 2**20)
    with pytest.raises(EngineError, match="complementary"):
        Temporal(networks.llama(layers=1))


def test_layers_that_never_fire_have_no_latency() -> None:
    graph = networks.converted(networks.llama(layers=1), threshold=1e6)
    engine, activity = Temporal(graph), Activity()
    engine.run(
        networks.inputs(networks.tokens(2)), [Segment(engine.cache(9), 2)], activity=activity
    )
    silent = activity.neurons["layers.0.attention.norm.levels"]
    assert (silent.active, int(silent.spikes.sum())) == (0, 0)
    assert np.isnan(silent.latency)
    probabilities = next(o for o in graph.operations if isinstance(o, Attention)).output
    loud = activity.neurons[f"{probabilities}.probability"]
    assert 0 < loud.active <= loud.steps
    assert 1 <= loud.latency <= loud.steps
