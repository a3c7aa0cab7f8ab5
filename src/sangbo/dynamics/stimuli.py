"""What reaches every neuron of a population beside its synapses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, isfinite, lgamma, log
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sangbo import _dynamics
from sangbo.errors import SimulationError

MOST_EVENTS = 200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoissonInput:
    """Poisson events, independent for each neuron, each of which adds ``weight`` to ``receptor``.

    Stands for ``sources`` neurons that fire at ``rate`` Hz each.
    """

    rate: float
    weight: float
    sources: int = 1
    receptor: str = "excitatory"

    def native(
        self, network: _dynamics.Network, population: int, receptor: int, step: float
    ) -> None:
        """Add it to the engine's population."""
        mean = self.rate * self.sources * step / 1000
        if not 0 <= mean <= MOST_EVENTS or not isfinite(self.weight):
            raise SimulationError(
                f"expected a finite weight and 0 to {MOST_EVENTS:g} events a step, found "
                f"{self.weight} and {mean:g}; more events are better a NoiseInput"
            )
        if mean > 0:
            network.poisson(population, receptor, _thresholds(mean), self.weight)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseInput:
    """Gaussian white current: in each step another value, mean ± deviation pA, for each neuron."""

    mean: float = 0.0
    deviation: float = 1.0
    receptor: str = "current"

    def native(
        self, network: _dynamics.Network, population: int, receptor: int, step: float
    ) -> None:
        """Add it to the engine's population."""
        if not isfinite(self.mean) or not 0 < self.deviation < np.inf:
            raise SimulationError(f"expected a finite mean and a deviation > 0, found {self}")
        network.noise(population, receptor, self.mean, self.deviation)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepInput:
    """A current that is ``values[k]`` pA from ``times[k]`` ms on, the same for all ``neurons``.

    ``neurons``: numbers of those that it reaches; all if None.
    """

    times: Sequence[float]
    values: Sequence[float]
    receptor: str = "current"
    neurons: Sequence[int] | None = None

    def native(
        self, network: _dynamics.Network, population: int, receptor: int, step: float
    ) -> None:
        """Add it to the engine's population."""
        chosen = np.unique(np.asarray([] if self.neurons is None else self.neurons, np.int64))
        if self.neurons is not None and (not chosen.size or chosen[0] < 0):
            raise SimulationError(f"expected neurons of 0 or more, found {self.neurons}")
        network.current(population, receptor, *self.steps(step), chosen.astype(np.uint32))

    def steps(self, step: float) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
        """Steps of ``step`` ms at which it changes, and to what."""
        times, values = np.asarray(self.times, float), np.asarray(self.values, np.float32)
        if times.shape != values.shape or times.ndim != 1 or not np.isfinite(values).all():
            raise SimulationError(f"expected as many times as finite values, found {self}")
        if (times < 0).any() or (np.diff(times) < 0).any() or not np.isfinite(times).all():
            raise SimulationError(f"expected ascending times of 0 or later, found {self.times}")
        return np.round(times / step).astype(np.uint64), values


Stimulus: TypeAlias = PoissonInput | NoiseInput | StepInput


def _thresholds(mean: float) -> NDArray[np.uint32]:
    """P(events ≤ k) as 32-bit fractions, for k = 0 … as long as it is below 1."""
    found: list[int] = []
    below, k = 0.0, 0
    while True:
        below += exp(k * log(mean) - mean - lgamma(k + 1))
        threshold = round(below * 2**32)
        if threshold >= 2**32 or (found and threshold == found[-1] and k > mean):
            return np.array(found, np.uint32)
        found.append(threshold)
        k += 1
