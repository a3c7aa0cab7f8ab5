"""What a PyNN simulation is in the middle of, and the network that runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyNN import common

from sangbo import dynamics
from sangbo.errors import SimulationError

if TYPE_CHECKING:
    from sangbo.pynn.electrodes import CurrentSource
    from sangbo.pynn.populations import Population
    from sangbo.pynn.projections import Projection

name = "Sangbo"


class ID(int, common.IDMixin):
    """The number of a neuron, unique in a simulation."""

    def __init__(self, n: int) -> None:
        common.IDMixin.__init__(self)


class State(common.control.BaseState):
    """The simulation: what was described, and the network made of it.

    A network is made when the simulation goes on for the first time, and again where something was
    changed since; the new one carries on where the old one was.
    """

    def __init__(self) -> None:
        common.control.BaseState.__init__(self)
        self.mpi_rank, self.num_processes = 0, 1
        self.dt: float = 0.1
        self.shortest: float | str = "auto"
        self.max_delay: float | str = "auto"
        self.seed, self.threads = 0, None
        self.clear()

    def clear(self) -> None:
        """Forget everything that was described."""
        self.recorders: set[Any] = set()
        self.populations: list[Population] = []
        self.projections: list[Projection] = []
        self.sources: list[CurrentSource] = []
        self.id_counter = 0
        self.segment_counter = -1
        self.network: dynamics.Network | None = None
        self.reset()

    def reset(self) -> None:
        """Go back to time 0."""
        for recorder in self.recorders:
            recorder.forget()
        for source in self.sources:
            source.reset()
        self.running = False
        self.t: float = 0.0
        self.t_start = 0
        self.segment_counter += 1
        self.network, self.dirty = None, True

    @property
    def min_delay(self) -> float:
        """The shortest delay that synapses may have, ms; where nobody said, that they have."""
        if not isinstance(self.shortest, str):
            return self.shortest
        found = [p.numbers["delay"].min() for p in self.projections if len(p)]
        return float(min(found, default=self.dt))

    @property
    def steps(self) -> int:
        """Steps taken."""
        return round(self.t / self.dt)

    def run(self, simtime: float) -> None:
        """Go on for ``simtime`` ms."""
        self.run_until(self.t + simtime)

    def run_until(self, tstop: float) -> None:
        """Go on until ``tstop`` ms."""
        self.running = True
        network = self.built()
        ahead = round(tstop / self.dt) - self.steps
        if ahead <= 0:
            return
        for source in self.sources:
            source.extend(network, tstop)
        for population in self.populations:
            population.extend(network, tstop)
        for recorder in self.recorders:
            recorder.before(network)
        sink = Sink(self)
        network.run(ahead * self.dt, recorder=sink)
        self.t = network.time

    def built(self) -> dynamics.Network:
        """The network as described now."""
        if self.network is not None and not self.dirty:
            return self.network
        network = dynamics.Network(
            step=self.dt, seed=self.seed, threads=self.threads, ranks=dynamics.Alone()
        )
        for population in self.populations:
            population.describe_to(network)
        for projection in self.projections:
            projection.describe_to(network)
        for source in self.sources:
            source.describe_to(network)
        for recorder in self.recorders:
            recorder.describe_to(network)
        earlier, self.network, self.dirty = self.network, network, False
        if earlier is not None:
            network.carry_on(earlier)
        else:
            for population in self.populations:
                population.begin(network)
        for projection in self.projections:
            projection.rebuilt(network)
        return network

    def changed(self) -> None:
        """Something was described anew."""
        self.dirty = True


class Sink:
    """Hands what the network records to the recorders of PyNN's populations."""

    def __init__(self, state: State) -> None:
        self._of = {r.population.native_name: r for r in state.recorders}

    def begin(self, step: float, populations: dict[str, int], samplings: Any) -> None:
        """Nothing to do."""

    def spikes(self, population: str, steps: Any, neurons: Any) -> None:
        """Spikes of one population."""
        self._of[population].add_spikes(steps, neurons)

    def states(self, sampling: Any, steps: Any, values: Any) -> None:
        """Samples of one state."""
        self._of[sampling.population].add_states(sampling.state, sampling.neurons, steps, values)

    def end(self) -> None:
        """Nothing to do."""


state = State()


def network() -> dynamics.Network:
    """The network that runs the simulation, for what PyNN has no words for.

    Raises:
        SimulationError: nothing was described yet.
    """
    if not state.populations:
        raise SimulationError("expected a population, found none")
    return state.built()
