"""How arriving weights act on a membrane: currents or conductances, exponential or alpha."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np

from sangbo.dynamics.values import Floats, Value
from sangbo.errors import SimulationError

Parameters: TypeAlias = dict[str, Any]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentExponential:
    """Currents that decay exponentially: τ dI/dt = −I, and I jumps by the weight (pA).

    ``tau_excitatory``, ``tau_inhibitory``: ms.
    """

    kernel: ClassVar[str] = "current_exponential"
    unit: ClassVar[str] = "pA"
    tau_excitatory: Value = 2.0
    tau_inhibitory: Value = 2.0

    def parameters(self, step: float, tau_membrane: Value | None) -> Parameters:
        """What the engine needs; the means are exact where ``tau_membrane`` is given."""
        return _exponential(self.tau_excitatory, self.tau_inhibitory, step, tau_membrane)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentAlpha:
    """Currents with the shape of an alpha function: I(t) = w·(t/τ)·e^(1 − t/τ), w in pA.

    ``tau_excitatory``, ``tau_inhibitory``: ms.
    """

    kernel: ClassVar[str] = "current_alpha"
    unit: ClassVar[str] = "pA"
    tau_excitatory: Value = 2.0
    tau_inhibitory: Value = 2.0

    def parameters(self, step: float, tau_membrane: Value | None) -> Parameters:
        """What the engine needs; the means are exact where ``tau_membrane`` is given."""
        return _alpha(self.tau_excitatory, self.tau_inhibitory, step, tau_membrane)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConductanceExponential:
    """Conductances that decay exponentially: I = g·(E − V), τ dg/dt = −g; weights in nS, ≥ 0.

    ``tau_excitatory``, ``tau_inhibitory``: ms. ``e_excitatory``, ``e_inhibitory``: reversal
    potentials, mV.
    """

    kernel: ClassVar[str] = "conductance_exponential"
    unit: ClassVar[str] = "nS"
    tau_excitatory: Value = 5.0
    tau_inhibitory: Value = 10.0
    e_excitatory: Value = 0.0
    e_inhibitory: Value = -80.0

    def parameters(self, step: float, tau_membrane: Value | None) -> Parameters:
        """What the engine needs."""
        found = _exponential(self.tau_excitatory, self.tau_inhibitory, step, None)
        return {
            **found,
            "reversal_e": number(self.e_excitatory),
            "reversal_i": number(self.e_inhibitory),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ConductanceAlpha:
    """Conductances with the shape of an alpha function: g(t) = w·(t/τ)·e^(1 − t/τ), w in nS, ≥ 0.

    ``tau_excitatory``, ``tau_inhibitory``: ms. ``e_excitatory``, ``e_inhibitory``: reversal
    potentials, mV.
    """

    kernel: ClassVar[str] = "conductance_alpha"
    unit: ClassVar[str] = "nS"
    tau_excitatory: Value = 2.0
    tau_inhibitory: Value = 2.0
    e_excitatory: Value = 0.0
    e_inhibitory: Value = -80.0

    def parameters(self, step: float, tau_membrane: Value | None) -> Parameters:
        """What the engine needs."""
        found = _alpha(self.tau_excitatory, self.tau_inhibitory, step, None)
        return {
            **found,
            "reversal_e": number(self.e_excitatory),
            "reversal_i": number(self.e_inhibitory),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """The membrane jumps by the weight (mV) at the end of the step in which it arrives."""

    kernel: ClassVar[str] = "delta"
    unit: ClassVar[str] = "mV"

    def parameters(self, step: float, tau_membrane: Value | None) -> Parameters:
        """None."""
        return {}


Receptors: TypeAlias = (
    CurrentExponential | CurrentAlpha | ConductanceExponential | ConductanceAlpha | Delta
)


def positive(name: str, value: Value) -> Floats:
    """``value`` as an array; raises `SimulationError` unless all of it is above 0."""
    array = number(value)
    if not (array > 0).all():
        raise SimulationError(f"expected {name} > 0, found {array.min()}")
    return array


def number(value: Value) -> Floats:
    """``value`` as an array."""
    return np.asarray(value, np.float64)


def _mean(course: Callable[[Floats], Floats], step: float, tau: Value | None) -> Floats:
    """Mean of ``course`` over a step, weighted as a membrane with the time constant ``tau`` weighs.

    That is ∫ e^(−(h−s)/τ) f(s) ds / ∫ e^(−(h−s)/τ) ds over 0 … h, so that a constant current of
    this mean leaves the membrane where the true course would (by Gauss and Legendre, to rounding).
    """
    at = (_NODES + 1) * step / 2
    shape = (-1,) + (1,) * 1
    weight = _WEIGHTS.reshape(shape)
    if tau is not None:
        weight = weight * np.exp((at.reshape(shape) - step) / np.atleast_1d(number(tau)))
    values = (weight * course(at.reshape(shape))).sum(0) / weight.sum(0)
    mean: Floats = values[0] if values.size == 1 else values
    return mean


def _decays(
    excitatory: Value, inhibitory: Value, step: float
) -> tuple[Floats, Floats, Floats, Floats]:
    e, i = positive("tau_excitatory", excitatory), positive("tau_inhibitory", inhibitory)
    return e, i, np.exp(-step / e), np.exp(-step / i)


def _exponential(
    excitatory: Value, inhibitory: Value, step: float, tau: Value | None
) -> Parameters:
    e, i, decay_e, decay_i = _decays(excitatory, inhibitory, step)
    return {
        "decay_e": decay_e,
        "decay_i": decay_i,
        "mean_e": _mean(lambda t: np.exp(-t / e), step, tau),
        "mean_i": _mean(lambda t: np.exp(-t / i), step, tau),
    }


def _alpha(excitatory: Value, inhibitory: Value, step: float, tau: Value | None) -> Parameters:
    e, i, decay_e, decay_i = _decays(excitatory, inhibitory, step)
    return {
        "decay_e": decay_e,
        "decay_i": decay_i,
        "feed_e": step * decay_e,
        "feed_i": step * decay_i,
        "rise_e": np.e / e,
        "rise_i": np.e / i,
        "mean_e": _mean(lambda t: np.exp(-t / e), step, tau),
        "mean_i": _mean(lambda t: np.exp(-t / i), step, tau),
        "mean_slope_e": _mean(lambda t: t * np.exp(-t / e), step, tau),
        "mean_slope_i": _mean(lambda t: t * np.exp(-t / i), step, tau),
    }
