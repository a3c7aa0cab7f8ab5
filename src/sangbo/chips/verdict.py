"""Did spiking pay? One plain sentence, from prices alone."""

from __future__ import annotations

from collections.abc import Sequence

from sangbo.chips.price import Price

MARGIN = 0.01
"""Savings or losses below this share are more than such energies can tell apart: no difference."""


def verdict(prices: Sequence[Price]) -> str:
    """Whether spiking paid on each chip of ``prices``, by how much with memory, and where it lost.

    The best scheme that spikes is held against the cheapest dense execution of the same network
    (plain, skipping zeros, at fewer bits), memory included. Energies are modelled.
    """
    groups: dict[str, list[Price]] = {}
    for price in prices:
        groups.setdefault(price.chip, []).append(price)
    paid: list[str] = []
    even: list[str] = []
    lost: list[str] = []
    alone: list[str] = []
    for chip, found in groups.items():
        spiking = [p for p in found if p.scheme != "dense" and p.energy is not None]
        dense = next((p for p in found if p.scheme == "dense" and p.energy is not None), None)
        best = min(spiking, key=_total, default=None)
        if best is None or dense is None:
            alone.append(chip)
            continue
        rival = min([_total(dense), *(b.energy.total for b in dense.baselines)])
        share = _total(best) / rival if rival else 1.0
        sides = paid if share < 1 - MARGIN else lost if share > 1 + MARGIN else even
        sides.append(_clause(chip, best, dense, share))
    parts = []
    if paid:
        parts.append(f"spiking paid on {_list(paid)}")
    if even:
        parts.append(f"it made no difference on {_list(even)}")
    if lost:
        parts.append(f"it lost on {_list(lost)}")
    if alone:
        parts.append(f"{_list(alone)} cannot execute both, so nothing is compared there")
    if not parts:
        return "There are no prices to judge."
    if not paid and len(alone) < len(groups):
        parts.insert(0, "do not use spikes here: spiking paid on no chip")
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]} (modelled, memory included)."


def _list(clauses: Sequence[str]) -> str:
    """The clauses as people list things."""
    *most, last = clauses
    return f"{', '.join(most)} and {last}" if most else last


def _clause(chip: str, best: Price, dense: Price, share: float) -> str:
    """How ``best`` stands on ``chip`` against the cheapest dense form, and why."""
    compute = _compute(best) / (_compute(dense) or 1.0)
    memory = 1 - _compute(best) / (_total(best) or 1.0)
    return (
        f"{chip} ({best.scheme} {share:.3g}× the best dense form; {compute:.2f}× in compute alone, "
        f"but memory is {memory:.1%} of the total)"
        if memory > MARGIN
        else f"{chip} ({best.scheme} {share:.3g}× the best dense form)"
    )


def _total(price: Price) -> float:
    return price.energy.total if price.energy else 0.0


def _compute(price: Price) -> float:
    return price.energy.compute if price.energy else 0.0
