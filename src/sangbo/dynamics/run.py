"""What one run did."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sangbo.chips.placement import Placement
from sangbo.dynamics.energy import energy, step_cost
from sangbo.dynamics.memory import synapse_bytes
from sangbo.dynamics.recording import Memory
from sangbo.dynamics.synapses import LEARNING

if TYPE_CHECKING:
    from sangbo.dynamics.network import Network


@dataclass(frozen=True, slots=True)
class Run:
    """What one run did.

    Attributes:
        duration: simulated time, ms.
        seconds: time it took.
        neurons, synapses: size of the network.
        spikes: by all neurons in this run.
        synaptic_events: synapses crossed by spikes in this run.
        neuron_updates: neurons times steps, sources of spikes left out.
        plastic_updates: changes of plastic synapses: when a spike crosses one, and when its target
            fires.
        population_spikes: spikes in this run by population.
        start: when it began, ms.
        ranks: processes that simulated together.
        waited: seconds of ``seconds`` that this rank waited for spikes of others.
        threads: of each rank.
        recorded: what rank 0 recorded, where nobody gave another recorder.
    """

    duration: float
    seconds: float
    neurons: int
    synapses: int
    spikes: int
    synaptic_events: int
    neuron_updates: int
    plastic_updates: int
    population_spikes: dict[str, int]
    start: float
    ranks: int
    waited: float
    threads: int
    recorded: Memory

    def __add__(self, later: Run) -> Run:
        """Both of two runs of a network, one after the other."""
        spikes = later.population_spikes
        return replace(
            later,
            duration=self.duration + later.duration,
            seconds=self.seconds + later.seconds,
            spikes=self.spikes + later.spikes,
            synaptic_events=self.synaptic_events + later.synaptic_events,
            neuron_updates=self.neuron_updates + later.neuron_updates,
            plastic_updates=self.plastic_updates + later.plastic_updates,
            population_spikes={p: n + spikes[p] for p, n in self.population_spikes.items()},
            start=self.start,
            waited=self.waited + later.waited,
        )

    @property
    def real_time_factor(self) -> float:
        """Time it took by time simulated: below 1 is faster than real time."""
        return self.seconds * 1000 / self.duration if self.duration else math.nan

    @property
    def events_per_second(self) -> float:
        """Synaptic events by time it took."""
        return self.synaptic_events / self.seconds if self.seconds else math.nan


def document(network: Network, run: Run, placement: Placement | None = None) -> dict[str, Any]:
    """What ``sangbo simulate --json`` prints of a run; with a placement, that too."""
    placed = {}
    if placement is not None:
        cost = step_cost(network, run, placement)
        placed = {"placement": {**placement.to_dict(), "step": cost.to_dict()}}
    storage = [(p.size, synapse_bytes(p.synapses.storage)) for p in network.projections]
    plastic = [isinstance(p.synapses, LEARNING) for p in network.projections]
    return {
        "neurons": run.neurons,
        "synapses": run.synapses,
        "spikes": run.spikes,
        "synaptic_events": run.synaptic_events,
        "events_per_second": run.events_per_second,
        "real_time_factor": run.real_time_factor,
        "plastic": any(plastic),
        "bytes_per_synapse": round(sum(n * b for n, b in storage) / max(run.synapses, 1), 2),
        "ranks": run.ranks,
        "waited": run.waited,
        "threads": run.threads,
        "energy": energy(run, placement=placement),
        **placed,
    }
