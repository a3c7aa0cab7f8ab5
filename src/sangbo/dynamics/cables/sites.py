"""Synapses on cells of many compartments: where spikes arrive, and what they open."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from sangbo import _dynamics
from sangbo.dynamics.cables.mesh import Place
from sangbo.errors import SimulationError


@runtime_checkable
class Site(Protocol):
    """Something at a place of a cell that spikes act on."""

    @property
    def place(self) -> Place:
        """Where it is."""
        ...

    @property
    def vesicles(self) -> Vesicles | None:
        """What lets spikes through, or None: all arrive whole."""
        ...

    def add(self, cells: _dynamics.Cells, node: int, step: float) -> None:
        """Add it to the engine's cell.

        Raises:
            SimulationError: a parameter is impossible.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Magnesium:
    """Block of a channel by magnesium: g/(1 + c/3.57·e^(−0.062·V)) (Jahr and Stevens 1990).

    ``concentration``: c outside, mM.
    """

    concentration: float = 1.0

    @property
    def block(self) -> tuple[float, float]:
        """Share at 0 mV, and 1/mV."""
        if not 0 <= self.concentration < math.inf:
            raise SimulationError(f"expected magnesium of 0 mM or more, found {self}")
        return self.concentration / 3.57, 0.062


@dataclass(frozen=True, slots=True, kw_only=True)
class Vesicles:
    """Release from few vesicles: depletion, facilitation, and chance.

    A spike releases each vesicle that is there with the probability u; an empty place fills with
    1 − e^(−Δ/τ_rec) in Δ ms. u decays with ``tau_facilitation`` and u += U·(1 − u) at a spike, as
    in `TsodyksMarkram`. What arrives is the weight times released/``count``. Without ``quantal``
    numbers are their means: Tsodyks and Markram's synapse. Spikes that reach a site in the same
    step are one.

    Attributes:
        count: places for vesicles, 1 to 32.
        use: U, 0 to 1.
        tau_recovery: ms.
        tau_facilitation: ms; 0: u = U.
        quantal: by chance (`Network`'s seed), or means.
    """

    count: int = 5
    use: float = 0.5
    tau_recovery: float = 800.0
    tau_facilitation: float = 0.0
    quantal: bool = True

    def add(self, cells: _dynamics.Cells) -> None:
        """Give them to the synapse that was added last."""
        if not 1 <= self.count <= 32:
            raise SimulationError(f"expected 1 to 32 vesicles, found {self.count}")
        if not 0 < self.use <= 1 or not 0 <= self.tau_facilitation < math.inf:
            raise SimulationError(
                f"expected use of 0 to 1 and tau_facilitation ≥ 0, found {self.use} and "
                f"{self.tau_facilitation}"
            )
        recovery = positive("tau_recovery", self.tau_recovery)
        cells.vesicles(self.count, self.use, recovery, self.tau_facilitation, self.quantal)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExponentialSite:
    """I = g·(V − e), and g jumps by the weight (nS) and decays: NEURON's ``ExpSyn``.

    ``tau``: ms; ``e``: mV.
    """

    place: Place
    tau: float = 2.0
    e: float = 0.0
    magnesium: Magnesium | None = None
    vesicles: Vesicles | None = None

    def add(self, cells: _dynamics.Cells, node: int, step: float) -> None:
        """Add it to the engine's cell."""
        decay = math.exp(-step / 2 / positive("tau", self.tau))
        cells.conductance_site(node, self.e, [(1.0, decay)], *block(self.magnesium))


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoExponentialSite:
    """I = g·(V − e), g = weight·f·(e^(−t/τ₂) − e^(−t/τ₁)), of peak 1: NEURON's ``Exp2Syn``.

    ``tau_rise`` < ``tau_decay``: ms; ``e``: mV.
    """

    place: Place
    tau_rise: float = 0.5
    tau_decay: float = 2.0
    e: float = 0.0
    magnesium: Magnesium | None = None
    vesicles: Vesicles | None = None

    def add(self, cells: _dynamics.Cells, node: int, step: float) -> None:
        """Add it to the engine's cell."""
        rise, decay = positive("tau_rise", self.tau_rise), positive("tau_decay", self.tau_decay)
        if not rise < decay:
            raise SimulationError(f"expected tau_rise < tau_decay, found {rise} and {decay} ms")
        peak = rise * decay / (decay - rise) * math.log(decay / rise)
        gain = 1 / (math.exp(-peak / decay) - math.exp(-peak / rise))
        courses = [(gain, math.exp(-step / 2 / decay)), (-gain, math.exp(-step / 2 / rise))]
        cells.conductance_site(node, self.e, courses, *block(self.magnesium))


def block(magnesium: Magnesium | None) -> tuple[float, float]:
    """Share at 0 mV and 1/mV of ``magnesium``; zeros without."""
    return (0.0, 0.0) if magnesium is None else magnesium.block


def positive(name: str, value: float) -> float:
    """``value``; raises `SimulationError` unless it is above 0 and finite."""
    if not 0 < value < math.inf:
        raise SimulationError(f"expected {name} > 0 ms, found {value}")
    return value
