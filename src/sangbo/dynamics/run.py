"""What one run did."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sangbo.dynamics.recording import Memory


@dataclass(frozen=True, slots=True)
class Run:
    """What one run did.

    Attributes:
        duration: simulated time, ms.
        seconds: time it took.
        neurons, synapses: size of the network.
        spikes: by all neurons in this run.
        synaptic_events: synapses crossed by spikes in this run.
        neuron_updates: neurons times steps.
        recorded: what was recorded, where nobody gave another recorder.
    """

    duration: float
    seconds: float
    neurons: int
    synapses: int
    spikes: int
    synaptic_events: int
    neuron_updates: int
    threads: int
    recorded: Memory

    @property
    def real_time_factor(self) -> float:
        """Time it took by time simulated: below 1 is faster than real time."""
        return self.seconds * 1000 / self.duration if self.duration else math.nan

    @property
    def events_per_second(self) -> float:
        """Synaptic events by time it took."""
        return self.synaptic_events / self.seconds if self.seconds else math.nan
