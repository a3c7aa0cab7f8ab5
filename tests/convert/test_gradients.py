"""Gradients against differences of the loss itself; against PyTorch in tests/oracles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import networks
from sangbo.convert.gradients import backward, inner
from sangbo.convert.sites import find_sites
from sangbo.engines import Reference, Segment
from sangbo.errors import UnsupportedError
from sangbo.graph import Add, Attention, Graph, Neuron


def evaluate(graph: Graph, ids: Any) -> dict[str, Any]:
    engine = Reference(graph)
    inputs = networks.inputs(ids)
    keep = [o.output for o in graph.operations]
    values = engine.run(inputs, [Segment(engine.cache(len(ids)), len(ids))], keep=keep)
    values.update(inputs)
    for o in graph.operations:
        values.update(inner(o, graph, values))
    return values


def nudged(graph: Graph, value: str, step: Any) -> Graph:
    """The graph with ``step`` added to a value wherever it is read."""
    operations: list[Any] = []
    for o in graph.operations:
        fields = {
            f: f"{value}.nudged"
            for f in ("input", "left", "right", "query", "key", "value")
            if getattr(o, f, None) == value
        }
        operations.append(replace(o, **fields))
        if o.output == value:
            operations.append(Add(f"{value}.nudged", value, "step"))
    inputs = {**graph.inputs, "step": graph.values[value]}
    return replace(graph, operations=tuple(operations), inputs=inputs)


@pytest.mark.parametrize("family", [networks.llama, networks.gpt2])
def test_gradients_are_the_slopes_of_the_loss(family: Any) -> None:
    graph, ids = family(layers=1), networks.tokens(5)
    rng = np.random.default_rng(1)
    values = evaluate(graph, ids)
    seed = rng.normal(size=values["logits"].shape).astype(np.float32)
    names = [s.name for s in find_sites(graph) if s.role != "probability"]
    found = backward(graph, values, "logits", seed, names)
    assert found.keys() == set(names)
    for name in names:
        direction = rng.normal(size=values[name].shape).astype(np.float32)
        changed = nudged(graph, name, direction)
        losses = []
        for size in (1e-2, -1e-2):
            engine = Reference(changed)
            given = {**networks.inputs(ids), "step": direction * np.float32(size)}
            logits = engine.run(given, [Segment(engine.cache(5), 5)])["logits"]
            losses.append(float((logits.astype(np.float64) * seed).sum()))
        slope = (losses[0] - losses[1]) / 2e-2
        assert slope == pytest.approx(float((found[name] * direction).sum()), rel=2e-2, abs=2e-2)


def test_gradients_of_probabilities_are_the_slopes_of_what_they_mix() -> None:
    graph, ids = networks.llama(layers=1), networks.tokens(5)
    operation = next(o for o in graph.operations if isinstance(o, Attention))
    values = evaluate(graph, ids)
    rng = np.random.default_rng(2)
    seed = rng.normal(size=values[operation.output].shape).astype(np.float32)
    name = f"{operation.output}.probability"
    found = backward(graph, values, operation.output, seed, [name])[name][0]
    e = values[name][0].astype(np.float64)
    v = np.repeat(values[operation.value].reshape(5, 2, 8), 2, axis=1).transpose(1, 0, 2)
    by_head = seed.reshape(5, 4, 8).transpose(1, 0, 2)

    def mixed(unnormalised: Any) -> float:
        p = unnormalised / unnormalised.sum(axis=-1, keepdims=True)
        return float(((p @ v) * by_head).sum())

    direction = rng.normal(size=e.shape) * (e > 0)
    slope = (mixed(e + 1e-5 * direction) - mixed(e - 1e-5 * direction)) / 2e-5
    assert slope == pytest.approx(float((found * direction).sum()), rel=1e-3)


def test_an_operation_without_gradient_is_named() -> None:
    graph = networks.converted(networks.llama(layers=1))
    assert any(isinstance(o, Neuron) for o in graph.operations)
    last = next(o for o in reversed(graph.operations) if isinstance(o, Neuron))
    values = {last.input: np.zeros((1, 32), np.float32)}
    with pytest.raises(UnsupportedError, match="Neuron"):
        backward(graph, values, last.output, np.zeros((1, 32), np.float32), [last.input])
