"""What a run leaves behind: spikes and states, kept in memory or handed on while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from sangbo.errors import SimulationError

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Sampling:
    """States to sample: ``state`` of ``neurons`` every ``every`` steps."""

    population: str
    state: str
    neurons: NDArray[np.uint32]
    every: int


class Recorder(Protocol):
    """Takes what is recorded, in pieces, in the order of time.

    A run calls ``begin`` once, then the others as pieces come, at last ``end``; also where the run
    fails, so that what was recorded until then is whole.
    """

    def begin(
        self, step: float, populations: dict[str, int], samplings: Sequence[Sampling]
    ) -> None:
        """``step`` in ms; the size of every population whose spikes are recorded."""
        ...

    def spikes(
        self, population: str, steps: NDArray[np.uint64], neurons: NDArray[np.uint32]
    ) -> None:
        """Spikes, each at the end of a step: time = step number × step. Both (spikes,)."""
        ...

    def states(self, sampling: Sampling, steps: NDArray[np.uint64], values: NDArray[Any]) -> None:
        """``values`` of shape (steps, neurons), float32, or int32 of integer neurons."""
        ...

    def end(self) -> None:
        """No more will come."""
        ...


class Memory:
    """The `Recorder` that keeps everything in memory."""

    def __init__(self) -> None:
        self._step = 1.0
        self._spikes: dict[str, list[tuple[NDArray[np.float64], NDArray[np.uint32]]]] = {}
        self._states: dict[tuple[str, str], list[tuple[NDArray[np.float64], NDArray[Any]]]] = {}

    def begin(
        self, step: float, populations: dict[str, int], samplings: Sequence[Sampling]
    ) -> None:
        """Begin, or go on after an earlier run."""
        self._step = step
        for name in populations:
            self._spikes.setdefault(name, [])
        for s in samplings:
            self._states.setdefault((s.population, s.state), [])

    def spikes(
        self, population: str, steps: NDArray[np.uint64], neurons: NDArray[np.uint32]
    ) -> None:
        """Keep these spikes."""
        self.add_spikes(population, steps.astype(np.float64) * self._step, neurons)

    def states(self, sampling: Sampling, steps: NDArray[np.uint64], values: NDArray[Any]) -> None:
        """Keep these samples."""
        self.add_samples(
            sampling.population, sampling.state, steps.astype(np.float64) * self._step, values
        )

    def end(self) -> None:
        """Nothing to do."""

    def add_spikes(
        self, population: str, times: NDArray[np.float64], neurons: NDArray[np.uint32]
    ) -> None:
        """Keep spikes of ``neurons`` at ``times`` (ms), both of shape (spikes,)."""
        self._spikes.setdefault(population, []).append((times, neurons))

    def add_samples(
        self, population: str, state: str, times: NDArray[np.float64], values: NDArray[Any]
    ) -> None:
        """Keep ``values``, shape (samples, neurons), at ``times`` (ms), shape (samples,)."""
        self._states.setdefault((population, state), []).append((times, values))

    @property
    def recorded(self) -> list[str]:
        """Populations whose spikes were recorded."""
        return list(self._spikes)

    def spike_times(self, population: str) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
        """Times in ms and neurons of all recorded spikes, in the order of time and neuron."""
        parts = self._of(self._spikes, population)
        times = np.concatenate([p[0] for p in parts] + [np.zeros(0)])
        neurons = np.concatenate([p[1] for p in parts] + [np.zeros(0, np.uint32)])
        return times, neurons

    def samples(self, population: str, state: str) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """Times in ms, shape (samples,), and values, shape (samples, neurons)."""
        parts = self._of(self._states, (population, state))
        if not parts:
            return np.zeros(0), np.zeros((0, 0), np.float32)
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    @staticmethod
    def _of(held: dict[K, list[V]], key: K) -> list[V]:
        if key not in held:
            raise SimulationError(f"expected something recorded, {list(held)}, found {key!r}")
        return held[key]
