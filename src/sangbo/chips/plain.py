"""Prices plain shapes: dense execution of a list of loop nests, no network and no ledger needed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sangbo.chips.chip import Chip
from sangbo.chips.nests import Nest
from sangbo.chips.search import search
from sangbo.errors import ChipError


@dataclass(frozen=True, slots=True)
class PlainCost:
    """What a list of nests costs in dense execution; energies in pJ.

    Attributes:
        macs: products.
        arithmetic: of them.
        on_chip, external: of memories.
        seconds: that the units need; None where no clock is stated.
    """

    macs: float
    arithmetic: float
    on_chip: float
    external: float
    seconds: float | None

    @property
    def total(self) -> float:
        """All of it."""
        return self.arithmetic + self.on_chip + self.external

    def tops_per_watt(self, energy: float | None = None) -> float:
        """10¹² operations a joule, a product being two; of ``total`` if no ``energy`` is given."""
        return 2 * self.macs / (self.total if energy is None else energy)


def plain_cost(nests: Iterable[Nest], chip: Chip) -> PlainCost:
    """Dense execution of ``nests`` on ``chip``, each by its cheapest mapping.

    Levels stay on the chip between nests as `sangbo.chips.memory` assumes; weights come from
    external memory where there is one.

    Raises:
        ChipError: where the chip has no dense unit or states no memory.
    """
    mac, clock = chip.energy("mac"), chip.limit("clock")
    if mac is None or not chip.stores or chip.memory_included or chip.accounting != "events":
        raise ChipError(f"expected {chip.name} to state a dense unit and its memory")
    rates = {s.name: s for s in chip.stores}
    macs = cycles = on_chip = external = 0.0
    for nest in nests:
        found = search(replace(nest, name=""), chip.stores, chip.array)
        macs += nest.macs
        cycles += found.cycles
        for flow in found.flows:
            store = rates[flow.store]
            spent = flow.read * store.read + flow.written * store.write
            if store.external:
                external += spent
            else:
                on_chip += spent
    seconds = None if clock is None else cycles / clock
    return PlainCost(macs, macs * mac, on_chip, external, seconds)
