"""The two sides of a complementary network, computed apart: what the folded form stands for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sangbo.codes import Code
from sangbo.engines.base import Array, Levels
from sangbo.engines.numerics import check_accumulators, integer_product


@dataclass(frozen=True, slots=True)
class Split:
    """A product that sends small levels as spikes and large ones densely, into one accumulator.

    The spiking side adds a weight once per spike: for each digit of the code, the weights of the
    inputs that spike are added or subtracted, and the sum counts as much as the digit is worth.

    Attributes:
        code: how a level becomes spikes.
        largest_spiking: levels up to this magnitude take the spiking side; 0 sends all densely.
    """

    code: Code
    largest_spiking: int

    def __call__(self, levels: Levels, weights: Array, largest: int) -> Levels:
        """Exact Σ_i levels[r, i]·weights[o, i] as int32. (R, K), (O, K) → (R, O)."""
        check_accumulators(levels, largest)
        small = np.where(np.abs(levels) <= self.largest_spiking, levels, 0)
        sums = integer_product(levels - small, weights, largest).astype(np.int64)
        planes, worths = self.code.digits(small)
        for plane, worth in zip(planes, worths, strict=True):
            sums += worth * integer_product(plane.astype(np.int32), weights, largest)
        total: Levels = sums.astype(np.int32)
        return total
