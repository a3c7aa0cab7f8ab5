"""Cells of many compartments, as a model of a population."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np

from sangbo import _dynamics
from sangbo.dynamics.cables.ion import COURSES, Gate, Membrane, Rate, named
from sangbo.dynamics.cables.mesh import Mesh, Place, mesh
from sangbo.dynamics.cables.morphology import KINDS, Morphology
from sangbo.dynamics.cables.sites import Site
from sangbo.dynamics.values import Floats
from sangbo.errors import SimulationError

LONGEST_STEP = 0.1
"""ms; the gates of the sodium channel need steps no longer."""

STIFFEST = 1e6
"""Steps by the shortest time in which neighbours even out, beyond which the middle of a step rings:
what is wrong there falls by e in a quarter as many steps."""

Method: TypeAlias = Literal["crank_nicolson", "implicit_euler"]
_NODE, _CONDUCTANCE, _CURRENT = range(3)


@dataclass(frozen=True, kw_only=True)
class Cable:
    """A neuron of many compartments: the cable equation on a tree, with channels.

    c_m ∂V/∂t = (1/2a·R_a) ∂(a² ∂V/∂x)/∂x − Σ g·Π x^power·(V − E) + I, per surface, with radius a.
    Space is cut at nodes (finite volumes; second order). Time is staggered: gates and synapses half
    a step ahead of V, which is solved implicitly on the whole tree by Hines's elimination (1984),
    in the middle of the step (Crank and Nicolson, second order, NEURON's ``secondorder = 2``) or at
    its end (``implicit_euler``, first order, for what is too stiff). A spike is V crossing
    ``v_spike`` upwards at ``detector``. All cells of a population are alike.

    Its receptors are ``current`` (at the detector), ``current@name`` for each of ``places``, and
    the names of ``synapses``. Its states are ``v`` (at the detector), ``v@name``, ``g@name`` and
    ``i@name`` (nS, pA, outward positive) for each synapse.

    >>> from sangbo import dynamics as d
    >>> shape = d.Morphology([d.sphere("soma", 20), d.cylinder("dend", 300, 2, parent="soma")])
    >>> cell = d.Cable(
    ...     morphology=shape,
    ...     channels={"soma": [d.SquidAxon()], "dend": ["pas"]},
    ...     synapses={"ampa": d.ExponentialSite(place=d.Place("dend", 0.8))},
    ... )
    >>> cell.compartments
    9

    Attributes:
        morphology: the shape.
        channels: of sections by name, of kinds (``soma``, ``axon``, ``basal``, ``apical``,
            ``other``), or of ``all``; what several keys name is added.
        places: named places, to clamp and to record.
        synapses: named.
        axial_resistivity: R_a, Ω·cm.
        capacitance: c_m, µF/cm².
        v: initial potential, mV; gates start settled there.
        v_spike: mV.
        detector: where spikes are seen; the middle of the first section if None.
        longest: compartment, µm; a tenth of the wavelength at 100 Hz if None.
        method: how time is cut.
    """

    morphology: Morphology
    channels: Mapping[str, Sequence[Membrane | str]]
    places: Mapping[str, Place] = field(default_factory=dict)
    synapses: Mapping[str, Site] = field(default_factory=dict)
    axial_resistivity: float = 100.0
    capacitance: float = 1.0
    v: float = -65.0
    v_spike: float = 0.0
    detector: Place | None = None
    longest: float | None = None
    method: Method = "crank_nicolson"

    def __post_init__(self) -> None:
        for name in ("axial_resistivity", "capacitance"):
            if not 0 < getattr(self, name) < math.inf:
                raise SimulationError(f"expected {name} > 0, found {getattr(self, name)}")
        if not (math.isfinite(self.v) and math.isfinite(self.v_spike)):
            raise SimulationError(f"expected finite potentials, found {self.v} and {self.v_spike}")
        if self.method not in ("crank_nicolson", "implicit_euler"):
            raise SimulationError(
                f"expected a method, crank_nicolson or implicit_euler, found {self.method!r}"
            )
        known = {"all", *KINDS, *(s.name for s in self.morphology.sections)}
        for key in self.channels:
            if key not in known:
                raise SimulationError(
                    f"expected channels of all, a kind of section ({', '.join(KINDS)}) or a "
                    f"section, found {key!r}"
                )
        for name, site in self.synapses.items():
            if name == "current" or name.startswith("current@"):
                raise SimulationError(f"expected a synapse of another name, found {name!r}")
            if not isinstance(site, Site):
                raise SimulationError(f"expected a synapse {name}, found {site!r}")
        for place in (*self.places.values(), *(s.place for s in self.synapses.values())):
            self.mesh.node(place)
        _ = self._leaks, self._gated, self._detector  # so that what is wrong is told now

    # --- what a population asks ---

    @property
    def kernel(self) -> str:
        """What a checkpoint must fit."""
        return f"cable/{self.compartments}/{len(self.receptors)}"

    @property
    def receptors(self) -> list[str]:
        """Names of what projections and stimuli may act on."""
        return ["current", *(f"current@{name}" for name in self.places), *self.synapses]

    @property
    def states(self) -> list[str]:
        """Names of the states that can be sampled."""
        seen = [f"{what}@{name}" for name in self.synapses for what in ("g", "i")]
        return ["v", *(f"v@{name}" for name in self.places), *seen]

    # --- what it is made of ---

    @property
    def compartments(self) -> int:
        """Nodes of the mesh."""
        return self.mesh.nodes

    @cached_property
    def mesh(self) -> Mesh:
        """The cell cut into compartments."""
        return mesh(self.morphology, self.longest, self.axial_resistivity, self.capacitance)

    @cached_property
    def areas(self) -> Floats:
        """Membrane of each node, µm², shape (nodes,)."""
        return self._sum(dict.fromkeys(self.mesh.areas, 1.0))

    def check(self, step: float) -> None:
        """Raise `SimulationError` where steps of ``step`` ms are too long."""
        if step > LONGEST_STEP and self._gated:
            raise SimulationError(
                f"expected steps of at most {LONGEST_STEP} ms for channels with gates, found {step}"
            )
        if self.method == "crank_nicolson":
            axial = self._axial
            total = axial.copy()
            np.add.at(total, self.mesh.parents[1:], axial[1:])
            stiff = step * total / self._capacitances
            worst = int(stiff.argmax())
            if stiff[worst] > STIFFEST:
                raise SimulationError(
                    f"expected compartments that even out in no less than {step / STIFFEST:.3g} ms "
                    f"in steps of {step} ms, found {step / stiff[worst]:.3g} ms in "
                    f"{self._section(worst)}: longer compartments, shorter steps, or "
                    "method='implicit_euler'"
                )

    def native(self, step: float) -> _dynamics.Cells:
        """The engine's cell for steps of ``step`` ms."""
        leak, current = self._leaks
        cells = _dynamics.Cells(
            self.mesh.parents,
            self._capacitances,
            self._axial,
            leak,
            current,
            self.v,
            step,
            self.v_spike,
            self._detector,
            self.method == "crank_nicolson",
        )
        for (gates, reversal), conductance in self._gated.items():
            nodes = np.flatnonzero(conductance).astype(np.uint32)
            made = [
                (g.power, _rate(g.forward), _rate(g.backward), g.settled(self.v)) for g in gates
            ]
            cells.channel(nodes, conductance[nodes], reversal, made)
        for node in (self._detector, *map(self.mesh.node, self.places.values())):
            cells.current_site(node)
            cells.probe(_NODE, node)
        for k, site in enumerate(self.synapses.values(), 1 + len(self.places)):
            site.add(cells, self.mesh.node(site.place), step)
            if site.vesicles is not None:
                site.vesicles.add(cells)
            cells.probe(_CONDUCTANCE, k)
            cells.probe(_CURRENT, k)
        return cells

    # --- inside ---

    @cached_property
    def _detector(self) -> int:
        return self.mesh.node(self.detector or Place(self.morphology.sections[0].name))

    @property
    def _capacitances(self) -> Floats:
        return self.capacitance * self.areas * 0.01  # µF/cm² · µm² = 10⁻² pF

    @property
    def _axial(self) -> Floats:
        """To the parents, nS: 10⁵/(Ω·cm · 1/µm)."""
        way = self.mesh.resistance
        return np.divide(1e5 / self.axial_resistivity, way, out=np.zeros_like(way), where=way > 0)

    @cached_property
    def _densities(self) -> dict[tuple[tuple[Gate, ...], float], dict[str, float]]:
        """S/cm² of each section, by gates and reversal potential."""
        found: dict[tuple[tuple[Gate, ...], float], dict[str, float]] = {}
        for key, membranes in self.channels.items():
            parts = [part for membrane in membranes for part in named(membrane).parts()]
            for section in self.morphology.sections:
                if key in ("all", section.kind, section.name):
                    for part in parts:
                        densities = found.setdefault((tuple(part.gates), float(part.e)), {})
                        densities[section.name] = densities.get(section.name, 0.0) + part.g
        return found

    @cached_property
    def _leaks(self) -> tuple[Floats, Floats]:
        """Conductance (nS) and current at 0 mV (pA) of each node."""
        conductance, current = np.zeros(self.mesh.nodes), np.zeros(self.mesh.nodes)
        for (gates, reversal), densities in self._densities.items():
            if not gates:
                g = 10 * self._sum(densities)  # S/cm² · µm² = 10 nS
                conductance += g
                current += g * reversal
        return conductance, current

    @cached_property
    def _gated(self) -> dict[tuple[tuple[Gate, ...], float], Floats]:
        found = {k: 10 * self._sum(d) for k, d in self._densities.items() if k[0]}
        for gates, _ in found:
            for gate in gates:
                gate.settled(self.v)
        return {k: g for k, g in found.items() if g.any()}

    def _sum(self, densities: Mapping[str, float]) -> Floats:
        """Density times membrane, summed at each node."""
        total = np.zeros(self.mesh.nodes)
        for name, density in densities.items():
            numbers, areas = self.mesh.areas[name]
            np.add.at(total, numbers, density * areas)
        return total

    def _section(self, node: int) -> str:
        return next(n for n, (numbers, _) in self.mesh.areas.items() if node in numbers)

    def __repr__(self) -> str:
        return f"Cable({self.morphology}, {self.compartments} compartments)"


def _rate(rate: Rate) -> tuple[int, float, float, float]:
    return COURSES.index(rate.course), rate.amplitude, rate.middle, 1 / rate.width
