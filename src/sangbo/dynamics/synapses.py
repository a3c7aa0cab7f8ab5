"""Synapses: weights, delays, and how they change."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from sangbo.dynamics.values import Normal, Uniform
from sangbo.errors import SimulationError

Drawn: TypeAlias = "float | ArrayLike | Uniform | Normal"
"""One number for all synapses, one for each that a rule lists, or a distribution to draw from."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Static:
    """Synapses whose weight never changes.

    Attributes:
        weight: in the unit of the target's receptors (pA or nS).
        delay: ms, rounded to steps, one step at least.
        storage: ``compact`` is 4 bytes to a synapse: weights are whole numbers of a unit of the
            projection's, exact where all are multiples of the smallest, otherwise within 1/8000 of
            the greatest (for delays up to 63 steps). ``wide`` is 8 bytes, weights in float32.
    """

    weight: Drawn = 1.0
    delay: Drawn = 1.0
    storage: Literal["compact", "wide"] = "compact"


Synapses: TypeAlias = Static


def longest(delay: Drawn, step: float) -> int:
    """The longest delay in steps; raises `SimulationError` unless all are one step or more."""
    low, high = bounds("delay", delay)
    if not round(low / step) >= 1 and not isinstance(delay, Uniform | Normal):
        raise SimulationError(f"expected delays of {step} ms (one step) or more, found {low}")
    return max(1, round(high / step))


def bounds(name: str, value: Drawn) -> tuple[float, float]:
    """Least and greatest of what ``value`` may be; raises `SimulationError` unless finite."""
    if isinstance(value, Uniform | Normal):
        return value.bounds
    array = np.asarray(value, np.float64)
    if array.size == 0:
        return 1.0, 1.0
    low, high = float(array.min()), float(array.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise SimulationError(f"expected a finite {name}, found {low} to {high}")
    return low, high
