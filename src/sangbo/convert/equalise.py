"""Moves scale between neighbouring weights, channel by channel, without changing the network.

A value x that one product writes and another reads may be divided by any s > 0 per channel where
it is written, if the readers' columns are multiplied by s. That is the identity of SmoothQuant
(Xiao et al. 2023, arXiv 2211.10438) and of cross-layer equalisation (Nagel et al. 2019, arXiv
1906.04721); it makes one threshold fit all channels of a value and one scale fit all columns of a
weight. Every s here is a power of two, so that the float network keeps its very bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from sangbo.engines.base import Array, Real
from sangbo.graph import Attention, Graph, Linear, Multiply, Norm, Operation, Rotary


@dataclass(frozen=True, slots=True)
class Seam:
    """A value whose channels can be rescaled.

    Attributes:
        value: its name (as a neuron would encode it).
        vectors: tensors (channels,) divided by s: biases and norm parameters.
        rows: weights (channels, inputs) whose rows are divided by s.
        columns: weights (outputs, channels·repeat) whose columns are multiplied by s.
        multiplied: weights (channels·repeat, inputs), and vectors, whose rows are multiplied.
        repeat: how many times each group of ``size`` channels stands in what reads them.
        size: channels of one such group (a head), 0 for all.
        paired: whether channels i and i + size/2 must share one s (rotary positions).
        bounded: whether the value's levels are bounded tightly (keys and values).
    """

    value: str
    vectors: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    multiplied: tuple[str, ...] = ()
    repeat: int = 1
    size: int = 0
    paired: bool = False
    bounded: bool = False


def find_seams(graph: Graph) -> tuple[Seam, ...]:
    """All seams of a float graph whose tensors no other operation shares."""
    writers = {o.output: o for o in graph.operations}
    readers: dict[str, list[Operation]] = {}
    uses: dict[str, int] = {}
    for operation in graph.operations:
        for name in operation.inputs():
            readers.setdefault(name, []).append(operation)
        for name in (*operation.parameters(), *(w.values for w in operation.weights())):
            uses[name] = uses.get(name, 0) + 1
    found: list[Seam] = []
    for operation in graph.operations:
        seam = None
        if isinstance(operation, Norm):
            seam = _norm_seam(operation, readers)
        elif isinstance(operation, Multiply):
            seam = _gate_seam(operation, graph, writers, readers)
        elif isinstance(operation, Attention):
            found.extend(s for s in _attention_seams(operation, graph, writers, readers) if s)
        if seam is not None:
            found.append(seam)
    return tuple(
        s
        for s in found
        if all(uses[n] == 1 for n in (*s.vectors, *s.rows, *s.columns, *s.multiplied))
    )


def _linear_columns(value: str, readers: Mapping[str, list[Operation]]) -> tuple[str, ...]:
    """Weights that read ``value``; none if anything but a Linear does."""
    found = readers.get(value, [])
    columns = tuple(o.weight.values for o in found if isinstance(o, Linear))
    return columns if len(columns) == len(found) else ()


def _norm_seam(operation: Norm, readers: Mapping[str, list[Operation]]) -> Seam | None:
    columns = _linear_columns(operation.output, readers)
    return (
        Seam(operation.output, vectors=operation.parameters(), columns=columns) if columns else None
    )


def _gate_seam(
    operation: Multiply,
    graph: Graph,
    writers: Mapping[str, Operation],
    readers: Mapping[str, list[Operation]],
) -> Seam | None:
    columns = _linear_columns(operation.output, readers)
    for side in operation.inputs():
        writer = writers.get(side)
        whole = graph.values[side] == graph.values[operation.output]
        if columns and whole and isinstance(writer, Linear) and len(readers[side]) == 1:
            return Seam(
                operation.output,
                vectors=writer.parameters(),
                rows=(writer.weight.values,),
                columns=columns,
            )
    return None


def _attention_seams(
    operation: Attention,
    graph: Graph,
    writers: Mapping[str, Operation],
    readers: Mapping[str, list[Operation]],
) -> tuple[Seam | None, Seam | None]:
    size = graph.values[operation.query].channels // operation.heads
    value_seam = key_seam = None
    value = writers.get(operation.value)
    columns = _linear_columns(operation.output, readers)
    if columns and isinstance(value, Linear) and len(readers[operation.value]) == 1:
        value_seam = Seam(
            operation.value, vectors=value.parameters(), rows=(value.weight.values,),
            columns=columns, repeat=operation.group, size=size, bounded=True,
        )  # fmt: skip
    sides = [_through_rotary(n, writers, readers) for n in (operation.query, operation.key)]
    (query, turned), (key, also) = sides
    if query is not None and key is not None and turned == also:
        key_seam = Seam(
            operation.key, vectors=key.parameters(), rows=(key.weight.values,),
            multiplied=(query.weight.values, *query.parameters()),
            repeat=operation.group, size=size, paired=turned, bounded=True,
        )  # fmt: skip
    return value_seam, key_seam


def _through_rotary(
    value: str, writers: Mapping[str, Operation], readers: Mapping[str, list[Operation]]
) -> tuple[Linear | None, bool]:
    """The Linear that alone makes ``value``, perhaps through a Rotary, and whether through one."""
    writer, turned = writers.get(value), False
    if len(readers.get(value, [])) == 1 and isinstance(writer, Rotary):
        value, turned = writer.input, True
        writer = writers.get(value)
    alone = len(readers.get(value, [])) == 1
    return (writer, turned) if alone and isinstance(writer, Linear) else (None, turned)


def equalise(graph: Graph, largest: Mapping[str, Real], strength: float = 0.5) -> Graph:
    """The same float network with its seams rescaled.

    A bounded seam takes s = the largest magnitude of each channel, so that each uses the whole
    range of levels. The others take s = max|x|^α / max|W|^(1−α) (SmoothQuant), α = ``strength``.

    Args:
        graph: a float graph.
        largest: largest magnitude per channel of every value that is a seam.
        strength: α, from 0 (even out the weights) to 1 (even out the values).
    """
    tensors: dict[str, Array] = dict(graph.tensors)
    for seam in find_seams(graph):
        reach = largest[seam.value].astype(np.float64)
        reach = np.maximum(reach, reach.max() * 1e-4 + 1e-30)
        if seam.bounded:
            exponent = np.log2(reach)
        else:
            weights = np.maximum.reduce([np.abs(tensors[n]).max(axis=0) for n in seam.columns])
            weights = np.maximum(weights, weights.max() * 1e-4 + 1e-30)
            exponent = strength * np.log2(reach) - (1 - strength) * np.log2(weights)
        if seam.paired:
            halves = exponent.reshape(-1, 2, seam.size // 2)
            exponent = np.broadcast_to(halves.max(axis=1, keepdims=True), halves.shape).reshape(-1)
        exponent = np.rint(exponent - np.median(exponent))
        scale = np.exp2(exponent).astype(np.float32)
        size = seam.size or len(scale)
        spread = np.repeat(scale.reshape(-1, 1, size), seam.repeat, axis=1).reshape(-1)
        for name in seam.vectors:
            tensors[name] = tensors[name] / scale
        for name in seam.rows:
            tensors[name] = tensors[name] / scale[:, None]
        for name in seam.columns:
            tensors[name] = tensors[name] * spread
        for name in seam.multiplied:
            tensors[name] = (tensors[name].T * spread).T
    return replace(graph, tensors=tensors)
