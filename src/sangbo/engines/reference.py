"""The reference engine: NumPy, readable, the oracle of the others.

It runs float graphs (the original network) and complementary graphs (int32 accumulators).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, TypeVar

import numpy as np

from sangbo.engines import numerics
from sangbo.engines.base import Array, Levels, Product, Real, Segment, check_segments
from sangbo.engines.counting import count_attention, count_linear, count_neuron, visible_rows
from sangbo.errors import EngineError, GraphError, UnsupportedError
from sangbo.graph import (
    Activation,
    Add,
    Attention,
    Embedding,
    Graph,
    Linear,
    Multiply,
    Neuron,
    Norm,
    Operation,
    Rotary,
    Select,
    Weight,
)
from sangbo.ledger import Ledger

_ACTIVATIONS = {"silu": numerics.silu, "gelu_tanh": numerics.gelu_tanh}
_ROW_BLOCK = 256


class ReferenceCache:
    """Keys and values of one sequence, per attention operation, grown as rows come."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.length = 0
        self._rows: dict[str, Array] = {}

    def extend(self, name: str, rows: Array) -> Array:
        """Append ``rows`` (r, heads, size) to what is kept as ``name``; return all of it."""
        kept = self._rows.get(name)
        joined = rows if kept is None else np.concatenate([kept[: self.length], rows])
        self._rows[name] = joined
        return joined

    def truncate(self, length: int) -> None:
        """Forget all rows from ``length`` on."""
        if not 0 <= length <= self.length:
            raise EngineError(f"expected a length within 0…{self.length}, found {length}")
        self.length = length
        self._rows = {n: rows[:length] for n, rows in self._rows.items()}


@dataclass
class State:
    """What an operation sees while a graph runs."""

    graph: Graph
    values: dict[str, Array]
    segments: Sequence[Segment[ReferenceCache]]
    ledger: Ledger | None
    product: Product = numerics.integer_product

    def tensor(self, name: str) -> Array:
        """A tensor of the graph."""
        return self.graph.tensors[name]

    def threshold(self, value: str) -> np.float32 | None:
        """θ of a value that holds levels, None of a real one."""
        name = self.graph.values[value].threshold
        return None if name is None else np.float32(self.tensor(name)[()])

    def forget(self, name: str) -> None:
        """Let go of a value that no later operation reads."""
        self.values.pop(name, None)


S = TypeVar("S", bound=State)


def execute(
    state: S, evaluate: Callable[[Operation, S], Array], keep: Sequence[str]
) -> dict[str, Array]:
    """Run all operations in order; return the graph's outputs and ``keep``."""
    graph, inputs = state.graph, state.values
    try:
        graph.check_rows(inputs)
    except GraphError as error:
        raise EngineError(str(error)) from None
    rows = len(next(iter(inputs.values())))
    if state.segments:
        check_segments(rows, state.segments)
    wanted = frozenset(graph.outputs) | frozenset(keep)
    last_use = {name: step for step, o in enumerate(graph.operations) for name in o.inputs()}
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for step, operation in enumerate(graph.operations):
            state.values[operation.output] = evaluate(operation, state)
            for name in operation.inputs():
                if last_use[name] == step and name not in wanted:
                    state.forget(name)
    for segment in state.segments:
        segment.cache.length += segment.rows
    if state.ledger is not None:
        state.ledger.samples += rows
    return {name: state.values[name] for name in wanted}


class Reference:
    """Runs a graph with NumPy. See `sangbo.engines.base.Engine`.

    Args:
        graph: a float or a complementary graph.
        product: how levels meet integers; `sangbo.engines.sides.Split` really splits them between
            a spiking and a dense side. Every product gives the same sums.

    >>> import numpy as np
    >>> from sangbo.graph import Add, Graph, ValueType
    >>> graph = Graph("double", {"x": ValueType("real", ("rows", 2))}, (Add("y", "x", "x"),),
    ...               ("y",), {})
    >>> Reference(graph).run({"x": np.ones((1, 2), np.float32)}, [])["y"].tolist()
    [[2.0, 2.0]]
    """

    def __init__(self, graph: Graph, product: Product = numerics.integer_product) -> None:
        self.graph = graph
        self._product = product

    def cache(self, capacity: int) -> ReferenceCache:
        """An empty cache for one sequence of at most ``capacity`` rows."""
        return ReferenceCache(capacity)

    def ledger(self) -> Ledger:
        """An empty ledger."""
        return Ledger()

    def run(
        self,
        inputs: Mapping[str, Array],
        segments: Sequence[Segment[ReferenceCache]],
        *,
        ledger: Ledger | None = None,
        keep: Sequence[str] = (),
    ) -> dict[str, Array]:
        """Evaluate the graph; ``keep`` names further values to return beside the outputs."""
        state = State(self.graph, dict(inputs), segments, ledger, self._product)
        return execute(state, evaluate, keep)


@singledispatch
def evaluate(operation: Operation, state: State) -> Array:
    """The result of ``operation``; one function below per type of operation."""
    raise UnsupportedError(f"the reference engine has no {type(operation).__name__} operation")


@evaluate.register
def _(operation: Embedding, state: State) -> Array:
    return dequantise(operation.weight, state.graph, rows=state.values[operation.input])


@evaluate.register
def _(operation: Select, state: State) -> Array:
    source, rows = state.values[operation.input], state.values[operation.rows]
    if rows.size and not 0 <= rows.min() <= rows.max() < len(source):
        raise EngineError(
            f"expected {operation.rows!r} within 0…{len(source) - 1}, "
            f"found {rows.min()}…{rows.max()}"
        )
    selected: Array = source[rows]
    return selected


@evaluate.register
def _(operation: Neuron, state: State) -> Array:
    x = state.values[operation.input]
    numerics.check_finite(x, operation.output)
    inverse = state.tensor(operation.inverse)
    levels = numerics.encode(x, inverse, operation.lowest, operation.highest)
    if state.ledger is not None:
        count_neuron(operation.output, levels, state.graph, state.segments, state.ledger)
    return levels


@evaluate.register
def _(operation: Linear, state: State) -> Array:
    x = state.values[operation.input]
    weight = operation.weight
    if weight.bits == 32:
        y: Array = x @ state.tensor(weight.values).T
    else:
        flat = x.reshape(-1, x.shape[-1])
        theta = np.float32(state.threshold(operation.input) or 0)
        y = (accumulate(flat, weight, state.graph, state.product) * theta).reshape(
            *x.shape[:-1], -1
        )
        if state.ledger is not None:
            count_linear(operation, flat, state.graph, state.ledger)
    return y if operation.bias is None else y + state.tensor(operation.bias)


@evaluate.register
def _(operation: Norm, state: State) -> Array:
    bias = None if operation.bias is None else state.tensor(operation.bias)
    weight = state.tensor(operation.weight)
    x = state.values[operation.input]
    return numerics.normalise(x, operation.form, weight, bias, operation.epsilon)


@evaluate.register
def _(operation: Activation, state: State) -> Array:
    return _ACTIVATIONS[operation.function](state.values[operation.input])


@evaluate.register
def _(operation: Add, state: State) -> Array:
    total: Array = state.values[operation.left] + state.values[operation.right]
    return total


@evaluate.register
def _(operation: Multiply, state: State) -> Array:
    product: Array = state.values[operation.left] * state.values[operation.right]
    return product


@evaluate.register
def _(operation: Rotary, state: State) -> Array:
    x, positions = state.values[operation.input], state.values[operation.positions]
    cosine, sine = state.tensor(operation.cosine), state.tensor(operation.sine)
    if positions.size and not 0 <= positions.min() <= positions.max() < len(cosine):
        raise EngineError(
            f"expected positions within 0…{len(cosine) - 1}, "
            f"found {positions.min()}…{positions.max()}"
        )
    cos, sin = cosine[positions][:, None, :], sine[positions][:, None, :]
    first, second = np.split(x.reshape(len(x), operation.heads, -1), 2, axis=-1)
    turned = np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return turned.reshape(x.shape)


@evaluate.register
def _(operation: Attention, state: State) -> Array:
    query, key, value = (state.values[n] for n in operation.inputs())
    heads, size = operation.heads, query.shape[-1] // operation.heads
    result = np.empty(query.shape, np.float32)
    for block in blocks(operation, state, key, value):
        part = query[block.rows].reshape(-1, heads, size)
        mixed = _attend(operation, part, block.keys, block.values, block.visible, state)
        result[block.rows] = mixed.reshape(len(mixed), -1)
    return result


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one sequence that attend at once.

    Attributes:
        rows: which rows of the run.
        keys: (t, key heads, size) cached rows, those of the run included.
        values: as the keys.
        visible: how many cached rows each row attends to.
    """

    rows: slice
    keys: Array
    values: Array
    visible: Array


def blocks(operation: Attention, state: State, key: Array, value: Array) -> Iterator[Block]:
    """Extend every sequence's cache by ``key`` and ``value``; yield its rows, some at a time."""
    size = key.shape[-1] // operation.key_heads
    start = 0
    for segment in state.segments:
        stop = start + segment.rows
        keys = segment.cache.extend(
            f"{operation.output}.key", key[start:stop].reshape(-1, operation.key_heads, size)
        )
        values = segment.cache.extend(
            f"{operation.output}.value", value[start:stop].reshape(-1, operation.key_heads, size)
        )
        visible = visible_rows(operation, segment)
        for first in range(start, stop, _ROW_BLOCK):
            last = min(first + _ROW_BLOCK, stop)
            seen = visible[first - start : last - start]
            yield Block(slice(first, last), keys, values, seen)
        start = stop


def _attend(
    operation: Attention, query: Array, keys: Array, values: Array, visible: Array, state: State
) -> Real:
    """Attention of rows (r, heads, size) over cached rows (t, key heads, size). → as query."""
    limit = int(visible.max())
    keys, values = keys[:limit], values[:limit]
    group = operation.group
    hidden = np.arange(limit)[None, None, :] >= visible[:, None, None]
    theta_q, theta_k, theta_v = (state.threshold(n) for n in operation.inputs())
    q = query.transpose(1, 0, 2)
    k = np.repeat(keys.transpose(1, 2, 0), group, axis=0)
    v = np.repeat(values.transpose(1, 0, 2), group, axis=0)
    scale = np.float32(operation.scale)
    if theta_q is None or theta_k is None or theta_v is None or operation.inverse is None:
        scores = np.where(hidden, -np.inf, (q @ k).transpose(1, 0, 2) * scale)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True), dtype=np.float32)
        weights /= weights.sum(axis=-1, keepdims=True)
        real: Real = (weights.transpose(1, 0, 2) @ v).transpose(1, 0, 2)
        return real
    sums = np.stack([state.product(n, c.T, _largest(keys)) for n, c in zip(q, k, strict=True)])
    shifted = exponentials(sums.transpose(1, 0, 2), (theta_q * theta_k) * scale, hidden)
    levels = numerics.encode(shifted, state.tensor(operation.inverse), 0, operation.highest)
    levels = np.where(hidden, 0, levels)
    p = levels.transpose(1, 0, 2)
    mixed = np.stack([state.product(n, c.T, _largest(values)) for n, c in zip(p, v, strict=True)])
    divisor = theta_v / levels.sum(axis=-1).astype(np.float32)
    if state.ledger is not None:
        count_attention(operation, query, levels, visible, state.graph, state.ledger)
    settled: Real = mixed.transpose(1, 0, 2).astype(np.float32) * divisor[..., None]
    return settled


def exponentials(sums: Levels, factor: np.float32, hidden: Array) -> Real:
    """e^(s − max s) over the last axis, with scores s = factor·sums; 0 where hidden."""
    scores = np.where(hidden, np.float32(-np.inf), sums.astype(np.float32) * factor)
    return numerics.exp(scores - scores.max(axis=-1, keepdims=True))


def _largest(levels: Levels) -> int:
    return int(np.abs(levels).max(initial=0))


def weight_integers(weight: Weight, graph: Graph) -> Array:
    """The integers of a weight, (outputs, inputs): int8, or uint8 0…15 for 4 bits."""
    values = graph.tensors[weight.values]
    return numerics.unpack_nibbles(values) if weight.bits == 4 else values


def accumulate(levels: Levels, weight: Weight, graph: Graph, product: Product) -> Real:
    """Σ_groups scale·a + minimum·s from int32 accumulators a and level sums s. (R, K) → (R, O)."""
    largest = largest_integer(weight)
    numerics.check_accumulators(levels, largest)

    def sums(part: slice, integers: Array) -> tuple[Levels, Levels]:
        group = levels[:, part]
        return product(group, integers, largest), group.sum(axis=1, dtype=np.int32)

    return settle(len(levels), weight, graph, sums)


def settle(
    rows: int,
    weight: Weight,
    graph: Graph,
    sums: Callable[[slice, Array], tuple[Levels, Levels]],
) -> Real:
    """Σ_groups scale·a + minimum·s, the groups in order. → (rows, O).

    Args:
        rows: how many.
        weight: of the operation.
        graph: holds its tensors.
        sums: inputs of a group, and their integers (O, group) → accumulators a (rows, O) and level
            sums s (rows,).
    """
    integers = weight_integers(weight, graph)
    scale = graph.tensors[str(weight.scale)].astype(np.float32)
    minimum = None
    if weight.minimum is not None:
        minimum = graph.tensors[weight.minimum].astype(np.float32)
    y = np.zeros((rows, len(integers)), np.float32)
    for group in range(scale.shape[1]):
        part = slice(group * weight.group, (group + 1) * weight.group)
        accumulators, totals = sums(part, integers[:, part])
        y += accumulators.astype(np.float32) * scale[:, group]
        if minimum is not None:
            y += totals.astype(np.float32)[:, None] * minimum[:, group]
    return y


def largest_integer(weight: Weight) -> int:
    """Bound on the magnitude of a weight's integers."""
    return 15 if weight.bits == 4 else 127


def dequantise(weight: Weight, graph: Graph, rows: Array | None = None) -> Real:
    """The reals that a weight stands for, all of it or chosen rows. → (rows, inputs)."""
    chosen: Any = slice(None) if rows is None else rows
    values = graph.tensors[weight.values][chosen]
    if weight.bits == 32:
        return np.asarray(values, np.float32)
    shape = values.shape
    if weight.bits == 4:
        values = numerics.unpack_nibbles(values.reshape(-1, shape[-1])).reshape(*shape[:-1], -1)
    groups = values.reshape(*values.shape[:-1], -1, weight.group).astype(np.float32)
    y = groups * graph.tensors[str(weight.scale)][chosen].astype(np.float32)[..., None]
    if weight.minimum is not None:
        y += graph.tensors[weight.minimum][chosen].astype(np.float32)[..., None]
    reals: Real = y.reshape(*values.shape[:-1], -1)
    return reals
