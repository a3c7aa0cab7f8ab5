"""What a coarser split gives up: its groups' sides known after the fact, and predicted before.

A split by value is the finest: no group of levels is cheaper than each of its levels on the cheaper
side. Three things can be lost on the way to a coarser one, and each is priced apart:

1. the *group*: even the cheaper side of a whole group is dearer than each level on its own;
2. the *zeros*: a dense side multiplies them, a spiking side never sees them. Beside the usual
   dense side stands one that skips zeros, as some chips do;
3. the *prediction*: the side must be chosen before the group is computed. Two rules, both learned
   on another text:

   * a group that lasts for the whole run (channel, layer) keeps the side that was cheaper there;
   * a group that comes and goes (token, tile) is counted as its neurons fire: it takes the spiking
     side iff its mean |n| is at most a bound, one for each neuron layer, where that text cost
     least. A counter of Σ|n| is what hardware can have; for rate code it could be exact.

A split by value needs no prediction: the level says all. Where fan-out differs from row to row
(queries) and a spike costs something beyond its targets, a split by value as priced here decides by
the mean fan-out of a magnitude, and a split by token may then be cheaper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sangbo import codes
from sangbo.chips.chip import Chip
from sangbo.chips.price import Price
from sangbo.chips.pricing import price
from sangbo.chips.sides import Energies, Mask, SidePrices, side_prices
from sangbo.errors import LedgerError, PriceError
from sangbo.ledger import Ledger
from sangbo.tallies import COLUMN, PAIRS, SENT, SPLITS, TOTAL, Split, Tally

FIXED = "the side that was cheaper on another text"
COUNTED = "the mean |n| of the group against a bound learned on another text"


@dataclass(frozen=True, slots=True)
class Prediction:
    """Sides chosen before the groups were computed.

    Attributes:
        rule: how, in words.
        right: share of groups that got their cheaper side.
        right_products: share of products in such groups.
        compute: energy in pJ per sample.
    """

    rule: str
    right: float
    right_products: float
    compute: float


@dataclass(frozen=True, slots=True)
class SplitPrice:
    """One split on one chip, beside a split by value of the same run.

    Attributes:
        price: the complementary scheme with this split, each group on its cheaper side.
        groups: groups per sample. Of a split by value: levels.
        spiking_groups: share of them on the spiking side.
        value_compute: compute of the split by value, in pJ per sample.
        value_total: the same with memory.
        skipping: compute where the dense side skips zeros, in pJ per sample.
        prediction: sides chosen beforehand; None for a split by value, or without another text.
    """

    price: Price
    groups: float
    spiking_groups: float
    value_compute: float
    value_total: float
    skipping: float
    prediction: Prediction | None

    def to_dict(self) -> dict[str, Any]:
        """The split as JSON values; energies per sample in pJ, shares of the split by value."""
        energy, predicted = self.price.energy, self.prediction
        if energy is None:
            raise PriceError(f"expected {self.price.chip} to have both sides")
        return {
            "chip": self.price.chip,
            "code": self.price.code,
            "split": self.price.split,
            "groups": self.groups,
            "spiking_groups": self.spiking_groups,
            "energy_pj": {
                "compute": energy.compute,
                "memory": energy.memory,
                "total": energy.total,
                "compute_zeros_skipped": self.skipping,
                "compute_predicted": None if predicted is None else predicted.compute,
            },
            "relative_to_value": {
                "compute": energy.compute / self.value_compute,
                "total": energy.total / self.value_total,
                "compute_zeros_skipped": self.skipping / self.value_compute,
                "compute_predicted": None
                if predicted is None
                else predicted.compute / self.value_compute,
            },
            "prediction": None
            if predicted is None
            else {
                "rule": predicted.rule,
                "right": predicted.right,
                "right_products": predicted.right_products,
            },
        }


def compare_splits(
    ledger: Ledger,
    chip: Chip,
    splits: Sequence[str] = tuple(SPLITS),
    *,
    code: str = "csd",
    known: Ledger | None = None,
    batch: int = 1,
) -> list[SplitPrice]:
    """Every split of ``splits`` on ``chip``, beside the split by value.

    Args:
        ledger: what a run counted, with the tallies that ``splits`` need.
        chip: where it would run.
        splits: names in `sangbo.tallies.SPLITS`.
        code: spike code.
        known: what a run over another text counted; sides are predicted from it. Nothing is
            predicted without one.
        batch: rows that share one reading of the weights.

    Returns:
        One `SplitPrice` for each; none where the chip lacks a side, so that there is no choice.

    Raises:
        LedgerError: where a ledger lacks tallies, or the two are not of one network.
        PriceError: where ``batch`` is not positive.
        CodeError: where there is no such code.
    """
    prices = side_prices(chip, codes.code(code))
    value = price(ledger, chip, code=code, batch=batch)[-1].energy
    if value is None or not prices.both:
        return []
    return [
        _compared(ledger, known, SPLITS[name], prices, found, value.compute, value.total)
        for name in splits
        for found in price(ledger, chip, code=code, split=name, batch=batch)
        if found.scheme == "complementary"
    ]


def _compared(
    ledger: Ledger,
    known: Ledger | None,
    split: Split,
    prices: SidePrices,
    found: Price,
    value_compute: float,
    value_total: float,
) -> SplitPrice:
    compute = value_compute if found.energy is None else found.energy.compute
    skipped = missed = 0.0
    groups = spiking = right = products = right_products = 0
    before = known.groups(split.name) if known is not None and split.name != "value" else None
    for source, tally in ledger.groups(split.name).items():
        side = prices.cheaper(tally)
        # By value a group is a magnitude: every level of it counts.
        weight = (
            tally.sums[:, SENT, TOTAL] if split.name == "value" else np.ones_like(tally.most[:, 0])
        )
        groups += int(weight.sum())
        spiking += int(weight[side].sum())
        dense, spikes = prices.dense(tally), prices.spiking(tally)
        best = np.where(side, spikes, dense)
        skipping = prices.dense(tally, skip_zeros=True)
        skipped += float((best - np.minimum(spikes, skipping)).sum())
        if before is not None:
            guess = _predict(split, _same(before, source), tally, prices)
            missed += float((np.where(guess, spikes, dense) - best).sum())
            met = tally.sums[:, PAIRS, TOTAL]
            right += int((guess == side).sum())
            products += int(met.sum())
            right_products += int(met[guess == side].sum())
    prediction = None
    if before is not None:
        prediction = Prediction(
            FIXED if split.fixed else COUNTED,
            right / max(1, groups),
            right_products / max(1, products),
            compute + missed / ledger.samples,
        )
    return SplitPrice(
        found,
        groups / ledger.samples,
        spiking / max(1, groups),
        value_compute,
        value_total,
        compute - skipped / ledger.samples,
        prediction,
    )


def _same(before: dict[str, Tally], source: str) -> Tally:
    if source not in before:
        raise LedgerError(f"expected both ledgers to have neurons {source!r}, found one")
    return before[source]


def _predict(split: Split, known: Tally, tally: Tally, prices: SidePrices) -> Mask:
    """Whether each group of ``tally`` is sent as spikes, from what ``known`` taught."""
    if not split.fixed:
        guess: Mask = _mean(tally) <= _bound(known, prices)
        return guess
    if len(known) != len(tally):
        raise LedgerError(f"expected {len(tally)} groups by {split.name}, found {len(known)}")
    return prices.cheaper(known)


def _mean(tally: Tally) -> Energies:
    """Mean |n| of each group."""
    levels = np.maximum(tally.sums[:, SENT, TOTAL], 1)
    mean: Energies = tally.sums[:, SENT, COLUMN["rate"]] / levels
    return mean


def _bound(tally: Tally, prices: SidePrices) -> float:
    """The largest mean |n| to send as spikes for which ``tally`` costs least."""
    mean = _mean(tally)
    order = np.argsort(mean, kind="stable")
    saved = np.cumsum((prices.dense(tally) - prices.spiking(tally))[order])
    # Groups of equal mean take one side, so only the last of them may be the bound.
    ends = np.flatnonzero(np.append(np.diff(mean[order]) > 0, True)) if len(mean) else order
    best = max(ends.tolist(), key=lambda end: float(saved[end]), default=None)
    if best is None or saved[best] <= 0:
        return -1.0
    following = mean[order][best + 1] if best + 1 < len(mean) else np.inf
    return float((mean[order][best] + following) / 2)
