"""Placing a network on the cores of a chip."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from sangbo import chips
from sangbo.chips import placement
from sangbo.chips.fit import Breach
from sangbo.chips.placement import Bundle, Group, Placement
from sangbo.dynamics.sources import PoissonSource, RegularSource, SpikeTimes
from sangbo.dynamics.synapses import bounds
from sangbo.errors import SimulationError

if TYPE_CHECKING:
    from sangbo.dynamics.network import Network
    from sangbo.dynamics.population import Population
    from sangbo.dynamics.projection import Projection

MOST_SYNAPSES = 1 << 27
"""Placed one by one; a whole Loihi's."""

COMPARTMENTS = ("loihi", "lif/current_exponential", "lif/delta")
"""Kernels whose equation a compartment of Loihi has (other numbers would be rounded)."""


def place(network: Network, chip: str = "loihi-1") -> Placement:
    """Place ``network`` on ``chip``; sources stay outside.

    Weights that are whole take the bits that they need (one more where signs differ), others all
    that the chip has. Neurons that the chip's compartments cannot be are breaches too.

    Raises:
        ChipError: there is no such chip, or it does not state the limits of a core.
        SimulationError: the network has more than `MOST_SYNAPSES` synapses.
    """
    found = chips.load(chip)
    total = sum(p.size for p in network.projections)
    if total > MOST_SYNAPSES:
        raise SimulationError(f"expected at most {MOST_SYNAPSES} synapses to place, found {total}")
    groups = [Group(p.name, p.size, _external(p)) for p in network.populations]
    widest = int(found.limit("weight_bits") or 8)
    placed = placement.place(groups, [_bundle(p, widest) for p in network.projections], found)
    foreign = [
        Breach(p.name, f"compartments that are {type(p.model).__name__}", p.size, 0)
        for p in network.populations
        if not isinstance(p.model, SpikeTimes)
        and not _external(p)
        and p.model.kernel not in COMPARTMENTS
    ]
    return placed.with_breaches(foreign)


def _external(population: Population) -> bool:
    return isinstance(population.model, SpikeTimes | PoissonSource | RegularSource)


def _bundle(projection: Projection, widest: int) -> Bundle:
    listed = projection.connections()
    delays = np.round(listed["delay"] / projection.network.step)
    return Bundle(
        projection.pre.index,
        projection.post.index,
        listed["source"],
        listed["target"],
        _weight_bits(projection, listed["weight"], widest),
        math.ceil(math.log2(delays.max(initial=1) + 1)) if delays.max(initial=1) > 1 else 0,
    )


def _weight_bits(projection: Projection, weights: np.ndarray, widest: int) -> int:
    low, high = bounds("weight", projection.synapses.weight)
    if weights.size:
        low, high = min(low, float(weights.min())), max(high, float(weights.max()))
    if (weights != np.round(weights)).any():
        return widest
    return max(1, math.ceil(math.log2(max(-low, high) + 1))) + int(low < 0 < high)
