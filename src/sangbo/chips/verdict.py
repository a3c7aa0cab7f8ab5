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
        rivals = {"plain dense": _total(dense)}
        rivals |= {f"dense, {b.name}": b.energy.total for b in dense.baselines}
        rival = min(rivals, key=lambda name: rivals[name])
        share = _total(best) / rivals[rival] if rivals[rival] else 1.0
        sides = paid if share < 1 - MARGIN else lost if share > 1 + MARGIN else even
        alternative = next((p for p in spiking if p.scheme == "spiking" and p is not best), None)
        sides.append(_clause(chip, best, dense, rival, share, alternative))
    parts = []
    if paid:
        parts.append(f"spiking paid on {'; on '.join(paid)}")
    if even:
        parts.append(f"it made no difference on {'; on '.join(even)}")
    if lost:
        parts.append(f"it lost on {'; on '.join(lost)}")
    if alone:
        parts.append(f"nothing is compared on {' and '.join(alone)}, which cannot execute both")
    if not parts:
        return "There are no prices to judge."
    if not paid and len(alone) < len(groups):
        parts.insert(0, "do not use spikes here: spiking paid on no chip")
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]} (modelled, memory included)."


def _clause(
    chip: str, best: Price, dense: Price, rival: str, share: float, alternative: Price | None
) -> str:
    """How ``best`` stands on ``chip``, with memory and in compute alone."""
    whole = _total(dense) or 1.0
    compute = _compute(best) / (_compute(dense) or 1.0)
    alone = f", spikes alone {_total(alternative) / whole:.3g} ×" if alternative else ""
    return (
        f"{chip} ({best.scheme} with code {best.code} takes {share:.3g} × the energy of {rival}, "
        f"{_total(best) / whole:.3g} × that of plain dense and {compute:.3g} × in compute "
        f"alone{alone})"
    )


def _total(price: Price) -> float:
    return price.energy.total if price.energy else 0.0


def _compute(price: Price) -> float:
    return price.energy.compute if price.energy else 0.0
