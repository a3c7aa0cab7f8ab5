"""What a run would have cost on chips, from what was counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sangbo import chips
from sangbo.chips.chip import Chip
from sangbo.chips.placement import Placement
from sangbo.errors import SimulationError

if TYPE_CHECKING:
    from sangbo.dynamics.network import Network
    from sangbo.dynamics.run import Run

STEPPED = ("loihi-1", "loihi-1-silicon")


def energy(
    run: Run, names: tuple[str, ...] = STEPPED, *, placement: Placement | None = None
) -> list[dict[str, Any]]:
    """Energy per second of simulated time on each chip, pJ: counted events times stated energies.

    A neuron is active in a step in which something reaches it; as several events may reach one in
    the same step, this is counted too often (an upper bound where rates are high). A plastic
    synapse is changed when a spike crosses it and when its target fires. Without a placement every
    spike stays within one tile and crosses no hop, a lower bound.
    """
    found = []
    for name in names:
        chip = chips.load(name)
        total = sum(_events(run, chip).values())
        if placement is not None:
            east, north, axons = _sent(run, placement)
            total += _transport(run, chip, east, north, axons) - run.spikes * _at(chip, "transport")
        per_second = total / (run.duration / 1000) if run.duration else 0.0
        found.append(
            {
                "chip": name,
                "scheme": "spiking",
                "compute_pj": per_second,
                "memory_pj": 0.0,
                "total_pj": per_second,
                "per": "second",
                "basis": "modelled",
            }
        )
    return found


@dataclass(frozen=True, slots=True)
class StepCost:
    """A mean time step of a run on a placed chip; all modelled.

    Attributes:
        energy_pj: of a step, by what takes it: synaptic operations, updates, spikes, learning,
            transport (with hops).
        time_ns: of a step: the slowest core's updates and operations, and the barrier; None where
            the chip states no times.
        slowest: the core that takes longest.
        hops: of all spikes of a step, in either direction.
    """

    energy_pj: dict[str, float]
    time_ns: float | None
    slowest: int
    hops: float

    @property
    def total_pj(self) -> float:
        """Energy of a step, pJ."""
        return sum(self.energy_pj.values())

    def to_dict(self) -> dict[str, Any]:
        """The cost as JSON values."""
        return {
            "energy_pj": {**self.energy_pj, "total": self.total_pj},
            "time_ns": self.time_ns,
            "slowest_core": self.slowest,
            "hops": self.hops,
            "basis": "modelled",
        }


def step_cost(network: Network, run: Run, placement: Placement) -> StepCost:
    """What a mean step of ``run`` costs where ``placement`` puts ``network``.

    Raises:
        SimulationError: the run took no step.
    """
    steps = round(run.duration / network.step)
    if steps < 1:
        raise SimulationError("expected a run of a step or more, found none")
    chip = placement.chip
    east, north, axons = _sent(run, placement)
    cost = _events(run, chip)
    cost["transport"] = _transport(run, chip, east, north, axons)
    updates, operations = _loads(network, run, placement)
    update, operation = (chip.get("time", k) for k in ("neuron_update", "accumulate"))
    short, long = (chip.get("time", f"barrier_{k}") for k in ("shortest", "longest"))
    busy, time = np.zeros(1), None
    if update and operation and short and long:
        busy = updates * update.value + operations * operation.value
        tiles = (chip.limit("tile_columns") or 1) * (chip.limit("tile_rows") or 1)
        used = -(-placement.cores // int(chip.limit("cores_per_tile") or 1))
        share = min(1.0, (used - 1) / max(1, tiles - 1))
        barrier = short.value + share * (long.value - short.value)
        time = float(busy.max() / steps + barrier)
    return StepCost(
        {key: value / steps for key, value in cost.items()},
        time,
        int(busy.argmax()),
        (east + north) / steps,
    )


def _at(chip: Chip, key: str) -> float:
    return chip.energy(key) or 0.0


def _events(run: Run, chip: Chip) -> dict[str, float]:
    """Energy of a whole run by what takes it, pJ, each spike within one tile."""
    active = min(run.synaptic_events, run.neuron_updates)
    idle = chip.energy("neuron_update_idle")
    idle = _at(chip, "neuron_update") if idle is None else idle
    return {
        "synaptic_operations": run.synaptic_events * _at(chip, "accumulate"),
        "neuron_updates": active * _at(chip, "neuron_update")
        + (run.neuron_updates - active) * idle,
        "spikes": run.spikes * _at(chip, "spike"),
        "learning": run.plastic_updates * _at(chip, "plasticity_update"),
        "transport": run.spikes * _at(chip, "transport"),
    }


def _transport(run: Run, chip: Chip, east: float, north: float, axons: float) -> float:
    """Energy of bringing all spikes to the cores that they go to."""
    return (
        axons * _at(chip, "transport")
        + east * _at(chip, "hop_east_west")
        + north * _at(chip, "hop_north_south")
    )


def _sent(run: Run, placement: Placement) -> tuple[float, float, float]:
    """Hops east or west, hops north or south, and axons crossed by all spikes of a run."""
    sums = np.zeros(3)
    for i, group in enumerate(placement.groups):
        if group.external:
            continue
        fired = _fired(run, group.name, group.neurons)
        each = (placement.hops_east_west[i], placement.hops_north_south[i], placement.axons[i])
        sums += [float(fired @ values) for values in each]
    return float(sums[0]), float(sums[1]), float(sums[2])


def _fired(run: Run, name: str, size: int) -> NDArray[np.float64]:
    """Spikes of each neuron: as recorded, or else all alike."""
    total = run.population_spikes.get(name, 0)
    if name in run.recorded.recorded:
        times, neurons = run.recorded.spike_times(name)
        last = neurons[times > run.start + 1e-9]
        if last.size == total:
            return np.bincount(last, minlength=size).astype(np.float64)
    return np.full(size, total / size)


def _loads(
    network: Network, run: Run, placement: Placement
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Updates and synaptic operations of every core in a run."""
    steps = round(run.duration / network.step)
    updates, operations = np.zeros(placement.cores), np.zeros(placement.cores)
    for core in placement.core:
        updates += steps * np.bincount(core[core >= 0], minlength=placement.cores)
    for projection in network.projections:
        core = placement.core[projection.post.index]
        if core[0] < 0:
            continue
        listed = projection.connections()
        fired = _fired(run, projection.pre.name, projection.pre.size)
        operations += np.bincount(
            core[listed["target"]], fired[listed["source"]], minlength=placement.cores
        )
    return updates, operations
