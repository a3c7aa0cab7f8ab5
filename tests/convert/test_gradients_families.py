"""Gradients of every operation against differences of the loss itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import families
from sangbo.convert.gradients import backward, inner
from sangbo.convert.sites import find_sites
from sangbo.engines import Reading, Reference
from sangbo.engines.reference import recurrent
from sangbo.graph import Add, Concatenate, Graph, Recurrent

STEP = 5e-4


def everything(graph: Graph, reading: Reading) -> dict[str, Any]:
    """All values of a run, and those inside operations."""
    names = [o.output for o in graph.operations]
    values = reading.run(Reference(graph), keep=names) | dict(reading.inputs)
    for operation in graph.operations:
        values.update(inner(operation, graph, values))
    return values


def nudged(graph: Graph, value: str) -> Graph:
    """The graph with the input ``step`` added to a value wherever it is read."""
    new = f"{value}.nudged"
    operations: list[Any] = []
    if value in graph.inputs:
        operations.append(Add(new, value, "step"))
    for o in graph.operations:
        changed: dict[str, Any] = {
            f: new
            for f in ("input", "left", "right", "query", "key", "value", "gate", "initial")
            if getattr(o, f, None) == value
        }
        if isinstance(o, Concatenate):
            changed["values"] = tuple(new if n == value else n for n in o.values)
        operations.append(replace(o, **changed))
        if o.output == value:
            operations.append(Add(new, value, "step"))
    inputs = {**graph.inputs, "step": graph.values[value]}
    return replace(graph, operations=tuple(operations), inputs=inputs)


def slope(losses: list[float]) -> float:
    return (losses[0] - losses[1]) / (2 * STEP)


@pytest.mark.parametrize("name", list(families.FAMILIES))
def test_gradients_are_the_slopes_of_the_loss(name: str) -> None:
    graph = families.FAMILIES[name]()
    reading = families.readings(graph, 1, seed=6)[0]  # no activation is near a kink
    values, rng = everything(graph, reading), np.random.default_rng(1)
    output = graph.outputs[0]
    seed = rng.normal(size=values[output].shape).astype(np.float32)
    sites = find_sites(graph)
    found = backward(graph, values, output, seed, [s.name for s in sites])
    for site in sites:
        if site.inside:
            assert found[site.name].shape == values[site.name].shape
            continue
        direction = rng.normal(size=values[site.name].shape).astype(np.float32)
        changed, losses = nudged(graph, site.name), []
        for size in (STEP, -STEP):
            inputs = {**reading.inputs, "step": direction * np.float32(size)}
            run = Reading(inputs, reading.parts).run(Reference(changed))
            losses.append(float((run[output].astype(np.float64) * seed).sum()))
        expected = float((found[site.name] * direction).sum())
        assert slope(losses) == pytest.approx(expected, rel=3e-2, abs=0.1), site.name


@pytest.mark.parametrize("name", ["lstm", "gru", "bidirectional"])
def test_gradients_of_states_are_the_slopes_of_what_is_sent(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state is nudged where it meets the weights, and not where a cell keeps it."""
    graph = families.FAMILIES[name]()
    reading = families.readings(graph, 1, seed=4)[0]
    values, rng = everything(graph, reading), np.random.default_rng(2)
    output = graph.outputs[0]
    seed = rng.normal(size=values[output].shape).astype(np.float32)
    cells = [o for o in graph.operations if isinstance(o, Recurrent)]
    names = [f"{o.output}.state" for o in cells]
    found = backward(graph, values, output, seed, names)
    step = recurrent.step
    for operation, state in zip(cells, names, strict=True):
        shape = values[state].shape
        direction = rng.normal(size=shape).astype(np.float32)
        rows = direction.reshape(-1, shape[-2], shape[-1])
        order = list(range(shape[-2]))
        if operation.reverse:
            order.reverse()
        losses = []
        for size in (STEP, -STEP):
            left = iter(order)

            def moved(own: Recurrent, x: Any, h: Any, c: Any, share: Any) -> Any:
                if own is not operation:  # noqa: B023 - called before the loop goes on
                    return step(own, x, h, c, share)
                more = rows[:, next(left)] * np.float32(size)  # noqa: B023
                return step(own, x, h, c, lambda before: share(before + more))

            monkeypatch.setattr(recurrent, "step", moved)
            run = reading.run(Reference(graph))
            losses.append(float((run[output].astype(np.float64) * seed).sum()))
        monkeypatch.setattr(recurrent, "step", step)
        expected = float((found[state] * direction).sum())
        assert slope(losses) == pytest.approx(expected, rel=3e-2, abs=0.1)
