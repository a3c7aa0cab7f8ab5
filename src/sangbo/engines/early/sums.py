"""Sums that grow digit by digit, and how far the digits still to come can move them.

After the digits of places d and above, a row of levels n has the rest r = n − Σ_{d' ≥ d} 2^d'·c_d'.
A sum Σ_i w_i·n_i then lies within

    B = min(‖w‖₂·‖r‖₂, ‖w‖∞·‖r‖₁, ‖w‖₁·‖r‖∞)

of what has been summed (Hölder). The norms of the weights are constants; those of the rest are
three numbers for a row and a digit, which neurons can send along. Digits of different inputs are
nearly independent, so what is left is about ‖w‖₂·‖r‖₂/√K: a margin of z stops at z such standard
deviations, and is wrong now and then.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sangbo.codes import Code
from sangbo.engines.base import Array, Levels, Real
from sangbo.errors import EngineError

ROUNDING = 1e-4
"""Bound, relative to ‖w‖₂·‖n‖₂, on what float32 sums of up to a thousand terms are off by; those of
more terms add in a tree."""


@dataclass(frozen=True, slots=True)
class Margin:
    """How sure a sum must be before it stops.

    Attributes:
        deviations: z, standard deviations of what is left; None for a proof.
    """

    deviations: float | None = None

    def __post_init__(self) -> None:
        if self.deviations is not None and not (
            math.isfinite(self.deviations) and self.deviations >= 0
        ):
            raise EngineError(
                f"expected a margin of 0 or more standard deviations, found {self.deviations}"
            )

    def reach(self, norms: Norms, rest: Levels, levels: Levels) -> Real:
        """How far sums (rows, outputs) may be from whole ones.

        Args:
            norms: of the weights.
            rest: (rows, inputs) what the digits to come are worth.
            levels: (rows, inputs) the whole levels.
        """
        r = np.abs(rest).astype(np.float64)
        two = np.sqrt((r * r).sum(-1))
        if self.deviations is not None:
            likely: Real = np.multiply.outer(
                two * (self.deviations / math.sqrt(r.shape[-1])), norms.two
            )
            return likely
        n = levels.astype(np.float64)
        slack = np.multiply.outer(ROUNDING * np.sqrt((n * n).sum(-1)), norms.two)
        bound = np.multiply.outer(two, norms.two)
        np.minimum(bound, np.multiply.outer(r.sum(-1), norms.largest), out=bound)
        np.minimum(bound, np.multiply.outer(r.max(-1, initial=0), norms.one), out=bound)
        reach: Real = bound + slack
        return reach


@dataclass(frozen=True, slots=True)
class Norms:
    """‖w‖₁, ‖w‖₂ and ‖w‖∞ of each output's weights, (outputs,)."""

    one: Array
    two: Array
    largest: Array

    @classmethod
    def of(cls, weights: Real) -> Norms:
        """Those of (outputs, inputs)."""
        size = np.abs(weights).astype(np.float64)
        return cls(size.sum(-1), np.sqrt((size * size).sum(-1)), size.max(-1, initial=0))


@dataclass(frozen=True, slots=True)
class Digits:
    """Rows of levels as they come, the highest digits first.

    Attributes:
        levels: (rows, inputs).
        planes: (digits, rows, inputs), −1, 0 or 1.
        worths: (digits,).
    """

    levels: Levels
    planes: Array
    worths: Array

    @classmethod
    def of(cls, levels: Levels, code: Code) -> Digits:
        """The digits of ``levels`` (rows, inputs)."""
        planes, worths = code.digits(levels)
        return cls(levels, planes, worths)

    def stages(self) -> Iterator[tuple[int, Levels, Levels]]:
        """How many digits have come, what they are worth, and what is left, before the last."""
        come = np.zeros_like(self.levels)
        yield 0, come, self.levels
        for number, (plane, worth) in enumerate(zip(self.planes, self.worths, strict=True), 1):
            if number < len(self.planes):
                come = come + (plane.astype(np.int64) * worth).astype(np.int32)
                yield number, come, self.levels - come
