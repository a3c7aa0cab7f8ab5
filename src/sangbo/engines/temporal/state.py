"""What an operation sees while a graph runs spike by spike, and the neurons that spike."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import singledispatch

from sangbo.engines import numerics, reference
from sangbo.engines.activity import Activity
from sangbo.engines.base import Array, Real
from sangbo.engines.firing import Coding, Train, fire
from sangbo.engines.reference import State
from sangbo.graph import Neuron, Operation


@dataclass
class Firing(State):
    """What an operation sees while a graph runs: beside all levels, the trains that sent them."""

    coding: Coding = field(kw_only=True)
    activity: Activity | None = field(kw_only=True)
    drives: dict[str, Real] = field(default_factory=dict)
    trains: dict[str, Train] = field(default_factory=dict)

    def forget(self, name: str) -> None:
        """Let go of a value that no later operation reads, and of what was sent of it."""
        State.forget(self, name)
        self.drives.pop(name, None)
        self.trains.pop(name, None)


@singledispatch
def evaluate(operation: Operation, state: Firing) -> Array:
    """The result of ``operation``; what knows no spikes is left to the reference engine."""
    return reference.evaluate(operation, state)


@evaluate.register
def _(operation: Neuron, state: Firing) -> Array:
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
