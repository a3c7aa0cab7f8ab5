"""Numbers of many neurons or synapses: one for all, one each, or drawn at random."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sangbo import _dynamics
from sangbo.errors import SimulationError

Floats: TypeAlias = NDArray[np.float64]

WIDEST = 6.0
"""Standard deviations at which a normal distribution without bounds is cut, so that the largest
weight is known before any is drawn; it happens once in 5·10⁸ draws."""


@dataclass(frozen=True, slots=True)
class Uniform:
    """Uniform in ``low`` to ``high``."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _finite(self, self.low, self.high)
        if self.low > self.high:
            raise SimulationError(f"expected low ≤ high in {self}")

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest value."""
        return self.low, self.high

    def draw(self, size: int, generator: np.random.Generator) -> Floats:
        """``size`` values, shape (size,)."""
        return generator.uniform(self.low, self.high, size)

    def native(self, scale: float = 1.0) -> _dynamics.Distribution:
        """The same for the engine, in units of ``1/scale``."""
        low, high = self.low * scale, self.high * scale
        return _dynamics.Distribution(1, low, high, low, high)


@dataclass(frozen=True, slots=True)
class Normal:
    """Normal with ``mean`` and ``deviation``; values outside ``low`` to ``high`` are drawn again.

    Without bounds it is cut at `WIDEST` deviations.
    """

    mean: float
    deviation: float
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        _finite(self, self.mean, self.deviation)
        low, high = self.bounds
        if self.deviation < 0 or not low <= high or np.isnan([self.low, self.high]).any():
            raise SimulationError(f"expected deviation ≥ 0 and bounds near the mean in {self}")

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest value."""
        reach = WIDEST * self.deviation
        return max(self.low, self.mean - reach), min(self.high, self.mean + reach)

    def draw(self, size: int, generator: np.random.Generator) -> Floats:
        """``size`` values, shape (size,)."""
        values = generator.normal(self.mean, self.deviation, size)
        low, high = self.bounds
        while (wrong := (values < low) | (values > high)).any():
            values[wrong] = generator.normal(self.mean, self.deviation, int(wrong.sum()))
        return values

    def native(self, scale: float = 1.0) -> _dynamics.Distribution:
        """The same for the engine, in units of ``1/scale``."""
        low, high = self.bounds
        kind = 2 if self.deviation > 0 else 0
        return _dynamics.Distribution(
            kind, self.mean * scale, self.deviation * scale, low * scale, high * scale
        )


Random: TypeAlias = Uniform | Normal
Value: TypeAlias = "float | Floats | Random"
"""One number for all neurons, one for each (shape (neurons,)), or a distribution to draw from."""

Drawn: TypeAlias = "float | ArrayLike | Uniform | Normal"
"""One number for all synapses, one for each that a rule lists, or a distribution to draw from."""


def drawn(
    name: str, value: ArrayLike | Random, size: int, generator: np.random.Generator
) -> Floats:
    """``value`` as float64 of shape () or (size,).

    Raises:
        SimulationError: it is not finite, or has another shape.
    """
    if isinstance(value, Uniform | Normal):
        return value.draw(size, generator)
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise SimulationError(f"expected {name} to be a number, found {value!r}") from None
    if array.shape not in ((), (size,)):
        raise SimulationError(f"expected {name} of shape () or ({size},), found {array.shape}")
    if not np.isfinite(array).all():
        raise SimulationError(
            f"expected {name} to be finite, found {array[~np.isfinite(array)][:1]}"
        )
    return array


def _finite(where: object, *values: float) -> None:
    if not all(map(math.isfinite, values)):
        raise SimulationError(f"expected finite numbers in {where}")
