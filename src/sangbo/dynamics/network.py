"""Networks of spiking neurons: populations, projections, and running them."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from sangbo import _dynamics
from sangbo.dynamics.cables.cell import Cable
from sangbo.dynamics.checkpoint import carry_on, restore, save
from sangbo.dynamics.convolution import Convolution
from sangbo.dynamics.loihi_learning import LoihiLearning
from sangbo.dynamics.memory import check_memory
from sangbo.dynamics.model import Model, resolved
from sangbo.dynamics.native import make
from sangbo.dynamics.population import Population
from sangbo.dynamics.projection import Projection
from sangbo.dynamics.ranks import Ranks, default_ranks, gathered, totals
from sangbo.dynamics.recording import Memory, Recorder, Sampling
from sangbo.dynamics.rules import Rule
from sangbo.dynamics.run import Run
from sangbo.dynamics.sources import SpikeTimes
from sangbo.dynamics.stimuli import StepInput, Stimulus
from sangbo.dynamics.synapses import (
    LEARNING,
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


class Network:
    """A network of spiking neurons.

    Time advances in steps of ``step`` ms. A spike of a step is sent at its end, and arrives at the
    end of the step that lies ``delay`` later. The same ``seed`` gives the same network and the same
    spikes, whatever the number of ranks and threads and the instruction set.

    Where several ranks simulate it, every one of them describes the same network and calls the same
    methods; rank 0 alone records.

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
        threads: of each rank; ``SANGBO_THREADS`` or all processors if None.
        isa: instruction set; the fastest if None. Results do not depend on it.
        ranks: the processes that simulate it; all that ``mpiexec`` started if None.
    """

    def __init__(
        self,
        *,
        step: float = 0.1,
        seed: int = 0,
        threads: int | None = None,
        isa: str | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        if not 0 < step < math.inf:
            raise SimulationError(f"expected a step > 0 ms, found {step}")
        if not 0 <= seed < 2**64:
            raise SimulationError(f"expected a seed of 0 to 2⁶⁴ − 1, found {seed}")
        self.step, self.seed = float(step), int(seed)
        self.ranks = default_ranks() if ranks is None else ranks
        self.threads = default_threads(self.ranks.local) if threads is None else threads
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
        self._piece = 1  # steps at a time
        self.synapses: list[int] = []

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
            own = [self._native.synapse_count(p.index) for p in self.projections]
            self.synapses = totals(self.ranks, own)
        return self._native

    def run(
        self, duration: float, *, recorder: Recorder | None = None, progress: Progress = silent
    ) -> Run:
        """Simulate ``duration`` ms more.

        Args:
            duration: rounded to steps.
            recorder: takes what is recorded, of rank 0; kept in memory if None.
            progress: told how far it is, and the real-time factor.

        Raises:
            SimulationError: a state is no longer finite, or another rank is gone. What was recorded
                until then is kept.
        """
        if not 0 <= duration < math.inf:
            raise SimulationError(f"expected a duration ≥ 0 ms, found {duration}")
        native = self.build()
        to: Recorder = self._memory if recorder is None or self.ranks.rank > 0 else recorder
        to.begin(self.step, {p.name: p.size for p in self.recorded}, [s for _, s in self.samplings])
        before, waited = self._counts(native), self.ranks.waited
        steps = round(duration / self.step)
        seconds, done = 0.0, 0
        try:
            self._hand_over(native, to)  # what an earlier run could not
            while done < steps:
                said = self.ranks.all_of(np.array([self._piece]))
                piece = min(int(said[0][0]), steps - done)
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
                pace = math.ceil(piece * _PIECE / max(took, 1e-6))
                self._piece = max(1, min(2 * piece, pace))
        finally:
            to.end()
        waited = self.ranks.waited - waited
        return self._summed(self._steps - steps, before, self._counts(native), seconds, waited)

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
            totals(self.ranks, [native.events(p.index) for p in self.projections]),
        )

    def _summed(
        self,
        first: int,
        before: tuple[list[int], list[int]],
        after: tuple[list[int], list[int]],
        seconds: float,
        waited: float,
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
            ranks=self.ranks.size,
            waited=waited,
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
                values = values.reshape(steps.size, -1)
                last = native.own(population.index)[1]
                values = gathered(self.ranks, values, sampling.neurons, last)
                values = values.view(np.int32) if population.integers else values
                to.states(sampling, steps, values)
