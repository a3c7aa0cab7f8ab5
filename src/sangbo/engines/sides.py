"""The two sides of a complementary network, computed apart: what the folded form stands for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sangbo.codes import Code
from sangbo.engines.base import Array, Levels
from sangbo.engines.numerics import check_accumulators, integer_product
from sangbo.tallies import Split as Groups


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
        spiking = np.abs(levels) <= self.largest_spiking
        return _both_sides(self.code, spiking, levels, weights, largest)


@dataclass(frozen=True, slots=True)
class GroupSplit:
    """A product that sends whole groups of levels to one side, into one accumulator.

    Attributes:
        code: how a level becomes spikes.
        groups: which levels go together.
        worth: spikes that cost as much as one MAC. A group takes the spiking side iff it has fewer
            than ``worth`` spikes per level.
    """

    code: Code
    groups: Groups
    worth: float

    def __call__(self, levels: Levels, weights: Array, largest: int) -> Levels:
        """Exact Σ_i levels[r, i]·weights[o, i] as int32. (R, K), (O, K) → (R, O)."""
        spiking = np.zeros(levels.shape, np.bool_)
        high, wide = (max(1, size) for size in levels.shape)
        for row in range(0, levels.shape[0], self.groups.rows or high):
            for column in range(0, levels.shape[1], self.groups.channels or wide):
                group = (
                    slice(row, row + (self.groups.rows or high)),
                    slice(column, column + (self.groups.channels or wide)),
                )
                spikes = int(self.code.spikes(levels[group]).sum())
                spiking[group] = spikes < self.worth * levels[group].size
        return _both_sides(self.code, spiking, levels, weights, largest)


def _both_sides(
    code: Code, spiking: NDArray[np.bool_], levels: Levels, weights: Array, largest: int
) -> Levels:
    """The product, with levels in ``spiking`` sent as spikes and the others densely."""
    check_accumulators(levels, largest)
    sent = np.where(spiking, levels, 0)
    sums = integer_product(levels - sent, weights, largest).astype(np.int64)
    planes, worths = code.digits(sent)
    for plane, worth in zip(planes, worths, strict=True):
        sums += worth * integer_product(plane.astype(np.int32), weights, largest)
    total: Levels = sums.astype(np.int32)
    return total
