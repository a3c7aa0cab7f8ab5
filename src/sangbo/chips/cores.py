"""One core whose units do both, or two cores of the same area: how long a split keeps them busy.

A split leaves each tile (a block of rows × channels of one neuron layer) so many products for the
dense side and so many additions for the spiking one, and their proportion swings from layer to
layer, tile to tile and token to token. Compared are, on the same area of units:

* two *separate* cores, one of multiply-accumulate and one of accumulate units, in a proportion
  that is fixed when the chip is made. Both work on the tiles of a layer at once; a tile is finished
  when both are, as both add into its sums. Sums of ``window`` tiles find room, so that one core may
  be so many tiles ahead of the other, and a layer ends when both are done;
* a *switching* core, all of whose units multiply and accumulate, or accumulate only. It does the
  products of ``window`` tiles, switches, does their additions, and stays in that mode for those of
  the next tiles, so that it switches once for every window.

C-Transformer's HDSC and HMAU are described in words only: this is our interpretation. How many
additions a unit does in a cycle instead of a product is not public. An 8 × 8 multiplier adds up
eight gated rows, which could be those of eight spikes, if eight weights come in; one is the least.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sangbo.errors import PriceError

Work = NDArray[np.int64]
"""(tiles, 2): products and additions of every tile of one layer, in the order of the run."""

MULTIPLY_ACCUMULATE, ACCUMULATE = 282.0 + 137.0, 137.0
"""µm² of a unit at 45 nm: an 8-bit multiplier and a 32-bit adder, or the adder alone (Horowitz,
ISSCC 2014, in the table of Sze et al. 2017, arXiv 1703.09039)."""
SWITCH = 0.1
"""What switching adds to a unit's area; an estimate: multiplexers around the multiplier."""
WINDOW = 4
"""Tiles whose sums find room at once."""
PRODUCTS, ADDITIONS = 0, 1


@dataclass(frozen=True, slots=True)
class Used:
    """How long a run took and how well the units were used.

    Attributes:
        cycles: in all.
        utilisation: share of the area of all units, over these cycles, that did something useful
            in a mode that it has.
        dense, spiking: share of the cycles that units of each kind had work; of a switching core,
            the shares of cycles in each mode.
    """

    cycles: float
    utilisation: float
    dense: float
    spiking: float


@dataclass(frozen=True, slots=True)
class Cores:
    """Units of a stated area.

    Attributes:
        units: switching units of that area; two separate cores get as much.
        additions: what a switching unit adds in a cycle in which it does not multiply.
        switch: cycles that changing the mode takes.
        window: tiles whose sums find room at once.
    """

    units: int
    additions: int = 1
    switch: int = 1
    window: int = WINDOW

    def __post_init__(self) -> None:
        if self.units < 2 or not 1 <= self.additions <= 8 or self.switch < 0 or self.window < 1:
            raise PriceError(
                "expected 2 units or more, 1 to 8 additions a cycle and a window of at least one "
                f"tile, found {self}"
            )

    @property
    def area(self) -> float:
        """µm² of all units at 45 nm."""
        return self.units * MULTIPLY_ACCUMULATE * (1 + SWITCH)

    def split(self, layers: Mapping[str, Work]) -> tuple[float, float]:
        """Units of two separate cores of this `area` that suit ``layers`` best on the whole."""
        products, additions = _totals(layers.values())
        dense = products * MULTIPLY_ACCUMULATE
        share = dense / ((dense + additions * ACCUMULATE) or 1.0)
        # Neither core may be missing: some layer has work for it.
        share = min(max(share, 0.01), 0.99)
        return self.area * share / MULTIPLY_ACCUMULATE, self.area * (1 - share) / ACCUMULATE

    def switching(self, layers: Mapping[str, Work]) -> Used:
        """A run on units that change between the two modes."""
        dense = spiking = switches = 0.0
        products = additions = 0.0
        for work in layers.values():
            starts = np.arange(0, len(work), self.window)
            groups = np.add.reduceat(work, starts, axis=0)
            dense += float(np.ceil(groups[:, PRODUCTS] / self.units).sum())
            spiking += float(np.ceil(groups[:, ADDITIONS] / (self.units * self.additions)).sum())
            switches += float(np.count_nonzero(groups.all(axis=1))) * self.switch
            products += float(work[:, PRODUCTS].sum())
            additions += float(work[:, ADDITIONS].sum())
        cycles = dense + spiking + switches
        useful = products + additions / self.additions
        return Used(
            cycles,
            useful / (self.units * cycles or 1.0),
            dense / (cycles or 1.0),
            spiking / (cycles or 1.0),
        )

    def separate(
        self, layers: Mapping[str, Work], units: tuple[float, float], *, ordered: bool = True
    ) -> Used:
        """A run on two cores of ``units``, tiles `ordered` within their layer, or as they come."""
        cycles = 0.0
        products, additions = _totals(layers.values())
        for work in layers.values():
            need = work / np.array(units)
            cycles += _both(need[balanced(need)] if ordered else need, self.window)
        busy = products / units[0], additions / units[1]
        areas = units[0] * MULTIPLY_ACCUMULATE, units[1] * ACCUMULATE
        useful = sum(b * a for b, a in zip(busy, areas, strict=True))
        return Used(
            cycles,
            useful / (sum(areas) * cycles or 1.0),
            busy[0] / (cycles or 1.0),
            busy[1] / (cycles or 1.0),
        )


def balanced(need: NDArray[np.float64]) -> NDArray[np.intp]:
    """An order of tiles in which neither of two cores gets far ahead of the other.

    Args:
        need: (tiles, 2), time of each tile on each core.

    Returns:
        The tiles in order: those that keep the first core longer while it is not ahead in work,
        those that keep the second longer while it is; the most uneven first.
    """
    uneven = need[:, 0] - need[:, 1]
    waiting = np.argsort(uneven, kind="stable").tolist()
    first, last, ahead, order = 0, len(waiting) - 1, 0.0, []
    while first <= last:
        if ahead > 0:
            place, first = waiting[first], first + 1
        else:
            place, last = waiting[last], last - 1
        ahead += float(uneven[place])
        order.append(place)
    return np.array(order, np.intp)


def _both(need: NDArray[np.float64], window: int) -> float:
    """Time until two cores have done all tiles in order, none begun before there is room for it."""
    ends, done = [0.0, 0.0], [0.0] * len(need)
    for tile, times in enumerate(need.tolist()):
        room = done[tile - window] if tile >= window else 0.0
        for core in (0, 1):
            if times[core]:
                ends[core] = max(ends[core], room) + times[core]
        done[tile] = max(*ends) if all(times) else ends[0] if times[0] else ends[1]
        if tile:
            done[tile] = max(done[tile], done[tile - 1])
    return max(ends)


def _totals(layers: Iterable[Work]) -> tuple[float, float]:
    sums = np.array([work.sum(axis=0) for work in layers], np.float64).reshape(-1, 2).sum(axis=0)
    return float(sums[PRODUCTS]), float(sums[ADDITIONS])


def swing(works: Sequence[Work]) -> dict[str, float]:
    """How the dense share of the work, in area × cycles, is spread over ``works``.

    Returns:
        Its quantiles: least, tenth, median, ninetieth, most.
    """
    sums = np.array([work.sum(axis=0) for work in works], np.float64).reshape(-1, 2)
    dense = sums[:, PRODUCTS] * MULTIPLY_ACCUMULATE
    whole = dense + sums[:, ADDITIONS] * ACCUMULATE
    shares = dense[whole > 0] / whole[whole > 0]
    if not len(shares):
        return {}
    names = {"least": 0.0, "tenth": 0.1, "median": 0.5, "ninetieth": 0.9, "most": 1.0}
    return {name: float(np.quantile(shares, at)) for name, at in names.items()}
