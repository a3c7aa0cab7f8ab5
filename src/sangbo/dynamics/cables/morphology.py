"""Shapes of cells: unbranched sections, each of which begins somewhere on another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sangbo.dynamics.values import Floats
from sangbo.errors import SimulationError

KINDS = ("soma", "axon", "basal", "apical", "other")


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """An unbranched piece of a cell: truncated cones one after the other.

    Attributes:
        name: unique in its cell.
        kind: one of `KINDS`.
        arc: distance from where it begins, µm, ascending from 0; shape (points,).
        radius: there, µm, above 0; shape (points,).
        parent: name of the section where it begins, or None.
        at: where on its parent it begins, 0 to 1 of the parent's length.
        lumped: all of it has one potential: a soma.
    """

    name: str
    kind: str
    arc: Floats
    radius: Floats
    parent: str | None = None
    at: float = 1.0
    lumped: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SimulationError(f"expected a kind of section, {KINDS}, found {self.kind!r}")
        if self.arc.ndim != 1 or self.arc.shape != self.radius.shape or self.arc.size < 2:
            raise SimulationError(
                f"expected two points of section {self.name} or more, with a radius each, found "
                f"{self.arc.shape} and {self.radius.shape}"
            )
        if not np.isfinite(self.arc).all() or self.arc[0] != 0 or (np.diff(self.arc) < 0).any():
            raise SimulationError(f"expected ascending points of section {self.name} from 0")
        if not self.length > 0:
            raise SimulationError(f"expected a section {self.name} longer than 0 µm")
        if not np.isfinite(self.radius).all() or not (self.radius > 0).all():
            raise SimulationError(
                f"expected radii > 0 µm in section {self.name}, found {self.radius.min():g}"
            )
        if not 0 <= self.at <= 1:
            raise SimulationError(f"expected {self.name} to begin at 0 to 1, found {self.at}")

    @property
    def length(self) -> float:
        """µm."""
        return float(self.arc[-1])

    def area(self, at: ArrayLike) -> Floats:
        """Surface from where it begins to ``at`` (µm), ends left out; µm².

        That of a truncated cone is π·(r₁ + r₂)·√(l² + (r₁ − r₂)²).
        """
        return self._until(at, lambda d, r, s: np.pi * (r + s) * np.hypot(d, s - r))

    def resistance(self, at: ArrayLike) -> Floats:
        """∫ dx/(π·r²) from where it begins to ``at`` (µm), 1/µm; l/(π·r₁·r₂) of a cone."""
        return self._until(at, lambda d, r, s: d / (np.pi * r * s))

    def _until(self, at: ArrayLike, cone: Callable[[Floats, Floats, Floats], Floats]) -> Floats:
        """Sum over cones up to ``at``; ``cone`` has length and both radii."""
        where = np.asarray(at, np.float64)
        lengths = np.diff(self.arc)
        sums = np.concatenate([[0.0], np.cumsum(cone(lengths, self.radius[:-1], self.radius[1:]))])
        k = np.clip(np.searchsorted(self.arc, where, side="right") - 1, 0, lengths.size - 1)
        part = where - self.arc[k]
        share = np.divide(part, lengths[k], out=np.zeros_like(part), where=lengths[k] > 0)
        near = self.radius[k]
        found: Floats = sums[k] + cone(part, near, near + share * (self.radius[k + 1] - near))
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Morphology:
    """The shape of a cell: a tree of sections, each after its parent.

    >>> Morphology([sphere("soma", 20.0), cylinder("dendrite", 500.0, 2.0, parent="soma")])
    Morphology(2 sections, 4398 µm²)

    Raises:
        SimulationError: a name is taken, a parent does not stand before its child, or more than one
            section has none.
    """

    sections: Sequence[Section]

    def __post_init__(self) -> None:
        known: set[str] = set()
        if not self.sections:
            raise SimulationError("expected a section, found none")
        for k, section in enumerate(self.sections):
            if section.name in known:
                raise SimulationError(f"expected a new name of a section, found {section.name!r}")
            if (section.parent is None) != (k == 0) or section.parent not in {None, *known}:
                raise SimulationError(
                    f"expected the parent of {section.name}, a section before it (none for the "
                    f"first alone), found {section.parent!r}"
                )
            known.add(section.name)

    @property
    def area(self) -> float:
        """Surface, µm²."""
        return sum(float(s.area(s.length)) for s in self.sections)

    def __getitem__(self, name: str) -> Section:
        for section in self.sections:
            if section.name == name:
                return section
        names = ", ".join(s.name for s in self.sections[:12])
        more = ", …" if len(self.sections) > 12 else ""
        raise SimulationError(f"expected a section, one of {names}{more}, found {name!r}")

    def __repr__(self) -> str:
        return f"Morphology({len(self.sections)} sections, {self.area:.0f} µm²)"


def sphere(name: str, diameter: float, kind: str = "soma") -> Section:
    """A soma of one potential: the surface of a sphere, π·d²."""
    d = float(diameter)
    return Section(name, kind, np.array([0.0, d]), np.array([d, d]) / 2, lumped=True)


def cylinder(
    name: str,
    length: float,
    diameter: float,
    *,
    kind: str = "basal",
    parent: str | None = None,
    at: float = 1.0,
) -> Section:
    """A section as thick at its end as where it begins; µm."""
    ends, radius = np.array([0.0, length]), np.array([diameter, diameter]) / 2
    return Section(name, kind, ends, radius, parent, at)
