"""Every kind of network converted whole: certificates hold, engines agree, counts are right."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

import families
import sangbo
from sangbo import Settings
from sangbo.agreement import agree, contenders
from sangbo.convert.provisional import provisional
from sangbo.engines import Reading, Reference, Temporal, fastest
from sangbo.engines.reading import Part
from sangbo.graph import Convolution, Linear, Neuron, Recurrent
from sangbo.ledger import Ledger
from sangbo.network import Network
from sangbo.sources import Source
from sangbo.tasks import Categorical, Gaussian, Plain

NAMES = list(families.FAMILIES)
SMALL = Settings(budget="perplexity=2%")


def task(name: str) -> Plain:
    return Plain(name, Gaussian(4.0) if name == "generator" else Categorical())


@cache
def converted(name: str) -> tuple[Source, Network]:
    source = Source(families.FAMILIES[name]())
    given = families.readings(source.graph, 8)
    return source, sangbo.convert(source, settings=SMALL, calibration=given, task=task(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_certificate_holds(name: str) -> None:
    source, network = converted(name)
    assert network.graph.complementary
    fresh = families.readings(source.graph, 4, seed=9)
    certificate = sangbo.verify(network, fresh, original=source, task=task(name), allowed=0.2)
    assert certificate.failures() == []
    for engine in ("native", "temporal"):
        assert certificate.engines[engine].different == 0
        assert certificate.engines[engine].compared > 0


@pytest.mark.parametrize("never", [True, False])
def test_an_expert_that_calibration_reaches_late_or_never_is_converted(never: bool) -> None:
    """Which experts a token asks for, its embedding alone decides."""
    graph = families.mixture()
    tokens = np.arange(families.WORDS, dtype=np.int32)
    every = Reading({"tokens": tokens}, (Part(len(tokens)),))
    asks = every.run(Reference(graph), keep=["gate3"])["gate3"][:, 0] > 0
    others = tokens[~asks]
    assert 1 < len(others) < len(tokens)
    drawn = families.readings(graph, 4)
    first = [replace(r, inputs={"tokens": others[r.inputs["tokens"] % len(others)]}) for r in drawn]
    given = first if never else [*first, *drawn]
    network = sangbo.convert(Source(graph), settings=SMALL, calibration=given, task=task("mixture"))
    before, after = (every.run(Reference(g))["logits"] for g in (graph, network.graph))
    assert Categorical().divergence(before, after).mean() < 0.05
    assert agree(network.graph, contenders()["native"], [every]).different == 0


def test_a_draft_of_a_network_with_an_expert_that_nothing_reaches_runs() -> None:
    graph = families.mixture()
    bias = graph.tensors["router.bias"].copy()
    bias[3] = -1e4
    draft = provisional(replace(graph, tensors={**graph.tensors, "router.bias": bias}), 0)
    tensors = {**draft.tensors, "router.bias": graph.tensors["router.bias"]}
    (reading,) = families.readings(graph, 1)
    before = reading.run(Reference(graph))["logits"]
    after = reading.run(fastest(replace(draft, tensors=tensors)))["logits"]
    assert Categorical().divergence(before, after).mean() < 0.05


@pytest.mark.parametrize("name", ["cnn", "generator", "translator"])
def test_a_certificate_is_found_again_on_the_same_readings(name: str) -> None:
    source, network = converted(name)
    fresh = families.readings(source.graph, 3, seed=8)
    made = sangbo.verify(network, fresh, original=source, task=task(name), allowed=0.2)
    document = json.loads(json.dumps(made.to_dict()))
    again = sangbo.recheck(network, document, fresh, original=source, task=task(name))
    assert again.differences == ()
    assert again.passed
    other = families.readings(source.graph, 3, seed=7)
    again = sangbo.recheck(network, document, other, original=source, task=task(name))
    assert {"text/sha256", "logits_sha256"} <= {d.line for d in again.differences}


@pytest.mark.parametrize("name", NAMES)
def test_spikes_give_the_same_outputs_and_the_same_counts(name: str) -> None:
    _, network = converted(name)
    for reading in families.readings(network.graph, 2, seed=5):
        ledgers = Ledger(), Ledger()
        engines: list[Any] = [Reference(network.graph), Temporal(network.graph)]
        outputs = [reading.run(e, ledger=x) for e, x in zip(engines, ledgers, strict=True)]
        for output in network.graph.outputs:
            assert np.array_equal(outputs[0][output], outputs[1][output])
        assert ledgers[0] == ledgers[1]


@pytest.mark.parametrize("name", NAMES)
def test_every_product_is_counted_once(name: str) -> None:
    """Pairs of a level and a weight, counted by what each operation computes from ones alone."""
    _, network = converted(name)
    graph = network.graph
    reading = families.readings(graph, 1, seed=6)[0]
    ledger, engine = Ledger(), Reference(graph)
    names = [o.output for o in graph.operations]
    values = reading.run(engine, ledger=ledger, keep=names) | dict(reading.inputs)
    for operation in graph.operations:
        if isinstance(operation, Neuron):
            assert ledger.neurons[operation.output].total == values[operation.output].size
        elif isinstance(operation, Linear):
            levels = values[operation.input]
            rows = levels.reshape(-1, levels.shape[-1])
            if operation.gate is not None:
                rows = rows[values[operation.gate].reshape(-1) != 0]
            check(ledger, operation.output, rows, graph.values[operation.output].channels)
        elif isinstance(operation, Recurrent) and operation.weight is not None:
            states = values[operation.output].size
            gates = len(graph.tensors[operation.weight.values])
            assert ledger.operations[operation.output].pairs.total == states * gates
        elif isinstance(operation, Convolution):
            sliding = operation.windows(graph.values[operation.input])
            levels = values[operation.input]
            each = graph.values[operation.output].channels // operation.groups
            pairs: dict[int, int] = {}
            places = itertools.product(*(range(w.outputs) for w in sliding))
            for place, tap in itertools.product(
                places, [*itertools.product(*(range(w.kernel) for w in sliding))]
            ):
                seen = [w.source(p, t) for w, p, t in zip(sliding, place, tap, strict=True)]
                if None not in seen:
                    for n in np.abs(levels[(slice(None), *seen)]).reshape(-1).tolist():
                        pairs[n] = pairs.get(n, 0) + each
            assert ledger.operations[operation.output].pairs.counts == pairs


def check(ledger: Ledger, name: str, levels: Any, targets: int) -> None:
    counts: dict[int, int] = {}
    for n in np.abs(levels).reshape(-1).tolist():
        counts[n] = counts.get(n, 0) + targets
    assert ledger.operations[name].pairs.counts == counts


@pytest.mark.parametrize("name", NAMES)
def test_a_converted_network_is_kept_and_read_again(name: str, tmp_path: Any) -> None:
    _, network = converted(name)
    network.save(tmp_path)
    again = sangbo.load(tmp_path)
    assert again.graph.sha256() == network.graph.sha256()
    assert again.ledger == network.ledger
    assert again.price("horowitz-45nm")


def test_readings_that_say_nothing_are_refused() -> None:
    source, _ = converted("cnn")
    with pytest.raises(sangbo.SangboError, match="expected readings to calibrate cnn with"):
        sangbo.convert(source)
    with pytest.raises(sangbo.SangboError, match="at least two readings"):
        sangbo.convert(source, calibration=families.readings(source.graph, 1))
    translator, _ = converted("translator")
    reading = families.readings(translator.graph, 1)[0]
    double = replace(
        reading,
        inputs={n: np.concatenate([x, x]) for n, x in reading.inputs.items()},
        parts=reading.parts * 2,
    )
    with pytest.raises(sangbo.SangboError, match="one sequence each, found one of 2"):
        sangbo.convert(translator, calibration=[double, double])


@pytest.mark.parametrize("name", NAMES)
def test_the_fastest_engine_has_every_operation(name: str) -> None:
    """What one engine lacks, in any form, another does; and it never answers something else."""
    _, network = converted(name)
    reading = families.readings(network.graph, 1, seed=11)[0]
    quick, plain = (reading.run(e) for e in (fastest(network.graph), Reference(network.graph)))
    for output in network.graph.outputs:
        assert np.array_equal(quick[output], plain[output])
