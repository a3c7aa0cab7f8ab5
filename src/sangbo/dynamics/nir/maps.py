"""What lies between populations in a NIR graph, as lists of synapses.

Every node without a state is linear in what comes in, so a path of them from one population to
another is one sparse matrix, with a delay for each entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sangbo.dynamics.convolution import Windows
from sangbo.errors import SimulationError, SourceError, UnsupportedError
from sangbo.sources.nir import Node

Shape: TypeAlias = tuple[int, ...]
Indices: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

LARGEST_SYNAPSES = 1 << 30


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """A sparse matrix: entry k leads from ``source[k]`` to ``target[k]``; ``delay`` in seconds."""

    source: Indices
    target: Indices
    weight: Floats
    delay: Floats

    @classmethod
    def identity(cls, size: int) -> Entries:
        """Everything as it is."""
        index = np.arange(size)
        return cls(index, index, np.ones(size), np.zeros(size))

    def then(self, other: Entries) -> Entries:
        """What follows from this and then ``other``; parallel paths are added up."""
        order = np.argsort(other.source, kind="stable")
        begins = np.searchsorted(other.source[order], self.target)
        counts = np.searchsorted(other.source[order], self.target, side="right") - begins
        if counts.sum() > LARGEST_SYNAPSES:
            raise UnsupportedError(
                f"expected at most {LARGEST_SYNAPSES} synapses on a path, found {counts.sum()}"
            )
        mine = np.repeat(np.arange(self.target.size), counts)
        within = np.arange(mine.size) - np.repeat(np.cumsum(counts) - counts, counts)
        theirs = order[np.repeat(begins, counts) + within]
        return Entries(
            self.source[mine],
            other.target[theirs],
            self.weight[mine] * other.weight[theirs],
            self.delay[mine] + other.delay[theirs],
        ).merged()

    def merged(self) -> Entries:
        """One entry for each source, target and delay; none that weighs nothing."""
        if not self.source.size:
            return self
        order = np.lexsort((self.delay, self.target, self.source))
        source, target, delay = self.source[order], self.target[order], self.delay[order]
        new = (np.diff(source) != 0) | (np.diff(target) != 0) | (np.diff(delay) != 0)
        first = np.flatnonzero(np.concatenate([[True], new]))
        weight = np.add.reduceat(self.weight[order], first)
        kept = weight != 0
        first = first[kept]
        return Entries(source[first], target[first], weight[kept], delay[first])


@dataclass(frozen=True, slots=True, eq=False)
class Map:
    """A node without a state: its matrix, its constant output (or None), and its output's shape."""

    entries: Entries
    bias: Floats | None
    shape: Shape


def mapped(name: str, node: Node, shape: Shape) -> Map:
    """What ``node`` does to an input of ``shape``.

    Raises:
        SourceError: the shape does not fit the node.
        UnsupportedError: it has a state, or is not linear.
    """
    size = int(np.prod(shape))
    if node.kind in ("Input", "Output"):
        return Map(Entries.identity(size), None, shape)
    if node.kind in ("Linear", "Affine"):
        return _linear(name, node, shape)
    if node.kind in ("Conv1d", "Conv2d"):
        return _convolution(name, node, shape)
    if node.kind in ("SumPool2d", "AvgPool2d"):
        return _pool(name, node, shape)
    every = Entries.identity(size)
    if node.kind == "Flatten":
        return Map(every, None, _flattened(name, node, shape))
    if node.kind == "Scale":
        scale = _broadcast(name, node.number("scale"), shape)
        return Map(Entries(every.source, every.target, scale, every.delay), None, shape)
    if node.kind == "Delay":
        delay = _broadcast(name, node.number("delay"), shape)
        if (delay < 0).any():
            raise SourceError(f"expected delays of 0 or more in {name}, found {delay.min()}")
        return Map(Entries(every.source, every.target, every.weight, delay), None, shape)
    raise UnsupportedError(f"expected something linear between populations, found {node.kind}")


def _broadcast(name: str, values: Floats, shape: Shape) -> Floats:
    if values.size not in (1, int(np.prod(shape))):
        raise SourceError(f"expected one number or {shape} in {name}, found {values.shape}")
    return np.broadcast_to(values.ravel(), int(np.prod(shape))).astype(np.float64)


def _linear(name: str, node: Node, shape: Shape) -> Map:
    weight = node.number("weight")
    if weight.ndim != 2 or weight.shape[1] != int(np.prod(shape)):
        raise SourceError(
            f"expected a weight of (outputs, {int(np.prod(shape))}) in {name}, found {weight.shape}"
        )
    bias = None
    if node.kind == "Affine":
        bias = node.number("bias").ravel()
        if bias.size != weight.shape[0]:
            raise SourceError(f"expected {weight.shape[0]} biases in {name}, found {bias.size}")
    target, source = np.nonzero(weight)
    entries = Entries(source, target, weight[target, source], np.zeros(source.size))
    return Map(entries, bias, (weight.shape[0],))


def _convolution(name: str, node: Node, shape: Shape) -> Map:
    kernel, flat = node.number("weight"), node.kind == "Conv1d"
    if flat:
        # As two dimensions of which the first is 1.
        kernel, shape = kernel[:, :, np.newaxis], (*shape[:1], 1, *shape[1:])
    groups = int(np.asarray(node.parameters["groups"]).ravel()[0])
    if kernel.ndim != 4 or len(shape) != 3 or groups < 1 or kernel.shape[0] % groups:
        raise SourceError(
            f"expected channels and a kernel for them in {name}, found {kernel.shape}, {shape}"
        )
    if kernel.shape[1] * groups != shape[0]:
        raise SourceError(
            f"expected {kernel.shape[1] * groups} channels into {name}, found {shape[0]}"
        )
    pairs = {k: _pair(node, k, flat, 1) for k in ("stride", "dilation")}
    stride, dilation = pairs["stride"], pairs["dilation"]
    before, total = _padding(node, kernel.shape[2:], dilation, stride, flat)
    out, channel, row, column = np.nonzero(kernel)
    weight = kernel[out, channel, row, column]
    channel = channel + out // (kernel.shape[0] // groups) * kernel.shape[1]
    size = (kernel.shape[2], kernel.shape[3])
    windows = _windows(name, shape, size, stride, dilation, before, total)
    entries = _windowed(windows, out, channel, row, column, weight)
    height, width = windows.size
    bias = np.repeat(_biases(name, node, kernel.shape[0]), height * width)
    made = (kernel.shape[0], width) if flat else (kernel.shape[0], height, width)
    return Map(entries, bias if bias.any() else None, made)


def _biases(name: str, node: Node, channels: int) -> Floats:
    bias = node.number("bias").ravel()
    if bias.size != channels:
        raise SourceError(f"expected {channels} biases in {name}, found {bias.size}")
    return bias


def _pool(name: str, node: Node, shape: Shape) -> Map:
    if len(shape) != 3:
        raise SourceError(f"expected (channels, height, width) into {name}, found {shape}")
    size, stride, padding = (node.pair(k) for k in ("kernel_size", "stride", "padding"))
    windows = _windows(name, shape, size, stride, (1, 1), padding,
                       (2 * padding[0], 2 * padding[1]))  # fmt: skip
    channel, row, column = (a.ravel() for a in np.indices((shape[0], *size)))
    each = 1.0 if node.kind == "SumPool2d" else 1.0 / (size[0] * size[1])
    entries = _windowed(windows, channel, channel, row, column, np.full(channel.size, each))
    return Map(entries, None, (shape[0], *windows.size))


def _windows(name: str, shape: Shape, *rest: tuple[int, int]) -> Windows:
    try:
        return Windows((shape[0], shape[1], shape[2]), *rest)
    except SimulationError as error:
        raise SourceError(f"{error} ({name})") from None


def _windowed(
    windows: Windows, out: Indices, channel: Indices, row: Indices, column: Indices, weight: Floats
) -> Entries:
    source, target, weights = windows.synapses(out, channel, row, column, weight)
    return Entries(source, target, weights, np.zeros(weights.size))


def _pair(node: Node, key: str, flat: bool, first: int) -> tuple[int, int]:
    found = node.pair(key)
    return (first, found[0]) if flat else found


def _padding(
    node: Node, kernel: tuple[int, ...], dilation: tuple[int, int], stride: tuple[int, int],
    flat: bool,
) -> tuple[tuple[int, int], tuple[int, int]]:  # fmt: skip
    """Rows and columns of nothing before the input, and on both sides together."""
    given = node.parameters["padding"]
    if isinstance(given, str):
        if given == "valid":
            return (0, 0), (0, 0)
        if max(stride) > 1:
            raise SourceError("expected strides of 1 with padding 'same', found more")
        down, across = (dilation[i] * (kernel[i] - 1) for i in (0, 1))
        return (down // 2, across // 2), (down, across)
    down, across = _pair(node, "padding", flat, 0)
    return (down, across), (2 * down, 2 * across)


def _flattened(name: str, node: Node, shape: Shape) -> Shape:
    first, last = (int(np.asarray(node.parameters[k]).ravel()[0]) for k in ("start_dim", "end_dim"))
    first, last = (d + len(shape) if d < 0 else d for d in (first, last))
    if not 0 <= first <= last < len(shape):
        if len(shape) == 1:
            return shape
        raise SourceError(f"expected dimensions of {shape} in {name}, found {first} to {last}")
    return (*shape[:first], int(np.prod(shape[first : last + 1])), *shape[last + 1 :])
