"""Populations that fire on their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sangbo.dynamics.model import States
from sangbo.dynamics.receptors import Parameters, number, positive
from sangbo.dynamics.values import Value
from sangbo.errors import SimulationError


@dataclass(frozen=True, slots=True, kw_only=True)
class PoissonSource:
    """Poisson processes seen once a step: a spike with probability 1 − e^(−rate·step), one at most.

    ``rate``: Hz. Where rate·step is not small, `PoissonInput` counts every event.
    """

    rate: Value

    @property
    def kernel(self) -> str:
        """The name that the engine knows it by."""
        return "poisson"

    def parameters(self, step: float) -> Parameters:
        """What the engine needs for steps of ``step`` ms."""
        rate = number(self.rate)
        if not (rate >= 0).all():
            raise SimulationError(f"expected a rate ≥ 0, found {rate.min()} Hz")
        return {"probability": -np.expm1(-rate * step / 1000)}

    def states(self, step: float) -> States:
        """None."""
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegularSource:
    """A spike every ``interval`` ms (rounded to steps), the first after ``start`` ms."""

    interval: Value
    start: Value | None = None

    @property
    def kernel(self) -> str:
        """The name that the engine knows it by."""
        return "regular"

    def parameters(self, step: float) -> Parameters:
        """What the engine needs for steps of ``step`` ms."""
        steps = np.round(positive("interval", self.interval) / step)
        if not (steps >= 1).all():
            raise SimulationError(
                f"expected an interval of {step} ms or more, found {steps.min() * step:g}"
            )
        return {"interval": steps}

    def states(self, step: float) -> States:
        """Steps to the first spike."""
        wait = self.interval if self.start is None else self.start
        return {"wait": np.round(positive("start", wait) / step)}


@dataclass(frozen=True, slots=True, eq=False)
class SpikeTimes:
    """Recorded spikes: ``times[i]`` are the times of neuron i, ms, 0 or later.

    >>> SpikeTimes([[1.0, 5.0], []]).neurons
    2
    """

    times: Sequence[ArrayLike]

    @property
    def neurons(self) -> int:
        """How many neurons it lists."""
        return len(self.times)

    def listed(self, step: float) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
        """Steps and neurons of all spikes, in the order of time."""
        each = [np.asarray(t, np.float64).ravel() for t in self.times]
        neurons = np.repeat(np.arange(len(each)), [t.size for t in each])
        times = np.concatenate([*each, np.zeros(0)])
        if not np.isfinite(times).all() or (times < 0).any():
            raise SimulationError(f"expected finite spike times ≥ 0 ms, found {times.min()}")
        steps = np.round(times / step).astype(np.uint64)
        order = np.lexsort((neurons, steps))
        return steps[order], neurons[order].astype(np.uint32)
