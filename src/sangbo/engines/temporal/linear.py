"""Linear operations: each spike adds its column of weights to the membranes of a row."""

from __future__ import annotations

import numpy as np

from sangbo.engines import numerics
from sangbo.engines.activity import Recording, room
from sangbo.engines.base import Array, Levels
from sangbo.engines.counting import count_linear
from sangbo.engines.firing import Train, integrate
from sangbo.engines.reference import largest_integer, settle
from sangbo.engines.reference.linear import finish, open_rows
from sangbo.engines.temporal.state import Firing, evaluate
from sangbo.graph import Linear


@evaluate.register
def _(operation: Linear, state: Firing) -> Array:
    train, computed = state.trains[operation.input], open_rows(operation, state)
    if computed is not None:
        train = train.rows(computed)
    weight, name = operation.weight, operation.output
    largest = largest_integer(weight)
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

    settled = settle(len(train.levels), weight, state.graph, sums)
    theta = np.float32(state.threshold(operation.input) or 0)
    if state.activity is not None:
        state.activity.received(name, operation.input, train, settled.shape[1])
    if state.ledger is not None:
        count_linear(operation, train.levels, state.graph, state.ledger)
    return finish(operation, settled * theta, computed, state)


def _recording(
    operation: Linear, train: Train, computed: Array | None, state: Firing
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
