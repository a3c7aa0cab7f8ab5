"""Neurons that fire in time steps, and membranes that add up a column of weights for each spike.

The neuron is the signed integrate-and-fire neuron with soft reset that starts half a threshold up.
In units of its threshold, driven by x it holds ``v₀ = fl(fl(x·1/θ) + ½)`` and in step t

* fires +1 where ``v ≥ b_t``, and −1 where ``v < 1 − b_t``,
* then loses what the spike is worth, ``v ← v − w_t·spike`` (soft reset),

with the bounds b and worths w of its code's schedule: 1 and 1 in `rate`, so that the conditions are
v ≥ θ and v < 0; 2^d and 2^d in `radix`; ⌊2^(d+1)/3⌋ + 1 and 2^d in `csd`. Both bounds are as far
from the start at ½. It rests where 0 ≤ v < 1, and then it has sent ``floor(v₀)`` in all.

The reset is kept as an integer count ``fired`` beside v₀, and ``v ≥ b`` is asked as
``v₀ ≥ fired + b``. That is the same neuron without rounding: v₀ − fired need not fit a float.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sangbo.codes import LARGEST_PLANES, Code, code
from sangbo.engines.base import Array, Levels, Real
from sangbo.engines.numerics import HALF
from sangbo.errors import EngineError

_EXACT_FLOAT32 = 2**24
_OUTPUTS = 1024
"""Membranes of a row that are stepped at once, so that they stay in a near cache."""


@dataclass(frozen=True, slots=True)
class Coding:
    """How neurons send their levels.

    Attributes:
        code: spike code.
        steps: time steps T of every neuron layer; by default as many as the largest level that a
            layer may send needs. A layer whose range needs fewer takes no more than those.
        largest_spiking: levels up to this magnitude take the spiking side, larger ones the dense
            side: they are sent as integers, and their receiver multiplies. By default all spike.

    Raises:
        EngineError: where the largest spiking level needs more steps than there are.
    """

    code: Code
    steps: int | None = None
    largest_spiking: int | None = None

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise EngineError(f"expected at least one time step, found {self.steps}")
        if self.largest_spiking is None:
            return
        if self.largest_spiking < 0:
            raise EngineError(
                f"expected a largest spiking level of 0 or more, found {self.largest_spiking}"
            )
        if self.steps is not None and self.code.steps(self.largest_spiking) > self.steps:
            raise EngineError(
                f"expected at least {self.code.steps(self.largest_spiking)} time steps for levels "
                f"up to {self.largest_spiking} in code {self.code.name}, found {self.steps}"
            )

    @classmethod
    def of(cls, name: str, steps: int | None = None, largest_spiking: int | None = None) -> Coding:
        """The coding with the code called ``name``."""
        return cls(code(name), steps, largest_spiking)

    def steps_of(self, lowest: int, highest: int) -> int:
        """Time steps of a neuron layer that sends levels of ``lowest`` to ``highest``."""
        most = max(-lowest, highest)
        if self.largest_spiking is not None:
            most = min(most, self.largest_spiking)
        needed = self.code.steps(most)
        return needed if self.steps is None else min(self.steps, needed)


@dataclass(frozen=True, slots=True)
class Train:
    """What a population of neurons sent, step by step.

    Attributes:
        spikes: (T, …) of −1, 0, 1 as int8; whole levels as int32 in a code that multiplies.
        worths: (T,) how many units a spike of each step is worth, not increasing.
        dense: (…) levels that took the dense side, 0 elsewhere; None where all spiked.
        levels: (…) what was sent in all: Σ worth·spike + dense.
    """

    spikes: Array
    worths: Array
    dense: Levels | None
    levels: Levels

    def take(self, *index: slice) -> Train:
        """The train of some of the neurons, by their last axes."""
        place: Any = (..., *index)
        return self._each(lambda a: a[place])

    def rows(self, chosen: Array) -> Train:
        """The train of chosen rows, the first axis of its levels."""
        dense = None if self.dense is None else self.dense[chosen]
        return replace(self, spikes=self.spikes[:, chosen], dense=dense, levels=self.levels[chosen])

    def reshape(self, axes: int, *shape: int) -> Train:
        """The same train with its last ``axes`` axes in another shape."""
        return self._each(lambda a: a.reshape(*a.shape[: a.ndim - axes], *shape))

    def _each(self, view: Callable[[Array], Array]) -> Train:
        dense = None if self.dense is None else view(self.dense)
        return replace(self, spikes=view(self.spikes), dense=dense, levels=view(self.levels))


def fire(drive: Real, lowest: int, highest: int, coding: Coding, name: str) -> Train:
    """Let neurons fire that are driven to ``drive`` = v₀ thresholds, and stop when they rest.

    Args:
        drive: (…) v₀ of each, finite.
        lowest: smallest level; a membrane saturates there.
        highest: largest level.
        coding: code and time steps.
        name: of the layer, for messages.

    Raises:
        EngineError: where the steps are too few for some neuron, or the train would hold more than
            `sangbo.codes.LARGEST_PLANES` entries.
    """
    steps = coding.steps_of(lowest, highest)
    if steps * drive.size > LARGEST_PLANES:
        raise EngineError(
            f"expected at most {LARGEST_PLANES} spikes and pauses of {name!r}, found {steps} steps "
            f"of {drive.size} neurons in code {coding.code.name}: give fewer steps and a largest "
            "spiking level"
        )
    potential = np.clip(drive, np.float32(lowest), np.float32(highest) + HALF)
    dense = None
    most = coding.largest_spiking
    if most is not None:
        large = (potential >= most + 1) | (potential < -most)
        dense = np.where(large, np.floor(potential), 0).astype(np.int32)
        potential = np.where(large, HALF, potential)
    _check_reach(potential, steps, coding.code, name)
    bounds, worths = coding.code.schedule(steps)
    carries = coding.code.multiplies
    spikes = np.zeros((steps, *drive.shape), np.int32 if carries else np.int8)
    fired = np.zeros(drive.shape, np.int32)
    for step, (bound, worth) in enumerate(zip(bounds.tolist(), worths.tolist(), strict=True)):
        if carries:
            spikes[step] = np.floor(potential)
        else:
            np.subtract(
                potential >= fired + bound, potential < fired + (1 - bound), out=spikes[step],
                dtype=np.int8,
            )  # fmt: skip
        fired += worth * spikes[step].astype(np.int32)
    return Train(spikes, worths, dense, fired if dense is None else fired + dense)


def _check_reach(potential: Real, steps: int, code: Code, name: str) -> None:
    """Raise `EngineError` unless ``steps`` are enough to empty every membrane in this code."""
    ends = (float(potential.min(initial=0)), float(potential.max(initial=0)))
    level = max((math.floor(v) for v in ends), key=abs)
    if code.steps(abs(level)) > steps:
        raise EngineError(
            f"expected levels of {name!r} that {steps} steps of code {code.name} can send, found "
            f"{level}, which needs {code.steps(abs(level))}: give more steps, or a largest spiking "
            "level so that larger ones take the dense side"
        )


def integrate(train: Train, weights: Array, largest: int, membranes: Array | None = None) -> Levels:
    """Membranes that every spike adds its column of weights to. (R, K), (O, K) → (R, O) int32.

    In each step the columns of those inputs that spiked are added to, or subtracted from, int32
    membranes; the dense side is multiplied in after the last step. Where the next spikes are worth
    half as much, membranes double first, so that the last step counts in units. (In between, a
    doubled membrane may leave int32 by a little and wrap; what is added later brings it back.)

    The columns are summed by a matrix product with the step's spikes −1, 0, 1 in float32, or in
    float64 where a sum could reach 2²⁴: all partial sums are integers that fit the mantissa, so the
    order in which they are added does not matter and no rounding happens.

    Args:
        train: spikes of K neurons for R rows.
        weights: integers of magnitude at most ``largest``.
        largest: bound on the weights' magnitude.
        membranes: (T + 1, R, O) int32, where what they hold after each step is kept, in units.
    """
    exact = exactly(train, weights.shape[1], largest)
    sent = [_sent(spikes, exact) for spikes in train.spikes]
    dense = None if train.dense is None else _sent(train.dense, np.dtype(np.float64))
    held = np.zeros((train.spikes.shape[1], len(weights)), np.int32)
    for start in range(0, len(weights), _OUTPUTS):
        some = slice(start, start + _OUTPUTS)
        columns = np.ascontiguousarray(weights[some].T, exact)
        block = np.zeros((len(held), columns.shape[1]), np.int32)
        for step, spikes in enumerate(sent):
            if step and train.worths[step] != train.worths[step - 1]:
                block += block
            _add(block, spikes, columns)
            if membranes is not None:
                membranes[step + 1, :, some] = block * np.int32(train.worths[step])
        _add(block, dense, columns)
        held[:, some] = block
    return held


def exactly(train: Train, inputs: int, largest: int) -> np.dtype[Any]:
    """The real type in which sums over ``inputs`` spikes of one step are exact integers."""
    single = train.spikes.dtype == np.int8 and inputs * largest < _EXACT_FLOAT32
    return np.dtype(np.float32 if single else np.float64)


@dataclass(frozen=True, slots=True)
class _Sent:
    """What was sent in one step, without the rows and inputs that sent nothing."""

    rows: Array
    inputs: Array
    values: Array


def _sent(spikes: Array, exact: np.dtype[Any]) -> _Sent | None:
    rows, inputs = (np.flatnonzero(spikes.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    return _Sent(rows, inputs, spikes[np.ix_(rows, inputs)].astype(exact))


def _add(held: Levels, sent: _Sent | None, columns: Array) -> None:
    """Add the columns of the inputs that sent something, for the rows that did."""
    if sent is None:
        return
    if len(sent.inputs) < len(columns):
        columns = columns[sent.inputs]
    sums = (sent.values @ columns.astype(sent.values.dtype, copy=False)).astype(np.int32)
    if len(sent.rows) < len(held):
        held[sent.rows] += sums
    else:
        held += sums
