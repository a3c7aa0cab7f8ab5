"""From a graph to the native program that runs it."""

from __future__ import annotations

import math
from functools import singledispatchmethod

import numpy as np

from sangbo import _native
from sangbo.engines.base import Array
from sangbo.engines.counted import Places
from sangbo.engines.counting import reach
from sangbo.errors import UnsupportedError
from sangbo.graph import (
    Activation,
    Add,
    Affine,
    Attention,
    Concatenate,
    Constant,
    Convolution,
    Dimension,
    Embedding,
    Graph,
    Linear,
    Multiply,
    Neuron,
    Norm,
    Operation,
    Pool,
    Recurrent,
    Reshape,
    Rotary,
    Select,
    Softmax,
    Take,
    Transpose,
    Weight,
    Window,
)

LANES = 16
"""Rows in native memory are padded to a multiple of so many channels."""

_TRIVIAL = (1, 1, 1, 0, 1, 1, 1)
_MOST_CLASSES = 255


class Builder:
    """Adds a graph's operations to a native program.

    A value is a matrix there: all axes but the last taken as one, and the channels.

    Attributes:
        axes: the first axes of the graph's values in the order of the program, the main one first.
        written: the outputs that the program writes, in its order.
    """

    def __init__(self, graph: Graph, program: _native.Program) -> None:
        self.graph = graph
        self.program = program
        self.axes: list[Dimension] = []
        self.written = [n for n in dict.fromkeys(graph.outputs) if n not in graph.inputs]
        self._ids: dict[str, int] = {}
        self._packed: dict[tuple[str, ...], int] = {}
        self._kept: list[Array] = []  # tables that the program reads where they are
        self._classes: dict[str, list[dict[str, int]]] = {}
        self._heads = {w.tensors() for o in graph.operations if isinstance(o, Linear)
                       for w in o.weights()}  # fmt: skip

    def build(self) -> None:
        """Add everything; raises `UnsupportedError` naming what the engine does not have."""
        self._axis(self.graph.axis)
        for name, kind in self.graph.inputs.items():
            inner = kind.shape[1:]
            if kind.kind not in ("real", "index") or (kind.kind == "real" and not inner):
                raise UnsupportedError(
                    f"expected {name!r} to be indices or rows of reals, found {kind}; the native "
                    "engine takes no other inputs"
                )
            sizes = inner if kind.kind == "index" else inner[:-1]
            self._ids[name] = self.program.input(
                name,
                kind.kind == "index",
                self._axis(kind.shape[0]),
                math.prod(int(d) for d in sizes),
                1 if kind.kind == "index" else kind.channels,
            )
        for operation in self.graph.operations:
            self._ids[operation.output] = self._add(operation)
        for name in self.written:
            self.program.output(self._ids[name])
        self._classify()
        self.program.finish()

    def places(self) -> Places:
        """Where the program's counts have what a ledger needs."""
        tallies: dict[str, int] = {}
        totals: dict[str, int] = {}
        for operation in self.graph.operations:
            name = operation.output
            if isinstance(operation, Neuron | Recurrent | Attention | Linear):
                tallies[name] = self.program.tally(self._ids[name])
                totals[name] = self.program.total(self._ids[name])
        return Places(self.axes, tallies, totals, self._classes)

    def _axis(self, axis: Dimension) -> int:
        if axis not in self.axes:
            self.axes.append(axis)
            self.program.axis()
        return self.axes.index(axis)

    def _classify(self) -> None:
        """Give rows that reach other numbers of a convolution's targets tallies of their own."""
        for neuron in self.graph.operations:
            if not isinstance(neuron, Neuron):
                continue
            fans = {
                o.output: reach(o, self.graph)
                for o in self.graph.operations
                if isinstance(o, Convolution) and o.input == neuron.output
            }
            if not fans:
                continue
            kinds, classes = np.unique(np.stack(list(fans.values())), axis=1, return_inverse=True)
            if kinds.shape[1] > _MOST_CLASSES:
                raise UnsupportedError(
                    f"expected at most {_MOST_CLASSES} numbers of targets of {neuron.output!r}, "
                    f"found {kinds.shape[1]}"
                )
            self._classes[neuron.output] = [
                dict(zip(fans, map(int, kind), strict=True)) for kind in kinds.T
            ]
            self.program.classify(self._ids[neuron.output], classes.reshape(-1).tolist())

    def _tensor(self, name: str) -> Array:
        return np.ascontiguousarray(self.graph.tensors[name])

    def _reals(self, name: str) -> Array:
        return self._tensor(name).reshape(-1)

    def _maybe(self, name: str | None) -> Array | None:
        return None if name is None else self._reals(name)

    def _number(self, name: str | None) -> float:
        return float(self.graph.tensors[str(name)][()])

    def _threshold(self, value: str) -> np.float32:
        return np.float32(self._number(self.graph.values[value].threshold))

    def _weight(self, weight: Weight) -> int:
        key = weight.tensors()
        if key not in self._packed:
            self._packed[key] = self.program.weight(self._stored(weight))
        return self._packed[key]

    def _stored(self, weight: Weight) -> tuple[Array, int, int, Array | None, Array | None]:
        scale, minimum = (
            None if n is None else self._tensor(n) for n in (weight.scale, weight.minimum)
        )
        return self._tensor(weight.values), weight.bits, weight.group, scale, minimum

    def _rows(self, name: str) -> int:
        """Rows that each entry of the first axis has."""
        shape = self.graph.values[name].shape
        return math.prod(int(d) for d in shape[1:-1])

    @singledispatchmethod
    def _add(self, operation: Operation) -> int:
        """The native value that ``operation`` writes; one method below per type of operation."""
        raise UnsupportedError(f"the native engine has no {type(operation).__name__} operation")

    @_add.register
    def _(self, operation: Embedding) -> int:
        index, weight = self._ids[operation.input], operation.weight
        if weight.bits < 32 and weight.tensors() in self._heads:
            return self.program.embedding(operation.output, index, self._weight(weight))
        stored = self._stored(weight)
        self._kept += [array for array in stored if isinstance(array, np.ndarray)]
        return self.program.table(operation.output, index, stored)

    @_add.register
    def _(self, operation: Select) -> int:
        if len(self.graph.values[operation.input].shape) != 2:
            raise UnsupportedError(
                f"expected {operation.output!r} to select rows, found "
                f"{self.graph.values[operation.input]}"
            )
        return self.program.select(
            operation.output, self._ids[operation.input], self._ids[operation.rows]
        )

    @_add.register
    def _(self, operation: Neuron) -> int:
        return self.program.neuron(
            operation.output,
            self._ids[operation.input],
            self._reals(operation.inverse),
            operation.lowest,
            operation.highest,
        )

    @_add.register
    def _(self, operation: Norm) -> int:
        return self.program.norm(
            operation.output,
            self._ids[operation.input],
            operation.form == "layer",
            self._reals(operation.weight),
            self._maybe(operation.bias),
            operation.epsilon,
        )

    @_add.register
    def _(self, operation: Activation) -> int:
        return self.program.activation(
            operation.output, self._ids[operation.input], operation.function, operation.slope
        )

    @_add.register
    def _(self, operation: Softmax) -> int:
        return self.program.softmax(operation.output, self._ids[operation.input], operation.chosen)

    @_add.register
    def _(self, operation: Affine) -> int:
        return self.program.affine(
            operation.output,
            self._ids[operation.input],
            self._maybe(operation.weight),
            self._maybe(operation.bias),
        )

    @_add.register
    def _(self, operation: Add | Multiply) -> int:
        return self.program.binary(
            operation.output,
            self._ids[operation.left],
            self._ids[operation.right],
            isinstance(operation, Multiply),
        )

    @_add.register
    def _(self, operation: Rotary) -> int:
        tables = self._tensor(operation.cosine), self._tensor(operation.sine)
        self._kept += tables
        return self.program.rotary(
            operation.output,
            self._ids[operation.input],
            self._ids[operation.positions],
            *tables,
            operation.heads,
        )

    @_add.register
    def _(self, operation: Reshape) -> int:
        *rows, channels = operation.shape
        return self.program.reshape(
            operation.output, self._ids[operation.input], math.prod(rows), channels
        )

    @_add.register
    def _(self, operation: Transpose) -> int:
        axes = tuple(a - 1 for a in operation.axes)
        return self._gather(operation, self._places(operation.input).transpose(axes))

    @_add.register
    def _(self, operation: Take) -> int:
        places = self._places(operation.input)
        return self._gather(operation, np.take(places, operation.places, operation.axis - 1))

    def _places(self, name: str) -> Array:
        """Where an entry's elements lie among its padded rows, shaped as its inner axes."""
        *rows, channels = self.graph.values[name].inner()
        padded = -(-channels // LANES) * LANES
        starts = np.arange(math.prod(rows)).reshape(rows) * padded
        places: Array = starts[..., None] + np.arange(channels)
        return places

    def _gather(self, operation: Take | Transpose, places: Array) -> int:
        """The elements at ``places``, which are a sum of one part by row and one by channel."""
        flat = places.reshape(-1, places.shape[-1])
        rows = flat[:, 0] - flat[:, 0].min()
        channels = flat[0] - rows[0]
        return self.program.gather(
            operation.output, self._ids[operation.input], rows.tolist(), channels.tolist()
        )

    @_add.register
    def _(self, operation: Concatenate) -> int:
        shape = self.graph.values[operation.output].shape
        ids = [self._ids[n] for n in operation.values]
        if operation.axis == len(shape) - 1:
            return self.program.beside(operation.output, ids)
        parts = [self.graph.values[n].shape[operation.axis : -1] for n in operation.values]
        lengths = [math.prod(int(d) for d in part) for part in parts]
        return self.program.in_turn(operation.output, ids, lengths)

    @_add.register
    def _(self, operation: Constant) -> int:
        tensor = self._tensor(operation.tensor)
        return self.program.constant(
            operation.output, self._ids[operation.like], tensor, tensor.shape[-1]
        )

    @_add.register
    def _(self, operation: Pool) -> int:
        sliding = operation.windows(self.graph.values[operation.input])
        return self.program.pool(
            operation.output,
            self._ids[operation.input],
            operation.form == "max",
            self._windows(operation, sliding),
            operation.outside,
        )

    def _windows(self, operation: Operation, sliding: tuple[Window, ...]) -> list[tuple[int, ...]]:
        if len(sliding) > 2:
            raise UnsupportedError(
                f"expected one or two axes of space in {operation.output!r}, found {len(sliding)}"
            )
        found: list[tuple[int, ...]] = [
            (w.size, w.kernel, w.stride, w.padding[0], w.dilation, w.spread, w.outputs)
            for w in sliding
        ]
        return [_TRIVIAL] * (2 - len(found)) + found

    @_add.register
    def _(self, operation: Linear) -> int:
        return self.program.linear(
            operation.output,
            self._ids[operation.input],
            None if operation.gate is None else self._ids[operation.gate],
            self._weight(operation.weight),
            float(self._threshold(operation.input)),
            self._maybe(operation.bias),
        )

    @_add.register
    def _(self, operation: Convolution) -> int:
        sliding = operation.windows(self.graph.values[operation.input])
        return self.program.convolution(
            operation.output,
            self._ids[operation.input],
            self._stored(operation.weight),
            self._windows(operation, sliding),
            operation.groups,
            float(self._threshold(operation.input)),
            self._maybe(operation.bias),
        )

    @_add.register
    def _(self, operation: Attention) -> int:
        theta_q, theta_k, theta_v = (self._threshold(n) for n in operation.inputs())
        return self.program.attention(
            operation.output,
            self._ids[operation.query],
            self._ids[operation.key],
            self._ids[operation.value],
            operation.heads,
            operation.key_heads,
            operation.causal,
            len(self.graph.values[operation.query].shape) == 2,
            operation.highest,
            float((theta_q * theta_k) * np.float32(operation.scale)),
            self._number(operation.inverse),
            float(theta_v),
            self._maybe(operation.distances),
        )

    @_add.register
    def _(self, operation: Recurrent) -> int:
        levels = operation.weight is not None
        return self.program.recurrent(
            operation.output,
            self._ids[operation.input],
            None if operation.initial is None else self._ids[operation.initial],
            None if operation.weight is None else self._weight(operation.weight),
            self._maybe(operation.bias),
            operation.cell,
            self.graph.values[operation.output].channels,
            operation.reverse,
            len(self.graph.values[operation.input].shape) == 3,
            operation.lowest,
            operation.highest,
            self._number(operation.inverse) if levels else 1.0,
            self._number(operation.threshold) if levels else 1.0,
        )
