"""A graph cut at every value, so that each operation can be given what it is to read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from sangbo.engines.base import Array
from sangbo.graph import Convolution, Graph, Linear, Neuron, Operation, ValueType

UNIT = "forced.one"
_SUMMING = (Linear, Convolution)


def found(value: str) -> str:
    """Name of what the cut graph computes for a real value, which is also one of its inputs."""
    return f"{value}.found"


def forced(graph: Graph, *, synaptic_only: bool = False, accumulators: bool = False) -> Graph:
    """``graph`` cut so that every operation reads what it is given, not what another computed.

    Every real value that some operation reads becomes an input under its own name; what the
    operations compute are the outputs, under the name that `found` gives. Levels, which are no
    input of a graph, are made from the given reals by the graph's own neurons, whose outputs keep
    their names. Keys and values of attention are cached as ever.

    Args:
        graph: a complementary graph.
        synaptic_only: leave out what is neither a neuron nor a synaptic operation.
        accumulators: let linear operations and convolutions return their int32 accumulators
            (summed over the groups of a weight) as float32 instead of settled reals: threshold and
            scales 1, no minima, no bias. Each integer below 2²⁴ is shown exactly, and a larger one
            rounded.
    """
    kept = [o for o in graph.operations if o.synaptic or isinstance(o, Neuron) or not synaptic_only]
    inputs: dict[str, ValueType] = {}
    for operation in kept:
        for name in operation.inputs():
            if graph.values[name].kind != "levels":
                inputs[name] = graph.values[name]
    tensors = dict(graph.tensors)
    operations: list[Operation] = []
    readers = _readers(kept)
    for operation in kept:
        if isinstance(operation, Neuron):
            if accumulators and all(isinstance(r, _SUMMING) for r in readers[operation.output]):
                tensors[UNIT] = np.array(1, np.float32)
                operation = replace(operation, threshold=UNIT)
            operations.append(operation)
            continue
        if accumulators and isinstance(operation, _SUMMING):
            operation = _unscaled(operation, tensors)
        operations.append(replace(operation, output=found(operation.output)))
    outputs = tuple(o.output for o in operations)
    return Graph(graph.name, inputs, tuple(operations), outputs, tensors)


def _readers(operations: Collection[Operation]) -> dict[str, list[Operation]]:
    readers: dict[str, list[Operation]] = {o.output: [] for o in operations}
    for operation in operations:
        for name in operation.inputs():
            readers.setdefault(name, []).append(operation)
    return readers


def _unscaled(operation: Linear | Convolution, tensors: dict[str, Array]) -> Operation:
    """The operation with scales 1 and neither minima nor bias."""
    weight = operation.weight
    shape = tensors[str(weight.scale)].shape
    ones, zeros = f"{UNIT}.{shape}", f"forced.zero.{shape}"
    tensors[ones] = np.ones(shape, np.float32)
    minimum = weight.minimum
    if minimum is not None:
        minimum = zeros
        tensors[zeros] = np.zeros(shape, np.float32)
    return replace(operation, weight=replace(weight, scale=ones, minimum=minimum), bias=None)
