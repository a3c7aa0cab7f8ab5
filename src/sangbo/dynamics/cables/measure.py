"""What is measured on a cable: when it fires, how fast spikes travel, how far V reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sangbo.dynamics.cables.cell import Cable
from sangbo.dynamics.cables.ion import Membrane, Passive
from sangbo.dynamics.cables.mesh import Place
from sangbo.dynamics.cables.morphology import Morphology
from sangbo.dynamics.network import Network
from sangbo.dynamics.stimuli import StepInput
from sangbo.errors import SimulationError
from sangbo.progress import Progress, silent

_ONSET = 2.0  # ms
_LASTS = 400.0  # ms until a passive cell has settled
_LEAK = Passive(g=1e-4, e=-65.0)
_PASSIVE_STEP = 0.05


@dataclass(frozen=True, slots=True)
class Route:
    """Where spikes are timed: from ``near`` to ``far``, ``length`` µm apart, and at the ``tip``."""

    near: Place
    far: Place
    tip: Place
    length: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What one cell did.

    Attributes:
        spike_times_ms: when V at the soma crosses 0 mV upwards, between steps.
        conduction_velocity_m_per_s: of the first spike along the route; None without one.
        attenuation: steady change of V at the tip by that at the soma, the membrane passive.
        compartments: of the cell.
    """

    spike_times_ms: list[float]
    conduction_velocity_m_per_s: float | None
    attenuation: float
    compartments: int

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def route(morphology: Morphology) -> Route:
    """Along the longest section on the way from the first one to its farthest tip."""
    begins: dict[str, float] = {}
    for s in morphology.sections:
        if s.parent is None:
            begins[s.name] = 0.0
            continue
        parent = morphology[s.parent]
        begins[s.name] = begins[s.parent] + (0.0 if parent.lumped else s.at * parent.length)
    if len(begins) < 2 and morphology.sections[0].lumped:
        raise SimulationError("expected a cell with more than a soma, found no other section")
    far = max(morphology.sections, key=lambda s: begins[s.name] + (0 if s.lumped else s.length))
    way = [far]
    while way[-1].parent is not None:
        way.append(morphology[way[-1].parent])
    longest = max((s for s in way if not s.lumped), key=lambda s: s.length)
    # Inside of it, where its ends do not matter.
    return Route(
        Place(longest.name, 0.25), Place(longest.name, 0.75), Place(far.name, 1.0),
        0.5 * longest.length,
    )  # fmt: skip


def crossings(times: ArrayLike, v: ArrayLike, threshold: float = 0.0) -> list[float]:
    """When ``v`` crosses ``threshold`` upwards, in a straight line between samples."""
    t, x = np.asarray(times, np.float64), np.asarray(v, np.float64)
    k = np.flatnonzero((x[:-1] < threshold) & (x[1:] >= threshold))
    found: list[float] = (
        t[k] + (t[k + 1] - t[k]) * (threshold - x[k]) / (x[k + 1] - x[k])
    ).tolist()
    return found


def measure(
    morphology: Morphology,
    channels: Sequence[Membrane | str],
    along: Route | None = None,
    *,
    current: float = 500.0,
    duration: float = 50.0,
    step: float = 0.01,
    longest: float | None = None,
    resistivity: float = 100.0,
    progress: Progress = silent,
) -> Measured:
    """Inject ``current`` (pA) into the soma from 2 ms on, with ``channels`` all over the cell.

    Args:
        morphology: the cell; its first section is the soma.
        channels: of all of it, when it fires; a leak of 10⁻⁴ S/cm² when attenuation is measured.
        along: where; `route` if None.
        current: pA.
        duration: ms.
        step: ms.
        longest: compartment, µm; see `Cable`.
        resistivity: Ω·cm.
        progress: told how far it is.
    """
    along = route(morphology) if along is None else along
    places = {"near": along.near, "far": along.far, "tip": along.tip}

    def run(inside: Sequence[Membrane | str], much: float, lasts: float, every: float) -> Any:
        cell = Cable(
            morphology=morphology,
            channels={"all": inside},
            places=places,
            longest=longest,
            axial_resistivity=resistivity,
        )
        network = Network(step=every, threads=1)
        cells = network.population(1, cell, name="cell")
        network.stimulate(cells, StepInput(times=[_ONSET], values=[much]))
        for state in ("v", "v@near", "v@far", "v@tip"):
            network.record(cells, state)
        recorded = network.run(lasts, progress=progress).recorded
        return cell, {s: recorded.samples("cell", s) for s in ("v", "v@near", "v@far", "v@tip")}

    cell, seen = run(channels, current, duration, step)
    times = {s: crossings(t, v[:, 0]) for s, (t, v) in seen.items()}
    velocity = None
    if times["v@near"] and times["v@far"]:
        velocity = along.length / (times["v@far"][0] - times["v@near"][0]) / 1000
    _, seen = run([_LEAK], 50.0, _LASTS, _PASSIVE_STEP)
    soma, tip = (float(seen[s][1][-1, 0]) - _LEAK.e for s in ("v", "v@tip"))
    return Measured(times["v"], velocity, tip / soma, cell.compartments)
