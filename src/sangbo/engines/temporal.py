"""The temporal engine: really sends every spike, one time step after the other.

Where the folded engines multiply levels by weights, here neurons fire in time steps and each spike
adds its column of weights to the membranes of its receivers; see `sangbo.engines.firing`. Layer by
layer: a layer's neurons begin once the membranes that drive them have settled. Operations on reals
in between are the reference engine's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import singledispatch

import numpy as np

from sangbo.engines import numerics, reference
from sangbo.engines.activity import Activity, Recording, room
from sangbo.engines.base import Array, Levels, Real, Segment
from sangbo.engines.counting import count_attention, count_linear
from sangbo.engines.firing import Coding, Train, fire, integrate
from sangbo.engines.reference import ReferenceCache, State
from sangbo.engines.reference.attention import Block, blocks, exponentials
from sangbo.engines.reference.linear import finish, open_rows
from sangbo.errors import EngineError
from sangbo.graph import Attention, Graph, Linear, Neuron, Operation
from sangbo.ledger import Ledger


class Temporal:
    """Runs a complementary graph spike by spike. See `sangbo.engines.base.Engine`.

    Args:
        graph: a complementary graph.
        code: name of the spike code.
        steps: time steps of every neuron layer, and
        largest_spiking: largest level that spikes; see `sangbo.engines.firing.Coding`.

    Raises:
        EngineError: where the graph is not complementary or the steps are too few.
        CodeError: where there is no such code.
    """

    def __init__(
        self,
        graph: Graph,
        code: str = "csd",
        *,
        steps: int | None = None,
        largest_spiking: int | None = None,
    ) -> None:
        if not graph.complementary:
            raise EngineError(
                f"expected a complementary graph, found {graph.name!r} with synaptic operations "
                "on reals: convert it first"
            )
        self.graph = graph
        self.coding = Coding.of(code, steps, largest_spiking)

    def cache(self, capacity: int) -> ReferenceCache:
        """An empty cache for one sequence of at most ``capacity`` rows."""
        return ReferenceCache(capacity, self.graph.axis)

    def ledger(self) -> Ledger:
        """An empty ledger."""
        return Ledger()

    def run(
        self,
        inputs: Mapping[str, Array],
        segments: Sequence[Segment[ReferenceCache]],
        *,
        ledger: Ledger | None = None,
        activity: Activity | None = None,
        keep: Sequence[str] = (),
    ) -> dict[str, Array]:
        """Evaluate the graph; see `sangbo.engines.base.Engine.run`.

        Args:
            inputs: one array per input of the graph.
            segments: which rows belong to which sequence.
            ledger: where levels are counted; nothing is counted without one.
            activity: where every step's spikes are counted, and watched operations recorded.
            keep: names of further values to return beside the outputs.

        Raises:
            EngineError: as any engine; also where a level does not fit the time steps, or what is
                watched is too large or no linear operation.
        """
        if activity is not None:
            linear = {o.output for o in self.graph.operations if isinstance(o, Linear)}
            unknown = [n for n in activity.watched if n not in linear]
            if unknown:
                raise EngineError(f"expected linear operations to watch, found {unknown}")
        state = _Firing(
            self.graph, dict(inputs), segments, ledger, coding=self.coding, activity=activity
        )
        return reference.execute(state, evaluate, keep)

    @property
    def steps(self) -> dict[str, int]:
        """Time steps T of every neuron layer; ``NAME.probability`` are those of attention."""
        found = {}
        for operation in self.graph.operations:
            if isinstance(operation, Neuron):
                found[operation.output] = self.coding.steps_of(operation.lowest, operation.highest)
            elif isinstance(operation, Attention):
                name = f"{operation.output}.probability"
                found[name] = self.coding.steps_of(0, operation.highest)
        return found


def timeline(graph: Graph, steps: Mapping[str, int]) -> tuple[dict[str, int], int]:
    """When each neuron layer begins to fire, and when the outputs are ready, in time steps.

    A layer begins once all that it depends on has settled; layers that do not depend on each other
    fire at once. So the outputs take the longest way through the layers.

    Args:
        graph: a complementary graph.
        steps: time steps of every neuron layer, as `Temporal.steps`.
    """
    ready = dict.fromkeys(graph.inputs, 0)
    begins = {}
    for operation in graph.operations:
        after = max((ready[n] for n in operation.inputs()), default=0)
        layer = operation.output
        if isinstance(operation, Attention):
            layer = f"{operation.output}.probability"
        if layer in steps:
            begins[layer] = after
            after += steps[layer]
        ready[operation.output] = after
    return begins, max(ready[n] for n in graph.outputs)


@dataclass
class _Firing(State):
    """What an operation sees while a graph runs: beside all levels, the trains that sent them."""

    coding: Coding = field(kw_only=True)
    activity: Activity | None = field(kw_only=True)
    drives: dict[str, Real] = field(default_factory=dict)
    trains: dict[str, Train] = field(default_factory=dict)

    def forget(self, name: str) -> None:
        State.forget(self, name)
        self.drives.pop(name, None)
        self.trains.pop(name, None)


@singledispatch
def evaluate(operation: Operation, state: _Firing) -> Array:
    """The result of ``operation``; what knows no spikes is left to the reference engine."""
    return reference.evaluate(operation, state)


@evaluate.register
def _(operation: Neuron, state: _Firing) -> Array:
    x = state.values[operation.input]
    numerics.check_finite(x, operation.output)
    drive = numerics.drive(x, state.tensor(operation.inverse)).reshape(-1, x.shape[-1])
    train = fire(drive, operation.lowest, operation.highest, state.coding, operation.output)
    levels = train.levels.reshape(x.shape)
    state.trains[operation.output], state.drives[operation.output] = train, drive
    if state.activity is not None:
        state.activity.fired(operation.output, train)
    if state.ledger is not None:
        state.ledger.neuron(operation.output).add(levels)
    return levels


@evaluate.register
def _(operation: Linear, state: _Firing) -> Array:
    train, computed = state.trains[operation.input], open_rows(operation, state)
    if computed is not None:
        train = train.rows(computed)
    weight, name = operation.weight, operation.output
    largest = reference.largest_integer(weight)
    numerics.check_accumulators(train.levels, largest)
    recording = _recording(operation, train, computed, state)

    def sums(part: slice, integers: Array) -> tuple[Levels, Levels]:
        # The spikes of a group are summed by one more membrane, whose weights are 1.
        columns = np.concatenate([integers, np.ones((1, integers.shape[1]), integers.dtype)])
        group = train.take(part)
        if recording is None:
            held = integrate(group, columns, largest)
        else:
            membranes = room(name, len(train.worths) + 1, len(train.levels), len(columns))
            held = integrate(group, columns, largest, membranes)
            recording.keep(part.start // weight.group, membranes[..., :-1], held[:, :-1])
        return held[:, :-1], held[:, -1:]

    settled = reference.settle(len(train.levels), weight, state.graph, sums)
    theta = np.float32(state.threshold(operation.input) or 0)
    if state.activity is not None:
        state.activity.received(name, operation.input, train, settled.shape[1])
    if state.ledger is not None:
        count_linear(operation, train.levels, state.graph, state.ledger)
    return finish(operation, settled * theta, computed, state)


def _recording(
    operation: Linear, train: Train, computed: Array | None, state: _Firing
) -> Recording | None:
    """Where what a watched operation sends and receives is kept; None for others."""
    activity, name = state.activity, operation.output
    if activity is None or name not in activity.watched:
        return None
    outputs, groups = state.tensor(str(operation.weight.scale)).shape
    drive = state.drives[operation.input]
    if computed is not None:
        drive = drive[computed]
    recording = Recording.begun(name, operation.input, drive, train, outputs, groups)
    activity.recordings[name] = recording
    return recording


@evaluate.register
def _(operation: Attention, state: _Firing) -> Array:
    query = state.trains[operation.query]
    heads, size = operation.heads, query.levels.shape[-1] // operation.heads
    result = np.empty((len(query.levels), heads, size), np.float32)
    for block in blocks(operation, state):
        part = query.take(block.rows, slice(None)).reshape(2, -1, heads, size)
        result[block.rows] = _attend(operation, part, block, state)
    return result.reshape(state.values[operation.query].shape)


def _attend(operation: Attention, query: Train, block: Block, state: _Firing) -> Real:
    """Attention of a train of (r, heads, size)."""
    name, keys, values, visible = operation.output, block.keys, block.values, block.visible
    theta_q, theta_k, theta_v = (np.float32(state.threshold(n) or 0) for n in operation.inputs())
    sums = _each_head(query, operation, lambda head: keys[:, head])
    factor = (theta_q * theta_k) * np.float32(operation.scale)
    shifted = exponentials(sums, factor, block.bias, block.hidden)
    drive = numerics.drive(shifted, state.tensor(str(operation.inverse)))
    probability = f"{name}.probability"
    train = fire(drive, 0, operation.highest, state.coding, probability)
    mixed = _each_head(train, operation, lambda head: values[:, head].T)
    spikes = train.levels.sum(axis=-1).astype(np.float32)
    if state.activity is not None:
        state.activity.fired(probability, train, ~block.hidden)
        state.activity.received(f"{name}.scores", operation.query, query, visible)
        state.activity.received(f"{name}.mix", probability, train, values.shape[-1])
    if state.ledger is not None:
        count_attention(operation, query.levels, train.levels, visible, state.graph, state.ledger)
    settled: Real = mixed.astype(np.float32) * (theta_v / spikes)[..., None]
    return settled


def _each_head(train: Train, operation: Attention, weights: Callable[[int], Array]) -> Levels:
    """Spikes (r, heads, K) meet what is cached for their key heads. → (r, heads, O).

    It takes the place of weights (O, K); query heads of one key head are so many more rows.
    """
    rows, _, size = train.levels.shape
    found = []
    for head in range(operation.key_heads):
        first = head * operation.group
        queries = slice(first, first + operation.group)
        own = train.take(queries, slice(None)).reshape(3, -1, size)
        cached = weights(head)
        largest = int(np.abs(cached).max(initial=0))
        numerics.check_accumulators(own.levels, largest)
        found.append(integrate(own, cached, largest).reshape(rows, operation.group, -1))
    joined: Levels = np.concatenate(found, axis=1)
    return joined
