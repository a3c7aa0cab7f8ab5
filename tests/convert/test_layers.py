from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import networks
from sangbo.convert.equalise import equalise, find_seams
from sangbo.convert.gains import gains
from sangbo.convert.layers import Measured, measure_layers
from sangbo.convert.rewrite import complementary
from sangbo.convert.sites import find_sites
from sangbo.convert.weights import per_channel
from sangbo.engines import Reference, Segment
from sangbo.errors import ConversionError
from sangbo.graph import Graph, Linear, Neuron
from sangbo.tasks.language import Text, whole_reading

FAMILIES = [networks.llama, networks.gpt2]


def equalised(original: Graph) -> Graph:
    rng = np.random.default_rng(5)
    largest = {
        s.value: np.exp2(rng.integers(-6, 6, original.values[s.value].channels)).astype(np.float32)
        for s in find_seams(original)
    }
    return equalise(original, largest)


def fine(graph: Graph, scale: float = 1.0) -> Graph:
    """Thresholds so fine that only weights are rounded, times ``scale``."""
    thresholds = {
        s: np.float32(1 / 255 if s.role == "probability" else 2e-3 * scale)
        for s in find_sites(graph)
    }
    names = {o.weight.values for o in graph.operations if isinstance(o, Linear)}
    return complementary(graph, thresholds, {n: per_channel(graph.tensors[n]) for n in names}, {})


def run(graph: Graph, ids: Any, names: Any) -> Any:
    engine = Reference(graph)
    return engine.run(
        whole_reading(ids), [Segment(engine.cache(len(ids)), len(ids))], keep=list(names)
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_gains_undo_equalising_exactly(family: Any) -> None:
    original = family()
    balanced = equalised(original)
    found = gains(original, fine(balanced))
    assert found
    ids = networks.tokens(12)
    names = [o.output for o in original.operations]
    before, after = (run(g, ids, names) for g in (original, balanced))
    for name in names:
        assert np.array_equal(before[name], after[name] * found.get(name, np.float32(1))), name


def test_gains_of_another_network_are_refused() -> None:
    with pytest.raises(ConversionError, match=r"layers\.2"):
        gains(networks.llama(layers=3), networks.converted(networks.llama(layers=2)))


def share_lost(found: Any, expected: Any) -> float:
    """The definition, one token at a time."""
    shares = []
    for a, b in zip(found.astype(np.float64), expected.astype(np.float64), strict=True):
        shares.append(min(1.0, float(np.linalg.norm(a - b) / np.linalg.norm(b))))
    return float(np.mean(shares))


@pytest.mark.parametrize("family", FAMILIES)
def test_errors_are_what_the_definition_says(family: Any) -> None:
    original = family(seed=2)
    converted = networks.converted(original, threshold=0.3)
    ids = networks.tokens(40, seed=1)
    measured = measure_layers(original, converted, [Text.of(ids[:-1])])
    assert measured.tokens == 39
    names = [o.output for o in original.operations]
    before, after = (run(g, ids[:-1], names) for g in (original, converted))
    by_name = {layer.name: layer for layer in measured.layers}
    for operation in converted.operations:
        layer = by_name.get(operation.output)
        if isinstance(operation, Neuron):
            x = before[operation.input].astype(np.float64)
            rounded = 0.3 * np.floor(x / np.float32(0.3) + 0.5)
            assert layer is not None
            assert layer.local == pytest.approx(share_lost(rounded, x), rel=1e-4)
            value = operation.input
        elif operation.synaptic:
            assert layer is not None
            value = operation.output
        else:
            assert layer is None
            continue
        assert layer.accumulated == pytest.approx(share_lost(after[value], before[value]), rel=1e-4)


def test_only_the_damaged_layer_errs_by_itself() -> None:
    original = networks.llama(layers=3)
    converted = fine(equalised(original))
    name = "layers.1.mlp.product"
    tensors = {
        **converted.tensors,
        f"{name}.threshold": converted.tensors[f"{name}.threshold"] * np.float32(64),
        f"{name}.inverse": converted.tensors[f"{name}.inverse"] / np.float32(64),
    }
    readings = [Text.of(networks.tokens(30))]
    sound, damaged = (
        measure_layers(original, g, readings)
        for g in (converted, replace(converted, tensors=tensors))
    )
    changed = {
        a.name
        for a, b in zip(sound.layers, damaged.layers, strict=True)
        if a.local != pytest.approx(b.local, rel=1e-6)
    }
    assert changed == {f"{name}.levels", "layers.1.mlp.down"}
    assert damaged.layers[-1].accumulated > sound.layers[-1].accumulated


@pytest.mark.parametrize(
    "change",
    [
        {"layers": [{"name": "a"}]}, {"layers": 3}, {"tokens": 0}, {"kl_divergence": float("nan")},
        {"kl_error": -0.1}, {"kl_error": float("inf")},
        {"layers": [{"name": "a", "kind": "neuron", "local": 2.0, "accumulated": 0.0}]},
        {"layers": [{"name": "a", "kind": "cell", "local": 0.0, "accumulated": 0.0}]},
    ],
)  # fmt: skip
def test_a_broken_record_is_refused(change: Any) -> None:
    good = {"tokens": 5, "kl_divergence": 0.1, "kl_error": 0.01, "layers": []}
    assert Measured.from_dict(good).tokens == 5
    with pytest.raises(ConversionError):
        Measured.from_dict(good | change)
