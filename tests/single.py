"""Graphs of one operation or few, and their runs, for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from sangbo.engines import Reference
from sangbo.graph import Graph, Neuron, Operation, ValueType, Weight
from sangbo.ledger import Ledger

THETA = 0.5
"""A power of two: θ·n is exact, and so are sums of it with integers."""
SCALE = 0.125


def real(*shape: int | str) -> ValueType:
    """The type of a real value."""
    return ValueType("real", shape)


def graph_of(
    operations: list[Operation], tensors: dict[str, Any] | None = None, **inputs: ValueType
) -> Graph:
    """A graph that returns what its last operation writes."""
    arrays = {n: np.asarray(t) for n, t in (tensors or {}).items()}
    return Graph("test", inputs, tuple(operations), (operations[-1].output,), arrays)


def run(graph: Graph, ledger: Ledger | None = None, **inputs: Any) -> Any:
    """What the reference engine computes of values that hold whole samples."""
    given = {n: np.asarray(x) for n, x in inputs.items()}
    return Reference(graph).run(given, [], ledger=ledger)[graph.outputs[0]]


def neuron(output: str, source: str, highest: int = 2**20) -> tuple[Neuron, dict[str, Any]]:
    """A neuron of threshold `THETA`, and its tensors."""
    tensors = {"theta": np.float32(THETA), "inverse": np.float32(1 / THETA)}
    return Neuron(output, source, "theta", "inverse", -highest, highest), tensors


def integers(
    rng: np.random.Generator, outputs: int, inputs: int, *, minima: bool = False, group: int = 0
) -> tuple[Weight, dict[str, Any], Any]:
    """A weight of 8 bits whose reals float32 holds exactly: it, its tensors and the reals."""
    group = group or inputs
    values = rng.integers(-127, 128, (outputs, inputs)).astype(np.int8)
    shape = (outputs, inputs // group)
    scale = (SCALE * rng.integers(1, 3, shape)).astype(np.float32)
    tensors: dict[str, Any] = {"w": values, "w.scale": scale}
    reals = values * np.repeat(scale, group, axis=1)
    if minima:
        tensors["w.minimum"] = (SCALE * rng.integers(-3, 4, shape)).astype(np.float32)
        reals = reals + np.repeat(tensors["w.minimum"], group, axis=1)
    weight = Weight("w", 8, group, "w.scale", "w.minimum" if minima else None)
    return weight, tensors, reals


def scaled(rng: np.random.Generator, *shape: int, largest: int = 9) -> tuple[Any, Any]:
    """Levels, and the reals θ·n that they stand for."""
    levels = rng.integers(-largest, largest + 1, shape).astype(np.int32)
    return levels, (levels * THETA).astype(np.float32)
