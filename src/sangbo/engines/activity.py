"""What only time can show: what the temporal engine sent in each step, and what membranes held."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sangbo.engines.base import Array, Levels
from sangbo.engines.firing import Train
from sangbo.errors import EngineError

Counts = NDArray[np.int64]

LARGEST_RECORDING = 2**28
"""Most entries of one array of a recording."""


@dataclass(slots=True)
class Fired:
    """What a neuron layer sent.

    Attributes:
        levels: how many neurons encoded a value; each row counts anew.
        spikes: (T,) spikes in each step.
        first: (T,) neurons whose first spike came in that step.
        dense: levels that took the dense side.
    """

    levels: int
    spikes: Counts
    first: Counts
    dense: int

    @property
    def steps(self) -> int:
        """Time steps T of the layer."""
        return len(self.spikes)

    @property
    def active(self) -> int:
        """Steps from the first in which some neuron fired to the last."""
        seen = np.flatnonzero(self.spikes)
        return int(seen[-1] - seen[0] + 1) if len(seen) else 0

    @property
    def latency(self) -> float:
        """Mean steps to the first spike, 1 being the first step; NaN where none fired."""
        fired = int(self.first.sum())
        return float(self.first @ np.arange(1, self.steps + 1) / fired) if fired else float("nan")


@dataclass(slots=True)
class Received:
    """What the membranes of a synaptic operation received.

    Attributes:
        source: the neuron layer that sent it.
        accumulates: (T,) weights added in each step: spikes × targets.
        macs: weights multiplied by levels of the dense side.
    """

    source: str
    accumulates: Counts
    macs: int


@dataclass(frozen=True, slots=True)
class Recording:
    """One synaptic operation, every spike of it.

    Attributes:
        source: the neuron layer that sent the spikes.
        drive: (R, K) v₀ of the neurons, in thresholds.
        train: spikes (T, R, K), their worths, and levels (R, K).
        membranes: (T + 1, R, O, G) int32 sums after each step, in units, one for each output and
            weight group; without the dense side.
        settled: (R, O, G) int32 sums at the end, with the dense side.
    """

    source: str
    drive: Array
    train: Train
    membranes: Levels
    settled: Levels

    @classmethod
    def begun(
        cls, name: str, source: str, drive: Array, train: Train, outputs: int, groups: int
    ) -> Self:
        """An empty recording of operation ``name``; raises `EngineError` if it were too large."""
        size = (len(drive), outputs, groups)
        membranes = room(name, len(train.worths) + 1, *size)
        return cls(source, drive, train, membranes, np.zeros(size, np.int32))

    def keep(self, group: int, membranes: Levels, settled: Levels) -> None:
        """Enter what the membranes of one weight group held after each step, and at the end."""
        self.membranes[..., group] = membranes
        self.settled[..., group] = settled

    @property
    def potentials(self) -> NDArray[np.float64]:
        """(T + 1, R, K) membrane potentials of the neurons, in thresholds, from v₀ on."""
        sent = self.train.worths[:, np.newaxis, np.newaxis] * self.train.spikes.astype(np.int64)
        taken = np.concatenate([np.zeros((1, *self.drive.shape)), np.cumsum(sent, axis=0)])
        return np.asarray(self.drive.astype(np.float64) - taken)


@dataclass(slots=True)
class Activity:
    """What was sent in each step of a run, by layer and operation; runs add up.

    Attributes:
        watched: linear operations of which everything is kept, in the run that comes next.
        neurons: by neuron layer, ``NAME.probability`` for those of attention.
        operations: by synaptic operation, as `sangbo.ledger.Ledger.operations` names them.
        recordings: of watched operations.
    """

    watched: Collection[str] = ()
    neurons: dict[str, Fired] = field(default_factory=dict)
    operations: dict[str, Received] = field(default_factory=dict)
    recordings: dict[str, Recording] = field(default_factory=dict)

    def fired(self, name: str, train: Train, seen: Array | None = None) -> None:
        """Count what neuron layer ``name`` sent; ``seen`` says which neurons there were."""
        behind = tuple(range(1, train.spikes.ndim))
        nonzero = train.spikes != 0
        before = np.logical_or.accumulate(nonzero, axis=0)
        new = np.diff(before.sum(axis=behind), prepend=0)
        there = np.broadcast_to(True if seen is None else seen, train.levels.shape)
        levels = int(np.count_nonzero(there))
        dense = 0 if train.dense is None else int(np.count_nonzero(train.dense))
        spikes = nonzero.sum(axis=behind)
        found = self.neurons.get(name)
        if found is None:
            self.neurons[name] = Fired(levels, spikes, new, dense)
        else:
            found.levels += levels
            found.spikes = found.spikes + spikes
            found.first = found.first + new
            found.dense += dense

    def received(self, name: str, source: str, train: Train, fan: Array | int) -> None:
        """Count what operation ``name`` received; row r's spikes go to ``fan[r]`` targets each."""
        behind = tuple(range(2, train.spikes.ndim))
        each = np.broadcast_to(np.asarray(fan, np.int64), train.spikes.shape[1])
        sent = np.count_nonzero(train.spikes, axis=behind) @ each
        macs = 0
        if train.dense is not None:
            macs = int(np.count_nonzero(train.dense, axis=tuple(a - 1 for a in behind)) @ each)
        found = self.operations.get(name)
        if found is None:
            self.operations[name] = Received(source, sent, macs)
        else:
            found.accumulates = found.accumulates + sent
            found.macs += macs


def room(name: str, *shape: int) -> Array:
    """Zeros for what is recorded of operation ``name``; raises `EngineError` where too many."""
    size = int(np.prod(shape, dtype=object))
    if size > LARGEST_RECORDING:
        raise EngineError(
            f"expected a recording of {name!r} of at most {LARGEST_RECORDING} sums, found {size}: "
            "give fewer rows or steps, or another operation"
        )
    return np.zeros(shape, np.int32)
