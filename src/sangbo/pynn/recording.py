"""What PyNN records of a population."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN import recording

from sangbo import dynamics
from sangbo.pynn import simulator
from sangbo.pynn.cells import STATES


class Recorder(recording.Recorder):
    """Keeps what the network hands over, in the order of time."""

    _simulator = simulator

    def __init__(self, population: Any, file: Any = None) -> None:
        self.forget()
        super().__init__(population, file)

    # --- what PyNN asks for ---

    def _record(self, variable: Any, new_ids: Any, sampling_interval: float | None = None) -> None:
        if sampling_interval is not None:
            self.sampling_interval = sampling_interval
        simulator.state.changed()

    def _get_spiketimes(self, ids: Any, clear: bool = False) -> dict[int, NDArray[np.float64]]:
        steps = np.concatenate([s for s, _ in self._spikes] + [np.zeros(0, np.uint64)])
        neurons = np.concatenate([n for _, n in self._spikes] + [np.zeros(0, np.uint32)])
        order = np.argsort(neurons, kind="stable")
        times, neurons = steps[order].astype(np.float64) * simulator.state.dt, neurons[order]
        wanted = [self.population.id_to_index(int(i)) for i in np.atleast_1d(ids)]
        begins, ends = (np.searchsorted(neurons, wanted, side) for side in ("left", "right"))
        pairs = zip(np.atleast_1d(ids), begins, ends, strict=True)
        return {int(i): times[a:b] for i, a, b in pairs}

    def _get_all_signals(
        self, variable: Any, ids: Any, clear: bool = False
    ) -> tuple[NDArray[np.float64], None]:
        wanted = np.array([self.population.id_to_index(int(i)) for i in ids], np.int64)
        rows = []
        for neurons, values in self._samples.get(variable.name, []):
            row = np.full((len(values), self.population.size), np.nan)
            row[:, neurons] = values
            rows.append(row[:, wanted])
        return np.concatenate([*rows, np.zeros((0, len(wanted)))]), None

    def _local_count(self, variable: Any, filter_ids: Any = None) -> dict[int, int]:
        counts = np.bincount(
            np.concatenate([n for _, n in self._spikes] + [np.zeros(0, np.uint32)]).astype(int),
            minlength=self.population.size,
        )
        chosen = self.filter_recorded(variable, filter_ids)
        return {int(i): int(counts[self.population.id_to_index(i)]) for i in chosen}

    def _clear_simulator(self) -> None:
        self.forget()

    def _reset(self) -> None:
        simulator.state.changed()

    # --- what the simulation asks for ---

    def forget(self) -> None:
        """Drop what was recorded."""
        self._spikes: list[tuple[NDArray[np.uint64], NDArray[np.uint32]]] = []
        self._samples: dict[str, list[tuple[NDArray[np.int64], NDArray[np.float64]]]] = {}

    def describe_to(self, network: dynamics.Network) -> None:
        """Ask ``network`` to record."""
        population = network.populations[self.population.position]
        for variable, ids in self.recorded.items():
            if not ids:
                continue
            if variable.name == "spikes":
                network.record(population)
                continue
            for state, _ in STATES[variable.name]:
                if state in population.states:
                    network.record(
                        population, state, neurons=self._indices(ids), every=self.sampling_interval
                    )

    def before(self, network: dynamics.Network) -> None:
        """Take the first sample of every signal that has none yet, before time goes on."""
        for variable, ids in self.recorded.items():
            if variable.name == "spikes" or not ids or self._samples.get(variable.name):
                continue
            chosen = self._indices(ids)
            now = self.population.now(network, variable.name)[chosen]
            self._samples[variable.name] = [(chosen, now[np.newaxis])]

    def add_spikes(self, steps: NDArray[np.uint64], neurons: NDArray[np.uint32]) -> None:
        """Keep spikes of the neurons that are recorded."""
        recorded = np.zeros(self.population.size, bool)
        for variable, ids in self.recorded.items():
            if variable.name == "spikes" and ids:
                recorded[self._indices(ids)] = True
        kept = recorded[neurons]
        self._spikes.append((steps[kept], neurons[kept]))

    def add_states(
        self, state: str, neurons: NDArray[np.uint32], steps: NDArray[np.uint64], values: Any
    ) -> None:
        """Keep samples of a state."""
        for name, parts in STATES.items():
            for part, scale in parts:
                if part == state and name in self._samples:
                    self._samples[name].append(
                        (neurons.astype(np.int64), values.astype(np.float64) * scale)
                    )

    def _indices(self, ids: Any) -> NDArray[np.int64]:
        return np.array(sorted(self.population.id_to_index(int(i)) for i in ids), np.int64)
