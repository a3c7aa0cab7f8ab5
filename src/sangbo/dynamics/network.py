"""Networks of spiking neurons: populations, projections, and running them."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sangbo import _dynamics
from sangbo.dynamics.cables.cell import Cable
from sangbo.dynamics.checkpoint import carry_on, restore, save
from sangbo.dynamics.convolution import Convolution
from sangbo.dynamics.loihi_learning import LoihiLearning
from sangbo.dynamics.memory import check_memory
from sangbo.dynamics.model import Model, resolved
from sangbo.dynamics.native import kernel, make
from sangbo.dynamics.recording import Memory, Recorder, Sampling
from sangbo.dynamics.rules import Rule
from sangbo.dynamics.run import Run
from sangbo.dynamics.sources import SpikeTimes
from sangbo.dynamics.stimuli import StepInput, Stimulus
from sangbo.dynamics.synapses import (
    LEARNING,
    RewardSTDP,
    Static,
    Synapses,
    bounds,
    check,
    longest,
)
from sangbo.dynamics.threads import default_threads
from sangbo.errors import SimulationError
from sangbo.progress import Progress, silent

_PIECE = 0.1  # seconds between looks at the clock and at what was recorded


class Population:
    """Neurons of one model.

    Attributes:
        name: unique in its network.
        size: neurons.
        model: their parameters, distributions drawn.
        positions: of shape (size, dimensions), for rules that look at distance; or None.
    """

    def __init__(
        self,
        network: Network,
        index: int,
        name: str,
        size: int,
        model: Model | Cable | SpikeTimes,
        positions: NDArray[np.float64] | None,
    ) -> None:
        self.network, self.index, self.name, self.size = network, index, name, size
        self.model, self.positions = model, positions

    @property
    def receptors(self) -> list[str]:
        """Names of what projections and stimuli may act on."""
        return list(kernel(self.model).receptors)

    @property
    def states(self) -> list[str]:
        """Names of the states that can be sampled."""
        return list(kernel(self.model).states)

    @property
    def integers(self) -> bool:
        """Whether its states and inputs are whole numbers."""
        return kernel(self.model).integers

    def state(self, name: str) -> NDArray[np.float32] | NDArray[np.int32]:
        """State ``name`` of all neurons now, shape (size,)."""
        native = self.network.build()
        state = self._find("state", self.states, name)
        if isinstance(self.model, Cable):
            return native.probe(self.index, state)
        values = native.state(self.index, state)
        return values.view(np.int32) if self.integers else values

    def fire(self, times: ArrayLike, neurons: ArrayLike) -> None:
        """List other spikes of `SpikeTimes` than before: ``neurons[k]`` at ``times[k]`` ms.

        For inputs that depend on what the network did. Times up to now are past, and do nothing.

        Raises:
            SimulationError: the population is another one, or the spikes are not such.
        """
        when, who = np.asarray(times, np.float64), np.asarray(neurons, np.int64)
        if not isinstance(self.model, SpikeTimes) or when.shape != who.shape or when.ndim != 1:
            raise SimulationError(
                f"expected as many times as neurons that are listed, found {when.shape} and "
                f"{who.shape} of {self}"
            )
        if who.size and not (who.min() >= 0 and who.max() < self.size and (when >= 0).all()):
            raise SimulationError(
                f"expected neurons of 0 to {self.size - 1} and times of 0 or later, found "
                f"{who.min()} to {who.max()} from {when.min()} on"
            )
        steps = np.round(when / self.network.step).astype(np.uint64)
        order = np.lexsort((who, steps))
        self.network.build().set_listed(self.index, steps[order], who[order].astype(np.uint32))

    @property
    def spikes(self) -> int:
        """Spikes so far."""
        return self.network.build().spikes(self.index)

    def _find(self, what: str, names: list[str], name: str) -> int:
        if name not in names:
            raise SimulationError(
                f"expected a {what} of {self.name}, one of {', '.join(names) or 'none'}, "
                f"found {name!r}"
            )
        return names.index(name)

    def __repr__(self) -> str:
        return f"Population({self.name!r}, {self.size} × {type(self.model).__name__})"


@dataclass(eq=False)
class Projection:
    """Synapses from one population to another.

    Attributes:
        pre, post: the populations.
        rule: who is connected to whom.
        synapses: weights and delays.
        receptor: what the weights act on.
        kept: of the synapses that were made, those that are not pruned; None where all are there.
    """

    network: Network
    index: int
    pre: Population
    post: Population
    rule: Rule
    synapses: Synapses
    receptor: str
    kept: NDArray[np.bool_] | None = field(default=None, init=False, repr=False)

    @property
    def size(self) -> int:
        """Synapses made."""
        return self.network.build().synapse_count(self.index)

    @property
    def events(self) -> int:
        """Synapses that spikes have crossed so far."""
        return self.network.build().events(self.index)

    def connections(self) -> dict[str, NDArray[Any]]:
        """Every synapse: arrays ``source``, ``target``, ``weight``, ``delay`` (ms), by source.

        Those of `LoihiLearning` have a ``tag`` too, those of `RewardSTDP` their ``eligibility``.
        """
        native = self.network.build()
        native.settle()
        source, target, weight, delay = native.synapses(self.index)
        more: dict[str, NDArray[Any]] = {}
        if isinstance(self.synapses, LoihiLearning):
            more = {"tag": native.tags(self.index)}
        elif isinstance(self.synapses, RewardSTDP):
            more = {"eligibility": native.marks(self.index)}
        return {
            **more,
            "source": source,
            "target": target,
            "weight": weight,
            "delay": delay * self.network.step,
        }

    def modulate(self, level: float) -> None:
        """Let the modulator of `RewardSTDP` be ``level`` from now on, until it is set again.

        Raises:
            SimulationError: the synapses have none, or the level is not finite.
        """
        if not isinstance(self.synapses, RewardSTDP) or not math.isfinite(level):
            raise SimulationError(
                f"expected a finite level for synapses with a modulator, found {level} for "
                f"{type(self.synapses).__name__}"
            )
        self.network.build().level(self.index, level * self.network.step)

    def prune(self, below: float) -> int:
        """Remove the synapses whose weight lies between −``below`` and ``below``; how many.

        They take no more time; their memory comes back with the network's. A checkpoint knows.
        """
        strong = np.abs(self.connections()["weight"]) >= below
        kept = np.ones(self.size, bool) if self.kept is None else self.kept.copy()
        kept[kept] = strong
        self.keep(kept)
        return int(strong.size - strong.sum())

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Remove all synapses but those that ``kept``, shape (made,), names; none comes back.

        Raises:
            SimulationError: it has another shape, or names a synapse that was removed before.
        """
        before = np.ones(self.size, bool) if self.kept is None else self.kept
        if kept.shape != before.shape or (kept & ~before).any():
            raise SimulationError(
                f"expected some of {before.sum()} of {before.size} synapses to keep, found "
                f"{kept.sum()} of {kept.size}"
            )
        self.network.build().keep(self.index, kept[before].view(np.uint8))
        self.kept = kept

    @property
    def made(self) -> int:
        """Synapses there were before any was removed."""
        return self.size if self.kept is None else self.kept.size

    def traces(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Traces of `LoihiLearning` at the last end of an epoch.

        Those of the sources, shape (sources, 2): x1 and x2; of the targets, (targets, 3): y1 … y3.
        """
        if not isinstance(self.synapses, LoihiLearning):
            raise SimulationError(f"expected Loihi's learning synapses, found {self.synapses}")
        pre, post = self.network.build().traces(self.index)
        return pre.reshape(-1, 2), post.reshape(-1, 3)


class Network:
    """A network of spiking neurons.

    Time advances in steps of ``step`` ms. A spike of a step is sent at its end, and arrives at the
    end of the step that lies ``delay`` later. The same ``seed`` gives the same network and the same
    spikes, whatever the number of threads and the instruction set.

    >>> from sangbo import dynamics
    >>> network = dynamics.Network(step=0.1, seed=1)
    >>> cells = network.population(100, dynamics.LIF(i_e=400.0), name="cells")
    >>> _ = network.connect(
    ...     cells, cells, dynamics.FixedInDegree(10), dynamics.Static(weight=5.0, delay=1.5)
    ... )
    >>> network.record(cells)
    >>> run = network.run(100.0)
    >>> times, neurons = run.recorded.spike_times("cells")
    >>> run.spikes == len(times) > 0
    True

    Args:
        step: ms.
        seed: of everything random, 0 to 2⁶⁴ − 1.
        threads: ``SANGBO_THREADS`` or all processors if None.
        isa: instruction set; the fastest if None. Results do not depend on it.
    """

    def __init__(
        self,
        *,
        step: float = 0.1,
        seed: int = 0,
        threads: int | None = None,
        isa: str | None = None,
    ) -> None:
        if not 0 < step < math.inf:
            raise SimulationError(f"expected a step > 0 ms, found {step}")
        if not 0 <= seed < 2**64:
            raise SimulationError(f"expected a seed of 0 to 2⁶⁴ − 1, found {seed}")
        self.step, self.seed = float(step), int(seed)
        self.threads = default_threads() if threads is None else threads
        if not 1 <= self.threads <= 1024:
            raise SimulationError(f"expected 1 to 1024 threads, found {self.threads}")
        self.populations: list[Population] = []
        self.projections: list[Projection] = []
        self._isa = isa or ""
        self.stimuli: list[tuple[Population, Stimulus]] = []
        self.recorded: list[Population] = []
        self.samplings: list[tuple[Population, Sampling]] = []
        self._native: _dynamics.Network | None = None
        self._memory = Memory()
        self._steps = 0

    # --- describing ---

    def population(
        self,
        size: int | None,
        model: Model | Cable | SpikeTimes,
        *,
        name: str | None = None,
        positions: ArrayLike | None = None,
    ) -> Population:
        """Add ``size`` neurons of ``model``; distributions among its parameters are drawn now.

        ``size`` may be None for `SpikeTimes`, which know it. ``positions`` has shape
        (size, dimensions).

        Raises:
            SimulationError: a parameter has another shape, or the name is taken.
        """
        self._open()
        index = len(self.populations)
        name = f"population{index}" if name is None else name
        if any(p.name == name for p in self.populations):
            raise SimulationError(f"expected a new name of a population, found {name!r} again")
        if isinstance(model, SpikeTimes):
            if size is not None and size != model.neurons:
                raise SimulationError(f"expected {size} lists of times, found {model.neurons}")
            size = model.neurons
        if size is None or not 0 < size < 2**31:
            raise SimulationError(f"expected 1 to 2³¹ − 1 neurons in {name}, found {size}")
        if isinstance(model, Cable):
            model.check(self.step)
        elif not isinstance(model, SpikeTimes):
            chosen: Model = resolved(model, size, np.random.default_rng([self.seed, index]))
            chosen.parameters(self.step)
            model = chosen
        where = None if positions is None else np.asarray(positions, np.float64)
        if where is not None and (where.ndim != 2 or where.shape[0] != size):
            raise SimulationError(f"expected positions ({size}, dimensions), found {where.shape}")
        made = Population(self, index, name, size, model, where)
        self.populations.append(made)
        return made

    def connect(
        self,
        pre: Population,
        post: Population,
        rule: Rule | Convolution,
        synapses: Synapses | None = None,
        *,
        receptor: str = "excitatory",
    ) -> Projection:
        """Add synapses from ``pre`` to ``post``; they are made when the network is built.

        A `Convolution` brings the weights: those of ``synapses`` do not matter.

        Raises:
            SimulationError: ``post`` has no such receptor, the rule does not fit the populations,
                or a delay is shorter than a step.
        """
        self._open()
        self._own(pre)
        self._own(post)
        synapses = Static() if synapses is None else synapses
        if isinstance(rule, Convolution):
            shapes = math.prod(rule.shape), math.prod(rule.output_shape)
            if shapes != (pre.size, post.size):
                raise SimulationError(
                    f"expected {shapes[0]} and {shapes[1]} neurons for {rule.shape} to "
                    f"{rule.output_shape}, found {pre} and {post}"
                )
            rule, weights = rule.pairs()
            synapses = replace(synapses, weight=weights)
        post._find("receptor", post.receptors, receptor)
        rule.expected(pre, post)
        longest(synapses.delay, self.step)
        check(synapses)
        self._integers(post, synapses)
        made = Projection(self, len(self.projections), pre, post, rule, synapses, receptor)
        self.projections.append(made)
        return made

    def stimulate(self, population: Population, stimulus: Stimulus) -> None:
        """Let ``stimulus`` reach every neuron of ``population``."""
        self._open()
        self._own(population)
        population._find("receptor", population.receptors, stimulus.receptor)
        chosen = stimulus.neurons if isinstance(stimulus, StepInput) else None
        if chosen is not None and max(chosen, default=0) >= population.size:
            raise SimulationError(
                f"expected neurons of 0 to {population.size - 1}, found {max(chosen)}"
            )
        self.stimuli.append((population, stimulus))

    def record(
        self,
        population: Population,
        state: str | None = None,
        *,
        neurons: ArrayLike | None = None,
        every: float | None = None,
    ) -> None:
        """Record spikes, or ``state`` of some ``neurons`` (all if None) every so many ms.

        Raises:
            SimulationError: there is no such state or neuron.
        """
        self._open()
        self._own(population)
        if state is None:
            if population not in self.recorded:
                self.recorded.append(population)
            return
        population._find("state", population.states, state)
        chosen = np.arange(population.size) if neurons is None else np.asarray(neurons)
        if chosen.size and (chosen.min() < 0 or chosen.max() >= population.size):
            raise SimulationError(
                f"expected neurons of 0 to {population.size - 1} in {population.name}, found "
                f"{chosen.min()} to {chosen.max()}"
            )
        steps = 1 if every is None else max(1, round(every / self.step))
        sampling = Sampling(population.name, state, chosen.astype(np.uint32), steps)
        self.samplings.append((population, sampling))

    # --- building and running ---

    @property
    def neurons(self) -> int:
        """Neurons in all, sources included."""
        return sum(p.size for p in self.populations)

    @property
    def memory(self) -> Memory:
        """What was recorded where nobody gave another recorder."""
        return self._memory

    @property
    def time(self) -> float:
        """Simulated time so far, ms."""
        return self._steps * self.step

    def build(self) -> _dynamics.Network:
        """Make neurons and synapses, if that was not done yet; nothing can be added after.

        Raises:
            SimulationError: the network does not fit into memory; nothing was allocated then.
        """
        if self._native is None:
            if not self.populations:
                raise SimulationError("expected a population, found none")
            check_memory(self)
            self._native = make(self, self._isa)
        return self._native

    def run(
        self, duration: float, *, recorder: Recorder | None = None, progress: Progress = silent
    ) -> Run:
        """Simulate ``duration`` ms more.

        Args:
            duration: rounded to steps.
            recorder: takes what is recorded; kept in memory if None.
            progress: told how far it is, and the real-time factor.

        Raises:
            SimulationError: a state is no longer finite. What was recorded until then is kept.
        """
        if not 0 <= duration < math.inf:
            raise SimulationError(f"expected a duration ≥ 0 ms, found {duration}")
        native = self.build()
        to: Recorder = self._memory if recorder is None else recorder
        to.begin(self.step, {p.name: p.size for p in self.recorded}, [s for _, s in self.samplings])
        before = self._counts(native)
        steps = round(duration / self.step)
        seconds, done, piece = 0.0, 0, 1
        try:
            self._hand_over(native, to)  # what an earlier run could not
            while done < steps:
                piece = min(piece, steps - done)
                start = time.perf_counter()
                try:
                    native.run(piece)
                finally:
                    took = time.perf_counter() - start
                    self._steps = native.step
                    self._hand_over(native, to)
                seconds, done = seconds + took, done + piece
                factor = seconds * 1000 / (done * self.step)
                progress(f"simulating, real-time factor {factor:.3g}", done / steps)
                piece = max(1, min(2 * piece, math.ceil(piece * _PIECE / max(took, 1e-6))))
        finally:
            to.end()
        return self._summed(self._steps - steps, before, self._counts(native), seconds)

    def save(self, path: str | Path) -> None:
        """Write what the network is in the middle of; see `sangbo.dynamics.checkpoint`."""
        save(self, Path(path))

    def restore(self, path: str | Path) -> None:
        """Go on exactly where a network of the same description was saved."""
        restore(self, Path(path))
        self._steps = self.build().step

    def carry_on(self, earlier: Network) -> None:
        """Go on where ``earlier``, a network of the same populations, is now.

        Populations are the same by name and size, projections by place. Parameters, static weights,
        stimuli and what is recorded may differ, and projections may be added; plastic weights go
        on as they are. Spikes on their way arrive.

        Raises:
            SimulationError: a population is another one, or a projection has other synapses.
        """
        carry_on(self, earlier)
        self._steps = self.build().step

    # --- inside ---

    def _open(self) -> None:
        if self._native is not None:
            raise SimulationError("expected a network that is not built yet, found one that is")

    def _integers(self, post: Population, synapses: Synapses) -> None:
        if not post.integers:
            if isinstance(synapses, LoihiLearning):
                raise SimulationError(f"expected Loihi's neurons behind its synapses, found {post}")
            return
        static = isinstance(synapses, Static) and synapses.storage == "compact"
        if not static and not isinstance(synapses, LoihiLearning):
            raise SimulationError(
                f"expected compact static or Loihi's learning synapses to {post}, found {synapses}"
            )
        low, high = bounds("weight", synapses.weight)
        if low != round(low) or high != round(high):
            raise SimulationError(f"expected whole weights to {post}, found {low} to {high}")

    def _own(self, population: Population) -> None:
        if population.network is not self:
            raise SimulationError(f"expected a population of this network, found {population}")

    def _counts(self, native: _dynamics.Network) -> tuple[list[int], list[int]]:
        return (
            [native.spikes(p.index) for p in self.populations],
            [native.events(p.index) for p in self.projections],
        )

    def _summed(
        self,
        first: int,
        before: tuple[list[int], list[int]],
        after: tuple[list[int], list[int]],
        seconds: float,
    ) -> Run:
        """What happened between two counts; ``first`` is the step at which the run began."""
        spikes, events = (
            [b - a for a, b in zip(*pair, strict=True)] for pair in zip(before, after, strict=True)
        )
        steps = self._steps - first
        learning = [p for p in self.projections if isinstance(p.synapses, LEARNING)]
        return Run(
            duration=steps * self.step,
            seconds=seconds,
            neurons=self.neurons,
            synapses=sum(p.size for p in self.projections),
            spikes=sum(spikes),
            synaptic_events=sum(events),
            neuron_updates=steps * sum(p.size for p in self.populations if p.receptors),
            plastic_updates=sum(
                events[p.index] + round(spikes[p.post.index] * p.size / p.post.size)
                for p in learning
            ),
            population_spikes={p.name: n for p, n in zip(self.populations, spikes, strict=True)},
            start=first * self.step,
            threads=self.threads,
            recorded=self._memory,
        )

    def _hand_over(self, native: _dynamics.Network, to: Recorder) -> None:
        for population in self.recorded:
            steps, neurons = native.take_spikes(population.index)
            if steps.size:
                to.spikes(population.name, steps, neurons)
        seen: dict[int, int] = {}
        for population, sampling in self.samplings:
            which = seen.get(population.index, 0)
            seen[population.index] = which + 1
            steps, values = native.take_samples(population.index, which)
            if steps.size:
                values = values.view(np.int32) if population.integers else values
                to.states(sampling, steps, values.reshape(steps.size, -1))
