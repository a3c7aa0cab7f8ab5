"""Spends a budget over the neuron layers where it buys most."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sangbo.convert.budget import Budget, Kind
from sangbo.convert.sensitivity import Candidates
from sangbo.convert.sites import Site
from sangbo.errors import ConversionError

_BISECTIONS = 60
_LARGEST_WEIGHT = 1e6
"""Nats that an accumulate may weigh: beyond, only the price counts."""
FRONTIER = tuple(0.0005 * 2.0**i for i in range(9))
"""Nats per token at which `frontier` shows what could have been chosen."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The threshold of one site and what it is predicted to mean per token.

    Attributes:
        site: where.
        threshold: θ.
        divergence: nats.
        price: accumulates (or their worth in MACs).
        spikes: spikes, each counted once per target.
        dense: values that a multiplication carries more cheaply, once per target.
        values: values, once per target.
    """

    site: Site
    threshold: np.float32
    divergence: float
    price: float
    spikes: float
    dense: float
    values: float


@dataclass(frozen=True, slots=True)
class Point:
    """A whole network's choice, by prediction: one point of the frontier.

    Attributes:
        divergence: nats per token that levels cost.
        spikes_per_value: over all synaptic operations.
        dense: share of values on the dense side.
        energy: joules of synaptic operations per token, without memory; None where the chip
            does not price an accumulate.
    """

    divergence: float
    spikes_per_value: float
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
            "spikes_per_value": self.spikes_per_value,
            "dense_fraction": self.dense,
            "energy_pj": None if self.energy is None else self.energy * 1e12,
        }


def point(choices: Sequence[Choice], accumulate: float | None) -> Point:
    """What ``choices`` come to; ``accumulate``: joules of one accumulate."""
    values = max(1.0, sum(c.values for c in choices))
    price = sum(c.price for c in choices)
    return Point(
        sum(c.divergence for c in choices),
        sum(c.spikes for c in choices) / values,
        sum(c.dense for c in choices) / values,
        None if accumulate is None else price * accumulate,
    )


def allocate(
    candidates: Sequence[Candidates], budget: Budget, accumulate: float | None = None
) -> list[Choice]:
    """Choose a threshold per site so that the whole network keeps to ``budget``.

    One frontier serves all three kinds: each site takes the candidate that minimises
    divergence + λ·price (Everett 1963); a larger λ gives fewer spikes and more divergence, and
    bisection finds the λ at which the budget is just kept. A budget of spikes counts spikes as the
    price; the others count a value as its spikes or one MAC, whichever is cheaper. A site without a
    price takes its least divergence.

    Args:
        candidates: of every site.
        budget: what must be kept.
        accumulate: joules of one accumulate, for a budget of energy.

    Raises:
        ConversionError: where no candidates keep to the budget.
    """
    if budget.kind == "energy" and accumulate is None:
        raise ConversionError("expected a chip that prices an accumulate for a budget of energy")
    spent = _spent(budget.kind, accumulate or 0.0)

    def taken(weight: float) -> list[Choice]:
        return _at(candidates, weight, spikes=budget.kind == "spikes")

    if budget.kind == "perplexity":
        return _keep(taken, spent, math.log1p(budget.amount), budget, rising=True)
    return _keep(taken, spent, budget.amount, budget, rising=False)


def frontier(candidates: Sequence[Candidates], accumulate: float | None) -> list[Point]:
    """What could be chosen: predicted divergence against spikes and energy, finest first."""
    points = []
    for divergence in FRONTIER:
        try:
            choices = allocate(candidates, Budget("perplexity", math.expm1(divergence)))
        except ConversionError:  # finer than the finest thresholds: not on the frontier
            continue
        points.append(point(choices, accumulate))
    return points


def _spent(kind: Kind, accumulate: float) -> Callable[[Sequence[Choice]], float]:
    if kind == "perplexity":
        return lambda choices: sum(c.divergence for c in choices)
    if kind == "energy":
        return lambda choices: sum(c.price for c in choices) * accumulate
    return lambda choices: point(choices, None).spikes_per_value


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
        shown = Budget(budget.kind, math.expm1(least) if rising else least)
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


def _at(candidates: Sequence[Candidates], weight: float, *, spikes: bool) -> list[Choice]:
    """The best candidate of each site when a unit of price weighs ``weight`` nats."""
    return [_choice(c, _best(c, c.spikes if spikes else c.price, weight)) for c in candidates]


def _best(candidates: Candidates, price: NDArray[np.float64], weight: float) -> int:
    return int(np.argmin(candidates.divergence + weight * price))


def _choice(c: Candidates, i: int) -> Choice:
    return Choice(
        c.site,
        c.thresholds[i],
        float(c.divergence[i]),
        float(c.price[i]),
        float(c.spikes[i]),
        float(c.dense[i]),
        c.values,
    )
