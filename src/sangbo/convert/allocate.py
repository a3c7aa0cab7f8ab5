"""Spends a budget of divergence over the neuron layers where it buys the most spikes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sangbo.convert.sensitivity import Candidates
from sangbo.convert.sites import Site
from sangbo.errors import ConversionError

_BISECTIONS = 60


@dataclass(frozen=True, slots=True)
class Choice:
    """The threshold of one site and what it is predicted to cost per token.

    Attributes:
        site: where.
        threshold: θ.
        divergence: nats.
        price: accumulates (or their worth in MACs).
    """

    site: Site
    threshold: np.float32
    divergence: float
    price: float


def allocate(candidates: Sequence[Candidates], budget: float) -> list[Choice]:
    """Choose a threshold per site so that the divergences add up to at most ``budget`` nats.

    Minimises Σ price subject to Σ divergence ≤ budget by its Lagrangian: each site takes the
    candidate that minimises divergence + λ·price, and λ is found by bisection (Everett 1963). A
    site without a price takes its least divergence.

    Raises:
        ConversionError: where even the finest candidates exceed the budget.
    """
    if not budget > 0:
        raise ConversionError(f"expected a budget of divergence above zero, found {budget}")
    low, high = _at(candidates, 0.0), 1.0
    least = _total(candidates, low)
    if least > budget:
        raise ConversionError(
            f"expected a budget of at least {least:.2g} nats per token, the least that these "
            f"thresholds allow, found {budget:.2g}"
        )
    floor, best = 0.0, low
    while _total(candidates, _at(candidates, high)) < budget and high < 1e12:
        high *= 16
    for _ in range(_BISECTIONS):
        middle = (floor * high) ** 0.5 if floor else high * 1e-3
        taken = _at(candidates, middle)
        if _total(candidates, taken) <= budget:
            floor, best = middle, taken
        else:
            high = middle
        if floor and high / floor < 1.001:
            break
    return [
        Choice(c.site, c.thresholds[i], float(c.divergence[i]), float(c.price[i]))
        for c, i in zip(candidates, best, strict=True)
    ]


def _at(candidates: Sequence[Candidates], weight: float) -> NDArray[np.intp]:
    """Index of the best candidate of each site when a unit of price weighs ``weight`` nats."""
    return np.array([np.argmin(c.divergence + weight * c.price) for c in candidates])


def _total(candidates: Sequence[Candidates], taken: NDArray[np.intp]) -> float:
    return float(sum(c.divergence[i] for c, i in zip(candidates, taken, strict=True)))
