"""Substances that spread among neurons and change how they learn: dopamine, say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sangbo.dynamics.network import Network
from sangbo.dynamics.population import Population
from sangbo.dynamics.recording import Recorder, Sampling
from sangbo.dynamics.values import Floats
from sangbo.errors import SimulationError
from sangbo.progress import Progress, silent


class Modulated(Protocol):
    """What a level changes; a projection whose plasticity has a modulator is one."""

    def modulate(self, level: float) -> None:
        """Let the modulator be ``level`` from now on."""
        ...


class Neuromodulator:
    """A substance around a network, cleared and spreading: dc/dt = D·∇²c − c/τ + releases.

    Space is a grid of boxes with walls that let nothing through, or one box where all is mixed.
    Every ``every`` ms the network stops, what its sources released is added, what acts is told, and
    the field moves on: exactly between releases, because decay and the grid's own modes
    (cosines) are exponentials. So no step is too long for the diffusion.

    >>> from sangbo import dynamics as d
    >>> network = d.Network(step=1.0, seed=1)
    >>> source = network.population(None, d.SpikeTimes([[5.0, 7.0]]), name="vta")
    >>> network.record(source)
    >>> dopamine = Neuromodulator(network, tau=200.0)
    >>> dopamine.releases(source, 0.5)
    >>> _ = dopamine.run(10.0)
    >>> round(dopamine.level(), 3)  # 0.5·(e^(−5/200) + e^(−3/200))
    0.98

    Args:
        network: what it surrounds.
        tau: τ, clearance, ms.
        every: ms, rounded to steps.
        shape: boxes along each axis.
        spacing: width of a box, µm.
        diffusion: D, µm²/ms.
    """

    def __init__(
        self,
        network: Network,
        *,
        tau: float,
        every: float = 1.0,
        shape: Sequence[int] = (1,),
        spacing: float = 1.0,
        diffusion: float = 0.0,
    ) -> None:
        for name, value in (("tau", tau), ("spacing", spacing), ("every", every)):
            if not 0 < value < math.inf:
                raise SimulationError(f"expected {name} > 0, found {value}")
        if not 0 <= diffusion < math.inf:
            raise SimulationError(f"expected a diffusion of 0 µm²/ms or more, found {diffusion}")
        if not 1 <= len(shape) <= 3 or not all(1 <= n <= 1024 for n in shape):
            raise SimulationError(f"expected 1 to 1024 boxes along 1 to 3 axes, found {shape}")
        self.network, self.spacing = network, spacing
        self.steps = max(1, round(every / network.step))
        self.concentration: Floats = np.zeros(tuple(shape))
        self._sources: list[tuple[Population, float, NDArray[np.int64]]] = []
        self._acts: list[tuple[Modulated, float, float, NDArray[np.int64]]] = []
        lasts = self.steps * network.step
        self._clears = math.exp(-lasts / tau)
        self._spreads = [_spread(n, diffusion * lasts / spacing**2) for n in shape]

    def releases(self, population: Population, amount: float) -> None:
        """Each spike of ``population`` adds ``amount`` to its neuron's box; it must be recorded.

        Raises:
            SimulationError: it is not recorded, is of another network, or lies outside the grid.
        """
        if population.network is not self.network or population not in self.network.recorded:
            raise SimulationError(f"expected a population whose spikes are recorded: {population}")
        self._sources.append((population, amount, self._boxes(population)))

    def acts_on(
        self,
        what: Modulated,
        *,
        gain: float = 1.0,
        baseline: float = 0.0,
        among: Population | None = None,
    ) -> None:
        """Tell ``what`` gain·(c − baseline) from now on; c is the mean ``among`` neurons."""
        boxes = np.arange(self.concentration.size) if among is None else self._boxes(among)
        self._acts.append((what, gain, baseline, boxes))

    def release(self, amount: float, at: ArrayLike | None = None) -> None:
        """Add ``amount`` to the box at ``at`` (µm, shape (axes,)), or to every box: a reward."""
        if at is None:
            self.concentration += amount
            return
        self.concentration.flat[self._numbers(_one(at))] += amount

    def level(self, at: ArrayLike | None = None) -> float:
        """Concentration in the box at ``at`` (µm), or the mean of all."""
        if at is None:
            return float(self.concentration.mean())
        return float(self.concentration.flat[self._numbers(_one(at))[0]])

    def run(
        self, duration: float, *, recorder: Recorder | None = None, progress: Progress = silent
    ) -> Floats:
        """Run network and field for ``duration`` ms more; the mean level after each piece.

        Args:
            duration: rounded to pieces of ``every`` ms.
            recorder: takes what is recorded; kept in the network's memory if None.
            progress: told how far it is.
        """
        if not 0 <= duration < math.inf:
            raise SimulationError(f"expected a duration ≥ 0 ms, found {duration}")
        pieces = round(duration / (self.steps * self.network.step))
        levels: list[float] = []
        for piece in range(pieces):
            for what, gain, baseline, boxes in self._acts:
                what.modulate(gain * (float(self.concentration.flat[boxes].mean()) - baseline))
            seen = _Seen(self.network.memory if recorder is None else recorder)
            self.network.run(self.steps * self.network.step, recorder=seen)
            self._move()
            for population, amount, boxes in self._sources:
                for neurons in seen.neurons.get(population.name, ()):
                    np.add.at(self.concentration.ravel(), boxes[neurons], amount)
            levels.append(self.level())
            progress("simulating", (piece + 1) / pieces)
        return np.array(levels)

    # --- inside ---

    def _move(self) -> None:
        """Spread and clear for as long as a piece lasts."""
        for axis, spread in enumerate(self._spreads):
            moved = np.tensordot(spread, self.concentration, axes=(1, axis))
            self.concentration = np.ascontiguousarray(np.moveaxis(moved, 0, axis))
        self.concentration *= self._clears

    def _boxes(self, population: Population) -> NDArray[np.int64]:
        """The box of each neuron; all in the one box where there is no other."""
        if self.concentration.size == 1:
            return np.zeros(population.size, np.int64)
        if population.positions is None:
            raise SimulationError(f"expected positions of {population}, found none")
        return self._numbers(population.positions)

    def _numbers(self, positions: Floats) -> NDArray[np.int64]:
        """Boxes of ``positions`` (µm), shape (positions,)."""
        shape = self.concentration.shape
        if positions.shape[1] != len(shape):
            raise SimulationError(
                f"expected positions of {len(shape)} axes, found {positions.shape[1]}"
            )
        where = np.floor(positions / self.spacing).astype(np.int64)
        # What lies on the far walls is inside.
        where = np.where(positions == np.array(shape) * self.spacing, where - 1, where)
        if (where < 0).any() or (where >= shape).any():
            raise SimulationError(
                f"expected positions of 0 to {[n * self.spacing for n in shape]} µm, found others"
            )
        found: NDArray[np.int64] = np.ravel_multi_index(tuple(where.T), shape).astype(np.int64)
        return found


class _Seen:
    """A `Recorder` that hands on, and remembers who fired."""

    def __init__(self, to: Recorder) -> None:
        self._to = to
        self.neurons: dict[str, list[NDArray[np.uint32]]] = {}

    def begin(
        self, step: float, populations: dict[str, int], samplings: Sequence[Sampling]
    ) -> None:
        self._to.begin(step, populations, samplings)

    def spikes(
        self, population: str, steps: NDArray[np.uint64], neurons: NDArray[np.uint32]
    ) -> None:
        self.neurons.setdefault(population, []).append(neurons)
        self._to.spikes(population, steps, neurons)

    def states(self, sampling: Sampling, steps: NDArray[np.uint64], values: NDArray[Any]) -> None:
        self._to.states(sampling, steps, values)

    def end(self) -> None:
        self._to.end()


def _one(at: ArrayLike) -> Floats:
    found: Floats = np.atleast_2d(np.asarray(at, np.float64))
    return found


def _spread(boxes: int, much: float) -> Floats:
    """e^(much·L), L the Laplacian of ``boxes`` in a row between walls; shape (boxes, boxes).

    Its modes are cosines, with eigenvalues −4·sin²(πk/2n).
    """
    k, x = np.arange(boxes), np.arange(boxes) + 0.5
    modes = np.cos(np.pi * np.outer(k, x) / boxes)
    modes /= np.linalg.norm(modes, axis=1, keepdims=True)
    found: Floats = (modes.T * np.exp(-4 * much * np.sin(np.pi * k / 2 / boxes) ** 2)) @ modes
    return found
