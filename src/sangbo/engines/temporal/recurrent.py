"""Recurrent cells: after each row, neurons send the state to the gates of the next."""

from __future__ import annotations

import numpy as np

from sangbo.engines import numerics
from sangbo.engines.base import Array, Levels, Real
from sangbo.engines.counting import count_recurrent
from sangbo.engines.firing import fire, integrate
from sangbo.engines.reference import largest_integer, settle
from sangbo.engines.reference.recurrent import run_cells
from sangbo.engines.temporal.state import Firing, evaluate
from sangbo.graph import Recurrent


@evaluate.register
def _(operation: Recurrent, state: Firing) -> Array:
    sent: list[Levels] = []

    def share(hidden: Real) -> Real:
        weight, name = operation.weight, f"{operation.output}.state"
        if weight is None:
            return np.zeros_like(hidden)
        numerics.check_finite(hidden, name)
        drive = numerics.drive(hidden, state.tensor(str(operation.inverse)))
        train = fire(drive, operation.lowest, operation.highest, state.coding, name)
        largest = largest_integer(weight)
        numerics.check_accumulators(train.levels, largest)

        def sums(part: slice, integers: Array) -> tuple[Levels, Levels]:
            ones = np.ones((1, integers.shape[1]), integers.dtype)
            held = integrate(train.take(part), np.concatenate([integers, ones]), largest)
            return held[:, :-1], held[:, -1:]

        settled = settle(len(hidden), weight, state.graph, sums)
        sent.append(train.levels)
        if state.activity is not None:
            state.activity.fired(name, train)
            state.activity.received(operation.output, name, train, settled.shape[1])
        u: Real = settled * np.float32(state.tensor(str(operation.threshold))[()])
        return u if operation.bias is None else u + state.tensor(operation.bias)

    result = run_cells(operation, state, share)
    if state.ledger is not None and operation.weight is not None:
        size = result.shape[-1]
        levels = np.concatenate([np.empty((0, size), np.int32), *sent])
        count_recurrent(operation, levels, state.graph, state.ledger)
    return result
