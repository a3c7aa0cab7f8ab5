"""Spends a budget over the neuron layers where it buys most."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sangbo.convert.budget import Budget
from sangbo.convert.sensitivity import Candidates
from sangbo.convert.sites import Site
from sangbo.convert.spikes import Counts, SpikesPerValue, left
from sangbo.errors import ConversionError

_BISECTIONS = 60
_LARGEST_WEIGHT = 1e6
"""Nats that an accumulate may weigh: beyond, only the price counts."""
_MULTIPLIERS = (1.0, 2.0, 3.0, 4.0)
"""Spikes at which values may go to a dense side of a given share; few values have more."""
DIVERGENCES = tuple(0.0005 * 2.0**i for i in range(9))
SPIKES = tuple(round(0.8 + 0.1 * i, 1) for i in range(9))
"""Nats per token, and spikes per value, at which `frontier` shows what could have been chosen."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What events cost on a chip.

    Attributes:
        worth: accumulates that a MAC costs; ∞ where the chip has no MAC.
        accumulate: joules of one accumulate; None where the chip states none.
    """

    worth: float
    accumulate: float | None


@dataclass(frozen=True, slots=True)
class Choice:
    """The threshold of one site and what it is predicted to mean per token.

    Attributes:
        site: where.
        threshold: θ.
        divergence: nats.
        sent: values by their spikes, 0, 1, 2 …, each as it is sent.
        received: the same, each once per target.
    """

    site: Site
    threshold: np.float32
    divergence: float
    sent: Counts
    received: Counts


@dataclass(frozen=True, slots=True)
class Point:
    """A whole network's choice, by prediction: one point of the frontier.

    Attributes:
        divergence: nats per token that levels cost.
        spikes: per value, in each way of counting; beside the dense side of a budget that names
            one, else with every value as spikes.
        dense: share of the values on the dense side: the budget's, or what a MAC carries more
            cheaply on the chip (by targets).
        energy: joules of synaptic operations per token, without memory; None where the chip
            does not price an accumulate.
    """

    divergence: float
    spikes: SpikesPerValue
    dense: float
    energy: float | None

    @property
    def perplexity(self) -> float:
        """Relative rise of perplexity that the divergence stands for: e^divergence − 1."""
        return math.expm1(self.divergence)

    def to_dict(self) -> dict[str, Any]:
        """The point as JSON values."""
        return {
            "divergence": self.divergence,
            "perplexity": self.perplexity,
            "spikes_per_value": self.spikes.to_dict(),
            "dense_fraction": self.dense,
            "energy_pj": None if self.energy is None else self.energy * 1e12,
        }


def point(choices: Sequence[Choice], prices: Prices, dense: float = 0.0) -> Point:
    """What ``choices`` come to, on a chip with these ``prices`` and a dense side of that share."""
    received = _total(c.received for c in choices)
    cheaper = np.arange(len(received)) >= prices.worth
    return Point(
        sum(c.divergence for c in choices),
        SpikesPerValue.of(
            _total(c.sent for c in choices if c.site.role == "sent"),
            _total(c.sent for c in choices),
            received,
            dense,
        ),
        dense or float(received[cheaper].sum() / (received.sum() or 1.0)),
        None
        if prices.accumulate is None
        else float(_price(received, prices.worth)) * prices.accumulate,
    )


def allocate(candidates: Sequence[Candidates], budget: Budget, prices: Prices) -> list[Choice]:
    """Choose a threshold per site so that the whole network keeps to ``budget``.

    One frontier serves all three kinds: each site takes the candidate that minimises
    divergence + λ·price (Everett 1963); a larger λ gives fewer spikes and more divergence, and
    bisection finds the λ at which the budget is just kept. A site without a price takes its least
    divergence. The price of a value is

    * for perplexity and energy: its spikes, or one MAC where that is cheaper, for every target;
    * for spikes: its spikes, once. Beside a dense side it is its spikes or μ, whichever is less: μ
      is the multiplier of the dense side's share, and of all whole μ the one that loses least is
      taken. Queries and probabilities, which no such budget counts, cost what their targets do, a
      value that weights read having as many as it has on average.

    Args:
        candidates: of every site.
        budget: what must be kept.
        prices: of the chip.

    Raises:
        ConversionError: where no candidates keep to the budget.
    """
    if budget.kind == "perplexity":
        return _cheapest(candidates, budget, prices.worth, _divergence)
    if budget.kind == "energy":
        if prices.accumulate is None:
            raise ConversionError(
                "expected a chip that prices an accumulate for a budget of energy"
            )
        return _cheapest(
            candidates, budget, prices.worth, lambda choices: point(choices, prices).energy or 0.0
        )

    def spikes(choices: Sequence[Choice]) -> float:
        weights = _total(c.sent for c in choices if c.site.role == "sent")
        return left(weights, budget.dense)

    multipliers = _MULTIPLIERS if budget.dense else (math.inf,)
    found = [_cheapest(candidates, budget, worth, spikes) for worth in multipliers]
    return min(found, key=_divergence)


def attainable(candidates: Sequence[Candidates], budget: Budget) -> Budget:
    """``budget`` of perplexity, or what costs a tenth more than the finest thresholds lose."""
    finest = sum(float(c.divergence.min()) for c in candidates)
    return replace(budget, amount=max(budget.amount, math.expm1(1.1 * finest)))


def wanted(candidates: Sequence[Candidates], budget: Budget) -> list[Candidates]:
    """``candidates``, without those finer than `FINE` where the others can keep to ``budget``.

    A MAC costs the same whatever its level, so that thresholds of dense sites would get as fine as
    they may, for nothing.
    """
    fine = [c.fine() for c in candidates]
    kept = budget.kind != "perplexity" or attainable(fine, budget) == budget
    return fine if kept else [*candidates]


def frontier(candidates: Sequence[Candidates], budget: Budget, prices: Prices) -> list[Point]:
    """What could be chosen in place of ``budget``, finest first.

    Budgets of the same kind: mean spikes per value beside the same dense side, or divergences,
    which are the frontier of energies too.
    """
    if budget.kind == "spikes":
        budgets = [replace(budget, amount=spikes) for spikes in SPIKES]
    else:
        budgets = [Budget("perplexity", math.expm1(divergence)) for divergence in DIVERGENCES]
    points = []
    for other in budgets:
        try:
            choices = allocate(candidates, other, prices)
        except ConversionError:  # finer than the finest thresholds, or coarser than the coarsest
            continue
        points.append(point(choices, prices, budget.dense))
    return points


def _cheapest(
    candidates: Sequence[Candidates],
    budget: Budget,
    worth: float,
    spent: Callable[[Sequence[Choice]], float],
) -> list[Choice]:
    """The choices that just keep ``budget`` where a value costs at most ``worth`` spikes."""
    prices = [_price(c.received, worth) for c in candidates]
    if budget.kind == "spikes":
        targets = _mean_targets(candidates)
        prices = [
            _price(c.sent, worth) if c.site.role == "sent" else price / targets
            for c, price in zip(candidates, prices, strict=True)
        ]

    def taken(weight: float) -> list[Choice]:
        return [
            _choice(c, int(np.argmin(c.divergence + weight * price)))
            for c, price in zip(candidates, prices, strict=True)
        ]

    rising = budget.kind == "perplexity"
    bound = math.log1p(budget.amount) if rising else budget.amount
    return _keep(taken, spent, bound, budget, rising=rising)


def _mean_targets(candidates: Sequence[Candidates]) -> float:
    """Targets of a value that weights read, on average."""
    weights = [c for c in candidates if c.site.role == "sent"]
    values = sum(float(c.sent[0].sum()) for c in weights)
    return sum(float(c.received[0].sum()) for c in weights) / (values or 1.0) or 1.0


def _price(counts: Counts, worth: float) -> Counts:
    """Σ over values of their spikes, or ``worth`` where that is less. (…, spikes + 1) → (…)."""
    price: Counts = counts @ np.minimum(np.arange(counts.shape[-1]), worth)
    return price


def _divergence(choices: Sequence[Choice]) -> float:
    return sum(c.divergence for c in choices)


def _total(counts: Iterable[Counts]) -> Counts:
    total: Counts = np.sum([*counts], axis=0)
    return total


def _keep(
    taken: Callable[[float], list[Choice]],
    spent: Callable[[Sequence[Choice]], float],
    bound: float,
    budget: Budget,
    *,
    rising: bool,
) -> list[Choice]:
    """The choices at the λ where ``spent``, which rises or falls with λ, just keeps the bound."""
    inside = 0.0 if rising else _LARGEST_WEIGHT
    best = taken(inside)
    least = spent(best)
    if least > bound:
        shown = replace(budget, amount=math.expm1(least) if rising else least)
        raise ConversionError(
            f"expected a budget of at least {shown}, the least that these thresholds allow, "
            f"found {budget}"
        )
    low, high = math.log(1e-18), math.log(_LARGEST_WEIGHT)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        choices = taken(math.exp(middle))
        kept = spent(choices) <= bound
        if kept:
            best = choices
        if kept == rising:
            low = middle
        else:
            high = middle
        if high - low < 1e-3:
            break
    return best


def _choice(c: Candidates, i: int) -> Choice:
    return Choice(c.site, c.thresholds[i], float(c.divergence[i]), c.sent[i], c.received[i])
