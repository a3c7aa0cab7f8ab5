"""Chemistry of synapses: receptors that bind transmitter, open, and desensitise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sangbo import _dynamics
from sangbo.dynamics.cables.mesh import Place
from sangbo.dynamics.cables.sites import Magnesium, Vesicles, block
from sangbo.dynamics.values import Floats
from sangbo.errors import SimulationError

MOST_STATES = 8


@dataclass(frozen=True, slots=True)
class Reaction:
    """``before`` turns into ``after`` at ``rate``, 1/ms, or 1/(ms·mM) where it ``binds``.

    ``after`` is None where nothing is left. ``keeps``: ``before`` makes ``after`` and stays.
    """

    before: str
    after: str | None
    rate: float
    binds: bool = False
    keeps: bool = False


@dataclass(frozen=True, slots=True)
class Scheme:
    """States of a receptor and reactions among them (Destexhe, Mainen and Sejnowski 1994).

    dp/dt = (A + T·B)·p with T mM of transmitter in the cleft. Each step is exact while T stands: no
    rate is too fast. The share of open channels is o = Σ ``opens``·p, or o^power/(o^power + half)
    where ``power`` is not 0: so many molecules bind to a channel at once.

    Attributes:
        reactions: all of them.
        opens: how open each state is; those left out are closed.
        start: the state in which all receptors are at rest.
    """

    reactions: Sequence[Reaction]
    opens: Mapping[str, float]
    start: str
    power: int = 0
    half: float = 1.0

    def __post_init__(self) -> None:
        for r in self.reactions:
            if not 0 <= r.rate < math.inf:
                raise SimulationError(f"expected rates of 0 or more, found {r}")
            if r.keeps and r.after is None:
                raise SimulationError(f"expected something made, found {r}")
        states = self.states
        if not 1 <= len(states) <= MOST_STATES:
            raise SimulationError(f"expected 1 to {MOST_STATES} states, found {len(states)}")
        for name in (self.start, *self.opens):
            if name not in states:
                raise SimulationError(f"expected a state, one of {states}, found {name!r}")
        if not (0 <= self.power <= 16 and self.half > 0):
            raise SimulationError(f"expected a power of 0 to 16 and half > 0, found {self}")

    @property
    def states(self) -> list[str]:
        """Names, in the order of the reactions."""
        named = [n for r in self.reactions for n in (r.before, r.after) if n is not None]
        return list(dict.fromkeys([self.start, *named]))

    def matrices(self) -> tuple[Floats, Floats]:
        """A (1/ms) and B (1/(ms·mM)), both (states, states)."""
        states = self.states
        free, bound = (np.zeros((len(states), len(states))) for _ in range(2))
        for r in self.reactions:
            matrix, source = bound if r.binds else free, states.index(r.before)
            if not r.keeps:
                matrix[source, source] -= r.rate
            if r.after is not None:
                matrix[states.index(r.after), source] += r.rate
        return free, bound


@dataclass(frozen=True, slots=True, kw_only=True)
class KineticSite:
    """A synapse whose receptors follow a `Scheme`: I = g·open·(V − e), behind magnesium or not.

    A spike of weight w brings w·``transmitter`` mM into the cleft for ``pulse`` ms; what several
    spikes bring adds up, and the receptors saturate. All that arrives at a site shares its cleft.

    Attributes:
        place: where it is.
        scheme: of its receptors.
        g: with all channels open, nS.
        e: mV.
        transmitter: mM of a weight of 1.
        pulse: ms, rounded to steps, one at least.
        magnesium: a block that depends on V, or None.
        vesicles: what lets spikes through, or None.
    """

    place: Place
    scheme: Scheme
    g: float = 1.0
    e: float = 0.0
    transmitter: float = 1.0
    pulse: float = 1.0
    magnesium: Magnesium | None = None
    vesicles: Vesicles | None = None

    def add(self, cells: _dynamics.Cells, node: int, step: float) -> None:
        """Add it to the engine's cell."""
        for name in ("g", "transmitter", "pulse"):
            if not 0 < getattr(self, name) < math.inf:
                raise SimulationError(f"expected {name} > 0, found {getattr(self, name)}")
        free, bound = (m * (step / 2) for m in self.scheme.matrices())
        states = self.scheme.states
        cells.scheme_site(
            node,
            self.e,
            *block(self.magnesium),
            np.array([float(s == self.scheme.start) for s in states]),
            np.array([float(self.scheme.opens.get(s, 0.0)) for s in states]),
            free.ravel(),
            bound.ravel(),
            exponential(free).ravel(),
            self.g,
            self.transmitter,
            max(1, round(self.pulse / step)),
            self.scheme.power,
            self.scheme.half,
        )


def exponential(matrix: Floats) -> Floats:
    """e^matrix by Taylor's series of a small part of it, squared up; shape (n, n)."""
    halvings = max(0, math.ceil(math.log2(max(float(np.abs(matrix).sum(0).max()), 1e-300))) + 4)
    part = matrix / 2.0**halvings
    total = term = np.eye(len(matrix))
    for order in range(1, 15):
        term = term @ part / order
        total = total + term
    for _ in range(halvings):
        total = total @ total
    return total


def _both(a: str, b: str, there: float, back: float, *, binds: bool = False) -> list[Reaction]:
    return [Reaction(a, b, there, binds), Reaction(b, a, back)]


AMPA = Scheme(
    [
        *_both("C0", "C1", 13.0, 0.0059, binds=True),
        *_both("C1", "C2", 13.0, 86.0, binds=True),
        *_both("C1", "D1", 0.9, 0.064),
        *_both("C2", "D2", 0.9, 0.064),
        *_both("C2", "O", 2.7, 0.2),
    ],
    {"O": 1.0},
    "C0",
)
"""Six states: two bindings, two desensitised (after Patneau and Mayer 1991)."""

NMDA = Scheme(
    [
        *_both("C0", "C1", 5.0, 0.0129, binds=True),
        *_both("C1", "C2", 5.0, 0.0129, binds=True),
        *_both("C2", "D", 0.0084, 0.0068),
        *_both("C2", "O", 0.0465, 0.0738),
    ],
    {"O": 1.0},
    "C0",
)
"""Five states (after Lester and Jahr 1992)."""

GABA_A = Scheme(
    [
        *_both("C0", "C1", 20.0, 4.6, binds=True),
        *_both("C1", "C2", 10.0, 9.2, binds=True),
        *_both("C1", "O1", 3.3, 9.8),
        *_both("C2", "O2", 10.6, 0.41),
    ],
    {"O1": 1.0, "O2": 1.0},
    "C0",
)
"""Five states, two of them open (after Busch and Sakmann 1990)."""

GABA_B = Scheme(
    [
        *_both("C", "R", 0.09, 0.0012, binds=True),
        Reaction("R", "G", 0.18, keeps=True),
        Reaction("G", None, 0.034),
    ],
    {"G": 1.0},
    "C",
    power=4,
    half=100.0,
)
"""Receptors R make G-protein (µM), four of which open a potassium channel: it takes a burst."""

AMPA_SIMPLE = Scheme(_both("C", "O", 1.1, 0.19, binds=True), {"O": 1.0}, "C")
NMDA_SIMPLE = Scheme(_both("C", "O", 0.072, 0.0066, binds=True), {"O": 1.0}, "C")
GABA_A_SIMPLE = Scheme(_both("C", "O", 5.0, 0.18, binds=True), {"O": 1.0}, "C")
"""Two states each: dr/dt = α·T·(1 − r) − β·r."""


@dataclass(frozen=True, slots=True)
class _Kind:
    scheme: Scheme
    e: float
    magnesium: Magnesium | None = field(default=None)


_KINDS = {
    "ampa": _Kind(AMPA, 0.0),
    "nmda": _Kind(NMDA, 0.0, Magnesium()),
    "gaba_a": _Kind(GABA_A, -80.0),
    "gaba_b": _Kind(GABA_B, -95.0),
    "ampa_simple": _Kind(AMPA_SIMPLE, 0.0),
    "nmda_simple": _Kind(NMDA_SIMPLE, 0.0, Magnesium()),
    "gaba_a_simple": _Kind(GABA_A_SIMPLE, -80.0),
}


def receptor(
    kind: str, place: Place, *, g: float = 1.0, vesicles: Vesicles | None = None
) -> KineticSite:
    """A synapse of a known kind, with the values of Destexhe, Mainen and Sejnowski (1998).

    ``ampa``, ``nmda`` (behind 1 mM of magnesium), ``gaba_a``, ``gaba_b``, and ``ampa_simple``,
    ``nmda_simple``, ``gaba_a_simple`` of two states; 1 mM of transmitter for 1 ms. ``g``: nS.
    ``vesicles``: what lets spikes through.

    Raises:
        SimulationError: there is no such kind.
    """
    if kind not in _KINDS:
        raise SimulationError(f"expected a kind, one of {', '.join(_KINDS)}, found {kind!r}")
    found = _KINDS[kind]
    return KineticSite(
        place=place,
        scheme=found.scheme,
        g=g,
        e=found.e,
        magnesium=found.magnesium,
        vesicles=vesicles,
    )
