"""Takes the middle out of what attention hands on, and folds it into biases.

Attention returns weighted means of its values, so a constant that is taken from the values is taken
from what it hands on: W·y + b = W·(y − c) + (b + W·c), where y − c is attention over v − c. With c
the median of each channel, y − c has smaller levels, and so fewer spikes, at the same threshold and
the same rounding error. (It is the identity behind bias correction, Nagel et al. 2019, arXiv
1906.04721, used on values instead of errors.) What norms and gated products send is not centred:
it lies about zero, where levels are cheapest, as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sangbo.engines import Reading, Reference
from sangbo.engines.base import Array, Real
from sangbo.graph import Attention, Graph, Linear, Operation
from sangbo.progress import Progress

_TEXTS = 2
"""Readings whose medians are taken: some hundred tokens are enough for a median."""


@dataclass(frozen=True, slots=True)
class Centred:
    """An attention whose values come from one Linear, and whose result Linears alone read.

    Attributes:
        attention: the operation.
        writer: of its values.
        readers: of its result.
        size: channels of a head.
    """

    attention: Attention
    writer: Linear
    readers: tuple[Linear, ...]
    size: int

    def spread(self, centre: Array) -> Array:
        """The centre of each channel of the result from that of each value's channel."""
        heads = centre.reshape(-1, self.size)
        return np.repeat(heads, self.attention.group, axis=0).reshape(-1)

    def gather(self, result: Array) -> Real:
        """The median of each value's channel, over tokens and the heads that share it."""
        heads = result.reshape(-1, self.attention.key_heads, self.attention.group, self.size)
        median: Real = np.median(heads, axis=(0, 2)).reshape(-1).astype(np.float32)
        return median


def find_centred(graph: Graph) -> tuple[Centred, ...]:
    """All attentions of a graph that can be centred."""
    writers = {o.output: o for o in graph.operations}
    readers: dict[str, list[Operation]] = {}
    for operation in graph.operations:
        for name in operation.inputs():
            readers.setdefault(name, []).append(operation)
    attended = {o.output for o in graph.operations if isinstance(o, Attention)}
    found = []
    for operation in graph.operations:
        if not isinstance(operation, Attention) or len(readers[operation.value]) > 1:
            continue
        writer, read = writers.get(operation.value), readers.get(operation.output, [])
        linear = tuple(o for o in read if isinstance(o, Linear))
        whole = operation.output not in graph.outputs and len(linear) == len(read) > 0
        if isinstance(writer, Linear) and writer.input not in attended and whole:
            size = graph.values[operation.query].channels // operation.heads
            found.append(Centred(operation, writer, linear, size))
    return tuple(found)


def measure_centres(
    graph: Graph, readings: Sequence[Reading], progress: Progress
) -> dict[str, Real]:
    """The centre of the values of every attention, by the name of its result."""
    places, engine = find_centred(graph), Reference(graph)
    names = [p.attention.output for p in places]
    seen: dict[str, list[Array]] = {name: [] for name in names}
    for step, reading in enumerate(readings[:_TEXTS] if places else ()):
        progress("measuring centres", step / min(_TEXTS, len(readings)))
        values = reading.run(engine, keep=names)
        for name in names:
            seen[name].append(values[name].reshape(-1, values[name].shape[-1]))
    return {p.attention.output: p.gather(np.concatenate(seen[p.attention.output])) for p in places}


def centre(graph: Graph, centres: Mapping[str, Real]) -> Graph:
    """The same float network, but for rounding, with ``centres`` taken out of attention's values.

    Args:
        graph: a float graph.
        centres: of every attention, as `measure_centres` gives them.
    """
    changed: dict[str, Operation] = {}
    tensors: dict[str, Array] = dict(graph.tensors)

    def add(linear: Linear, more: Array) -> None:
        name = f"{linear.output}.centred_bias"
        old = 0 if linear.bias is None else graph.tensors[linear.bias].astype(np.float64)
        tensors[name] = (old + more).astype(np.float32)
        changed[linear.output] = replace(linear, bias=name)

    for place in find_centred(graph):
        middle = centres[place.attention.output].astype(np.float64)
        add(place.writer, -middle)
        for reader in place.readers:
            weight = graph.tensors[reader.weight.values].astype(np.float64)
            add(reader, weight @ place.spread(middle))
    operations = tuple(changed.get(o.output, o) for o in graph.operations)
    return replace(graph, operations=operations, tensors=tensors)


def centres_of(original: Graph, converted: Graph, gains: Mapping[str, Real]) -> dict[str, Real]:
    """What to add to values of ``converted``, rescaled by ``gains``, to have the original's.

    It is read back from the biases.

    Returns:
        (channels,) float32 by name of the value.
    """
    others = {o.output: o for o in converted.operations}
    found: dict[str, Real] = {}
    for place in find_centred(original):
        name, other = place.writer.output, others[place.writer.output]
        middle = _bias(place.writer, original) - _bias(other, converted) * gains.get(name, 1)
        found[name] = np.asarray(middle, np.float32)
        found[place.attention.output] = place.spread(found[name])
    return {n: c for n, c in found.items() if (c != 0).any()}


def _bias(operation: Operation, graph: Graph) -> Real:
    if not isinstance(operation, Linear) or operation.bias is None:
        return np.zeros(graph.values[operation.output].channels, np.float32)
    return graph.tensors[operation.bias]
