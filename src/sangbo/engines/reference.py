"""The reference engine: NumPy, readable, the oracle of the others.

It runs float graphs (the original network) and complementary graphs (int32 accumulators).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np

from sangbo.engines import numerics
from sangbo.engines.base import Array, Levels, Product, Real, Segment, check_segments
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
from sangbo.tallies import Tallies

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
class _State:
    """What an operation sees while a graph runs."""

    graph: Graph
    values: dict[str, Array]
    segments: Sequence[Segment[ReferenceCache]]
    ledger: Ledger | None
    product: Product

    def tensor(self, name: str) -> Array:
        return self.graph.tensors[name]

    def threshold(self, value: str) -> np.float32 | None:
        """θ of a value that holds levels, None of a real one."""
        name = self.graph.values[value].threshold
        return None if name is None else np.float32(self.tensor(name)[()])


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
        self._last_use = {
            name: step for step, o in enumerate(graph.operations) for name in o.inputs()
        }

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
        try:
            self.graph.check_rows(inputs)
        except GraphError as error:
            raise EngineError(str(error)) from None
        rows = len(next(iter(inputs.values())))
        if segments:
            check_segments(rows, segments)
        wanted = frozenset(self.graph.outputs) | frozenset(keep)
        state = _State(self.graph, dict(inputs), segments, ledger, self._product)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            for step, operation in enumerate(self.graph.operations):
                state.values[operation.output] = evaluate(operation, state)
                for name in operation.inputs():
                    if self._last_use[name] == step and name not in wanted:
                        state.values.pop(name, None)
        for segment in segments:
            segment.cache.length += segment.rows
        if ledger is not None:
            ledger.samples += rows
        return {name: state.values[name] for name in wanted}


@singledispatch
def evaluate(operation: Operation, state: _State) -> Array:
    """The result of ``operation``; one function below per type of operation."""
    raise UnsupportedError(f"the reference engine has no {type(operation).__name__} operation")


@evaluate.register
def _(operation: Embedding, state: _State) -> Array:
    return dequantise(operation.weight, state.graph, rows=state.values[operation.input])


@evaluate.register
def _(operation: Select, state: _State) -> Array:
    source, rows = state.values[operation.input], state.values[operation.rows]
    if rows.size and not 0 <= rows.min() <= rows.max() < len(source):
        raise EngineError(
            f"expected {operation.rows!r} within 0…{len(source) - 1}, "
            f"found {rows.min()}…{rows.max()}"
        )
    selected: Array = source[rows]
    return selected


@evaluate.register
def _(operation: Neuron, state: _State) -> Array:
    x = state.values[operation.input]
    if not np.isfinite(x).all():
        raise EngineError(f"expected finite values at neuron {operation.output!r}, found NaN or ∞")
    inverse = state.tensor(operation.inverse)
    levels = numerics.encode(x, inverse, operation.lowest, operation.highest)
    if state.ledger is not None:
        state.ledger.neuron(operation.output).add(levels)
        if state.ledger.tallies is not None:
            _tally(operation.output, levels, state, state.ledger.tallies)
    return levels


@evaluate.register
def _(operation: Linear, state: _State) -> Array:
    x = state.values[operation.input]
    weight = operation.weight
    if weight.bits == 32:
        y: Array = x @ state.tensor(weight.values).T
    else:
        flat = x.reshape(-1, x.shape[-1])
        theta = np.float32(state.threshold(operation.input) or 0)
        sums = accumulate(flat, weight, state.graph, state.product)
        y = (sums * theta).reshape(*x.shape[:-1], -1)
        if state.ledger is not None:
            count_linear(operation, flat, state.graph, state.ledger)
    return y if operation.bias is None else y + state.tensor(operation.bias)


@evaluate.register
def _(operation: Norm, state: _State) -> Array:
    bias = None if operation.bias is None else state.tensor(operation.bias)
    weight = state.tensor(operation.weight)
    x = state.values[operation.input]
    return numerics.normalise(x, operation.form, weight, bias, operation.epsilon)


@evaluate.register
def _(operation: Activation, state: _State) -> Array:
    return _ACTIVATIONS[operation.function](state.values[operation.input])


@evaluate.register
def _(operation: Add, state: _State) -> Array:
    total: Array = state.values[operation.left] + state.values[operation.right]
    return total


@evaluate.register
def _(operation: Multiply, state: _State) -> Array:
    product: Array = state.values[operation.left] * state.values[operation.right]
    return product


@evaluate.register
def _(operation: Rotary, state: _State) -> Array:
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
def _(operation: Attention, state: _State) -> Array:
    query, key, value = (state.values[n] for n in operation.inputs())
    heads, size = operation.heads, query.shape[-1] // operation.heads
    result = np.empty(query.shape, np.float32)
    start = 0
    for segment in state.segments:
        stop = start + segment.rows
        keys = segment.cache.extend(
            f"{operation.output}.key", key[start:stop].reshape(-1, operation.key_heads, size)
        )
        values = segment.cache.extend(
            f"{operation.output}.value", value[start:stop].reshape(-1, operation.key_heads, size)
        )
        for first in range(start, stop, _ROW_BLOCK):
            last = min(first + _ROW_BLOCK, stop)
            visible = _visible(operation, segment)[first - start : last - start]
            block = query[first:last].reshape(-1, heads, size)
            mixed = _attend(operation, block, keys, values, visible, state)
            result[first:last] = mixed.reshape(last - first, -1)
        start = stop
    return result


def _attend(
    operation: Attention, query: Array, keys: Array, values: Array, visible: Array, state: _State
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
    scores = sums.transpose(1, 0, 2).astype(np.float32) * ((theta_q * theta_k) * scale)
    scores = np.where(hidden, np.float32(-np.inf), scores)
    shifted = numerics.exp(scores - scores.max(axis=-1, keepdims=True))
    levels = numerics.encode(shifted, state.tensor(operation.inverse), 0, operation.highest)
    levels = np.where(hidden, 0, levels)
    p = levels.transpose(1, 0, 2)
    mixed = np.stack([state.product(n, c.T, _largest(values)) for n, c in zip(p, v, strict=True)])
    divisor = theta_v / levels.sum(axis=-1).astype(np.float32)
    if state.ledger is not None:
        count_attention(operation, query, levels, visible, state.graph, state.ledger)
    settled: Real = mixed.transpose(1, 0, 2).astype(np.float32) * divisor[..., None]
    return settled


def _largest(levels: Levels) -> int:
    return int(np.abs(levels).max(initial=0))


def weight_integers(weight: Weight, graph: Graph) -> Array:
    """The integers of a weight, (outputs, inputs): int8, or uint8 0…15 for 4 bits."""
    values = graph.tensors[weight.values]
    return numerics.unpack_nibbles(values) if weight.bits == 4 else values


def accumulate(levels: Levels, weight: Weight, graph: Graph, product: Product) -> Real:
    """Σ_groups scale·a + minimum·s from int32 accumulators a and level sums s. (R, K) → (R, O)."""
    integers = weight_integers(weight, graph)
    scale = graph.tensors[str(weight.scale)].astype(np.float32)
    minimum = None
    if weight.minimum is not None:
        minimum = graph.tensors[weight.minimum].astype(np.float32)
    largest = 15 if weight.bits == 4 else 127
    numerics.check_accumulators(levels, largest)
    y = np.zeros((len(levels), len(integers)), np.float32)
    for group in range(scale.shape[1]):
        part = slice(group * weight.group, (group + 1) * weight.group)
        sums = product(levels[:, part], integers[:, part], largest)
        y += sums.astype(np.float32) * scale[:, group]
        if minimum is not None:
            totals = levels[:, part].sum(axis=1, dtype=np.int32).astype(np.float32)
            y += totals[:, None] * minimum[:, group]
    return y


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


def _tally(name: str, levels: Levels, state: _State, tallies: Tallies) -> None:
    """Enter neuron layer ``name`` into ``tallies``, with the targets that its levels meet."""
    flat = levels.reshape(-1, levels.shape[-1])
    fan = np.zeros(len(flat), np.int64)
    consumed = False
    for consumer in state.graph.operations:
        if isinstance(consumer, Linear) and consumer.input == name:
            fan += state.graph.values[consumer.output].channels
        elif isinstance(consumer, Attention) and consumer.query == name:
            fan += np.concatenate([_visible(consumer, s) for s in state.segments])
        else:
            continue
        consumed = True
    if consumed:
        tallies.count(name, flat, fan)


def _visible(operation: Attention, segment: Segment[ReferenceCache]) -> Array:
    """How many cached rows each row of ``segment`` attends to, its own included."""
    before, rows = segment.cache.length, segment.rows
    return before + 1 + np.arange(rows) if operation.causal else np.full(rows, before + rows)


def count_linear(operation: Linear, levels: Levels, graph: Graph, ledger: Ledger) -> None:
    """Enter a Linear on ``levels`` (R, K) into ``ledger``."""
    weight = operation.weight
    tensors = [graph.tensors[n] for n in weight.tensors()]
    outputs, groups = graph.tensors[str(weight.scale)].shape
    source = operation.input
    count = ledger.operation(operation.output, source, sum(t.nbytes for t in tensors))
    count.rows += len(levels)
    count.pairs.add(levels, outputs)
    sums = 0 if weight.minimum is None else groups
    count.accumulators += len(levels) * (outputs * groups + sums)
    count.rescales += len(levels) * outputs * groups * (1 if weight.minimum is None else 2)


def count_attention(
    operation: Attention,
    query: Levels,
    levels: Levels,
    visible: Array,
    graph: Graph,
    ledger: Ledger,
) -> None:
    """Enter both products of attention rows into ``ledger``; see `Ledger.operations`."""
    name = operation.output
    rows, heads, size = query.shape
    seen = np.arange(levels.shape[-1])[None, None, :] < visible[:, None, None]
    shown = levels[np.broadcast_to(seen, levels.shape)]
    total = int(visible.sum())
    scores = ledger.operation(f"{name}.scores", operation.query)
    scores.pairs.add(query, visible[:, None, None])
    mix = ledger.operation(f"{name}.mix", f"{name}.probability")
    mix.pairs.add(shown, size)
    ledger.neuron(f"{name}.probability").add(shown)
    if ledger.tallies is not None:
        fan = np.full(rows, size)
        ledger.tallies.count(
            f"{name}.probability", levels, fan, np.broadcast_to(seen, levels.shape)
        )
    for count, sums, cached in (
        (scores, total * heads, operation.key),
        (mix, rows * heads * size, operation.value),
    ):
        count.rows += rows
        count.accumulators += sums
        count.rescales += sums
        level_bytes = graph.values[cached].level_bytes
        count.cache_bytes += total * operation.key_heads * size * level_bytes
