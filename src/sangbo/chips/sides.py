"""Which side of a chip a group of levels takes: the spiking or the dense one."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from sangbo.chips.chip import Chip
from sangbo.codes import Code
from sangbo.tallies import COLUMN, NONZERO, PAIRS, SENT, TOTAL, Tally

Mask = NDArray[np.bool_]
Energies = NDArray[np.float64]

_DIGITS = 9
"""Digits to which a ratio of two stated energies is taken: 0.3 pJ are exactly three times 0.1 pJ,
whatever their binary fractions are."""


@dataclass(frozen=True, slots=True)
class SidePrices:
    """What one event costs on each side, in pJ.

    Attributes:
        column: where the code's spikes stand in a tally.
        mac: one product on the dense side; None where the chip has no such unit.
        per_target: one spike at one target; None where the chip has no such unit.
        per_spike: one spike sent, whatever its targets.
    """

    column: int
    mac: float | None
    per_target: float | None
    per_spike: float

    @property
    def both(self) -> bool:
        """Whether there is a choice."""
        return self.mac is not None and self.per_target is not None

    @property
    def worth(self) -> float:
        """Spikes that cost their target as much as one MAC; ∞ where there is no choice.

        What costs as much as a MAC takes the dense side: only fewer spikes than this are sent.
        """
        if not self.mac or not self.per_target:
            return inf
        return round(self.mac / self.per_target, _DIGITS)

    def spiking(self, tally: Tally) -> Energies:
        """Energy of each group on the spiking side: spikes at their targets, and spikes sent."""
        pairs, sent = (tally.sums[:, place, self.column] for place in (PAIRS, SENT))
        energies: Energies = pairs * np.float64(self.per_target or 0.0) + sent * self.per_spike
        return energies

    def dense(self, tally: Tally, *, skip_zeros: bool = False) -> Energies:
        """Energy of each group on the dense side, which may skip the products of zero levels."""
        products = tally.sums[:, PAIRS, NONZERO if skip_zeros else TOTAL]
        energies: Energies = products * np.float64(self.mac or 0.0)
        return energies

    def cheaper(self, tally: Tally, *, skip_zeros: bool = False) -> Mask:
        """Whether the spiking side is the cheaper one for each group; at equal price it is not."""
        pairs, sent = (tally.sums[:, place, self.column] for place in (PAIRS, SENT))
        products = tally.sums[:, PAIRS, NONZERO if skip_zeros else TOTAL]
        if not self.both:
            return np.full(len(tally), self.mac is None)
        extra = round(self.per_spike / self.per_target, _DIGITS) if self.per_target else 0.0
        mask: Mask = pairs + sent * extra < products * self.worth
        return mask


def side_prices(chip: Chip, code: Code) -> SidePrices:
    """Prices of both sides of ``chip`` for ``code``; one whose receiver multiplies pays MACs."""
    mac = chip.energy("mac") if chip.dense else None
    per_target = (mac if code.multiplies else chip.energy("accumulate")) if chip.spiking else None
    per_spike = (chip.energy("spike") or 0.0) + (chip.energy("transport") or 0.0)
    return SidePrices(COLUMN[code.name], mac, per_target, per_spike)
