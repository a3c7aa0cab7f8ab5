"""Cells cut into compartments: nodes on a tree, each with what is nearest to it."""

from __future__ import annotations

import itertools
import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sangbo.dynamics.cables.morphology import Morphology, Section
from sangbo.dynamics.values import Floats
from sangbo.errors import SimulationError

MOST_NODES = 1_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere on a cell: ``at`` of 0 to 1 along ``section``."""

    section: str
    at: float = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """A cell of nodes: every end and branch is one, so that what acts there acts there exactly.

    A node owns the membrane up to half way to its neighbours. Nodes are numbered by their distance
    from the middle of the tree, parents first, so that branches are solved side by side.

    Attributes:
        parents: of each node but the first; shape (nodes,).
        resistance: ∫ dx/(π·r²) to the parent, 1/µm; shape (nodes,), 0 for the first.
        areas: of each section's membrane at its nodes: numbers of nodes and µm², by section.
        places: of each section: arcs of its nodes (µm), and their numbers.
    """

    parents: NDArray[np.uint32]
    resistance: Floats
    areas: dict[str, tuple[NDArray[np.int64], Floats]]
    places: dict[str, tuple[Floats, NDArray[np.int64]]]

    @property
    def nodes(self) -> int:
        """How many."""
        return self.parents.size

    def node(self, place: Place) -> int:
        """The node nearest to ``place``."""
        if place.section not in self.places:
            names = ", ".join(list(self.places)[:12])
            raise SimulationError(f"expected a section, one of {names}, found {place.section!r}")
        if not 0 <= place.at <= 1:
            raise SimulationError(f"expected a place of 0 to 1, found {place.at}")
        return _nearest(self.places[place.section], place.at)


def _nearest(section: tuple[Floats, NDArray[np.int64]], at: float) -> int:
    """The node nearest to ``at``, 0 to 1 along a section of such `Mesh.places`."""
    arcs, numbers = section
    return int(numbers[np.argmin(np.abs(arcs - at * arcs[-1]))])


def wavelength(
    section: Section, resistivity: float, capacitance: float, frequency: float = 100.0
) -> float:
    """Length over which an alternating potential falls by 1/e, µm: √(d/(4π·f·R_a·c_m)).

    ``resistivity`` in Ω·cm, ``capacitance`` in µF/cm², ``frequency`` in Hz; d is the mean diameter.
    """
    lengths = np.diff(section.arc)
    mean = float((lengths * (section.radius[1:] + section.radius[:-1])).sum() / section.length)
    return 1e5 * math.sqrt(mean / (4 * math.pi * frequency * resistivity * capacitance))


def mesh(
    morphology: Morphology, longest: float | None, resistivity: float, capacitance: float
) -> Mesh:
    """Cut ``morphology`` into compartments of at most ``longest`` µm.

    If None, a tenth of the `wavelength` at 100 Hz. Sections of more than one compartment have an
    even number, so that their middle is a node.

    Raises:
        SimulationError: there would be more than `MOST_NODES`.
    """
    begins: dict[str, list[float]] = {s.name: [] for s in morphology.sections}
    for s in morphology.sections:
        if s.parent is not None:
            begins[s.parent].append(s.at)
    count = 0
    edges: list[tuple[NDArray[np.int64], Floats]] = []  # nodes in a row, resistances between them
    areas: dict[str, tuple[NDArray[np.int64], Floats]] = {}
    places: dict[str, tuple[Floats, NDArray[np.int64]]] = {}
    for s in morphology.sections:
        root = None if s.parent is None else _nearest(places[s.parent], s.at)
        if s.lumped:
            if root is not None:
                raise SimulationError(f"expected a soma of one potential first, found {s.name}")
            arcs, numbers = np.array([0.0, s.length]), np.array([count, count])
            places[s.name] = arcs, numbers
            areas[s.name] = numbers[:1], np.array([float(s.area(s.length))])
            count += 1
            continue
        most = longest
        if most is None:
            most = 0.1 * wavelength(s, resistivity, capacitance)
        arcs = _cuts(s, begins[s.name], most)
        if count + arcs.size > MOST_NODES:
            raise SimulationError(
                f"expected at most {MOST_NODES:,} compartments, found more: {longest} µm are few"
            )
        first = [] if root is None else [root]
        numbers = np.array([*first, *range(count, count + arcs.size - len(first))])
        count += arcs.size - len(first)
        middles = (arcs[1:] + arcs[:-1]) / 2
        bounds = s.area(np.concatenate([arcs[:1], middles, arcs[-1:]]))
        edges.append((numbers, np.diff(s.resistance(arcs))))
        areas[s.name] = numbers, np.diff(bounds)
        places[s.name] = arcs, numbers
    return _numbered(count, edges, areas, places)


def _cuts(section: Section, begins: list[float], longest: float) -> Floats:
    """Arcs of a section's nodes: the ends, where others begin, and evenly between."""
    if not longest > 0:
        raise SimulationError(f"expected compartments longer than 0 µm, found {longest}")
    fixed = np.unique(np.array([0.0, 1.0, *begins])) * section.length
    found = [fixed[:1]]
    for a, b in itertools.pairwise(fixed):
        parts = math.ceil((b - a) / longest - 1e-9)
        if fixed.size == 2 and parts > 1:
            parts += parts % 2
        if parts > MOST_NODES:
            raise SimulationError(
                f"expected at most {MOST_NODES:,} compartments, found {parts:,} in {section.name}"
            )
        found.append(np.linspace(a, b, max(1, parts) + 1)[1:])
    return np.concatenate(found)


def _numbered(
    count: int,
    edges: list[tuple[NDArray[np.int64], Floats]],
    areas: dict[str, tuple[NDArray[np.int64], Floats]],
    places: dict[str, tuple[Floats, NDArray[np.int64]]],
) -> Mesh:
    """Nodes by their distance from the middle of the tree."""
    near: list[list[tuple[int, float]]] = [[] for _ in range(count)]
    for numbers, resistances in edges:
        for a, b, r in zip(numbers[:-1], numbers[1:], resistances, strict=True):
            near[a].append((int(b), float(r)))
            near[b].append((int(a), float(r)))
    order, parent, _ = _breadth(near, 0)
    order, parent, _ = _breadth(near, order[-1])
    middle = order[-1]
    for _ in range(_depth(parent, middle) // 2):
        middle = parent[middle]
    order, parent, resistance = _breadth(near, middle)
    new = np.empty(count, np.int64)
    new[order] = np.arange(count)
    parents = np.array([0 if parent[k] < 0 else new[parent[k]] for k in order], np.uint32)
    return Mesh(
        parents,
        np.array([resistance[k] for k in order]),
        {name: (new[numbers], area) for name, (numbers, area) in areas.items()},
        {name: (arcs, new[numbers]) for name, (arcs, numbers) in places.items()},
    )


def _breadth(
    near: list[list[tuple[int, float]]], root: int
) -> tuple[list[int], list[int], list[float]]:
    """Nodes by distance from ``root``, the parent of each (−1 of the root), the way to it."""
    parent, resistance = [-2] * len(near), [0.0] * len(near)
    parent[root] = -1
    order: list[int] = []
    waiting = deque([root])
    while waiting:
        node = waiting.popleft()
        order.append(node)
        for other, r in near[node]:
            if parent[other] == -2:
                parent[other], resistance[other] = node, r
                waiting.append(other)
    return order, parent, resistance


def _depth(parent: list[int], node: int) -> int:
    depth = 0
    while parent[node] >= 0:
        node, depth = parent[node], depth + 1
    return depth
