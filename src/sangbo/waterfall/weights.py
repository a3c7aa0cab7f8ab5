"""Weights as the folder holds them, instead of a byte each."""

from __future__ import annotations

from dataclasses import replace

from sangbo.engines import Reference
from sangbo.engines.reference.weights import dequantise
from sangbo.graph import Graph, Linear
from sangbo.waterfall.step import Costs, Step, Subject


def held_weights(subject: Subject, before: Step) -> Step | None:
    """The dense network with the weights that the folder holds; None if those are int8, too."""
    graph = subject.network.graph
    energy = subject.prices["dense"].energy
    weights = {w for o in graph.synaptic for w in o.weights()}
    whole = {w for w in weights if w.bits == 8 and graph.tensors[str(w.scale)].shape[1] == 1}
    if energy is None or weights == whole:
        return None
    held = _dequantised(subject)
    change = None if held is None else subject.change(Reference(held), "the folder's weights")
    bits = min(w.bits for w in weights)
    return Step(
        f"{bits}-bit weights", Costs.of(energy, subject.chip), change, before.tokens_per_second
    )


def _dequantised(subject: Subject) -> Graph | None:
    """The original with the folder's weights; None if scales moved between them in conversion."""
    if subject.original is None:
        return None
    before, after = subject.original.graph, subject.network.graph
    tensors = dict(before.tensors)
    for operation in after.operations:
        if isinstance(operation, Linear):
            name = operation.weight.values
            if name not in tensors:
                return None
            tensors[name] = dequantise(operation.weight, after)
    return replace(before, tensors=tensors)
