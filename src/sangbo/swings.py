"""How a split by value swings over layers, tiles and tokens of a real network, counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sangbo import codes
from sangbo.chips import Chip, side_prices
from sangbo.chips.cores import Cores, Used, Work, swing
from sangbo.codes import Code
from sangbo.engines import Reference
from sangbo.errors import SangboError
from sangbo.ledger import Ledger
from sangbo.network import Network
from sangbo.progress import Progress, silent
from sangbo.tallies import TILE, Counts, Tallies
from sangbo.tasks.language import windows

CONTEXT = 256
"""Tokens of a window."""
ADDITIONS_TRIED = (1, 2, 4, 8)
"""Additions that a switching unit does in a cycle; what is public does not say."""


@dataclass(slots=True)
class Swings(Tallies):
    """Products and additions that a split by value leaves each tile of each neuron layer.

    An engine counts into it as into any tallies; it keeps other sums.

    Attributes:
        code: of the spikes.
        worth: spikes that cost their target as much as one product.
        tile: rows and channels of a tile.
        work: by neuron layer, the tiles of one run after those of another.
    """

    code: Code = field(default_factory=lambda: codes.code("csd"))
    worth: float = 3.0
    tile: tuple[int, int] = TILE
    work: dict[str, list[Work]] = field(default_factory=dict)

    def count(
        self,
        layer: str,
        levels: NDArray[np.integer[Any]],
        fan: Counts,
        seen: NDArray[np.bool_] | None = None,
    ) -> None:
        """Count levels; see `sangbo.tallies.Tallies.count`."""
        if not levels.size:
            return
        spikes = self.code.spikes(np.abs(levels.reshape(len(levels), -1))).astype(np.int64)
        dense = spikes >= self.worth
        targets = np.asarray(fan, np.int64)[:, np.newaxis]
        sides = np.stack([dense * targets, np.where(dense, 0, spikes) * targets], axis=2)
        for axis, size in enumerate(self.tile):
            sides = np.add.reduceat(sides, np.arange(0, sides.shape[axis], size), axis=axis)
        self.work.setdefault(layer, []).append(sides.reshape(-1, 2))


@dataclass(frozen=True, slots=True)
class CoreComparison:
    """One split on one core that switches and on two that do not, of one area.

    Attributes:
        chip: whose prices split the levels.
        code: of the spikes.
        tokens: that were counted.
        swings: quantiles of the dense share of the work over layers and tiles.
        units: of the switching core.
        rows: one for each number of additions: switching; separate with tiles in order and as they
            come, both in the proportion that suits the other text.
    """

    chip: str
    code: str
    tokens: int
    swings: Mapping[str, Mapping[str, float]]
    units: int
    rows: Mapping[int, Mapping[str, Used]]

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON values."""
        return {
            "chip": self.chip,
            "code": self.code,
            "tokens": self.tokens,
            "swings": {name: dict(found) for name, found in self.swings.items()},
            "units": self.units,
            "cores": [
                {
                    "additions_per_cycle": additions,
                    "core": name,
                    "cycles_per_token": used.cycles / self.tokens,
                    "utilisation": used.utilisation,
                    "dense_busy": used.dense,
                    "spiking_busy": used.spiking,
                    "latency_relative": used.cycles / row["separate, ordered"].cycles,
                }
                for additions, row in self.rows.items()
                for name, used in row.items()
            ],
        }


def compare_cores(
    network: Network,
    chip: Chip,
    text: str,
    *,
    tokens: int = 512,
    tile: tuple[int, int] = TILE,
    progress: Progress = silent,
) -> CoreComparison:
    """Count how the split swings over ``text`` and run it on both kinds of cores.

    Args:
        network: a converted language model.
        chip: has both sides and an array of units.
        text: the proportion of the separate cores is fixed by its first half; the second runs.
        tokens: most tokens of both halves; the reference engine counts them, which is slow.
        tile: rows and channels; one row for a token that is written.
        progress: told how far it is.

    Raises:
        SangboError: where the chip lacks a side, or the text is too short.
    """
    code = codes.code(network.code)
    prices = side_prices(chip, code)
    if not prices.both or prices.per_spike:
        raise SangboError(
            f"expected {chip.name} to have both sides, and spikes that cost what their targets do"
        )
    ids = np.asarray(network.text_tokenizer().encode(text), np.int32)[:tokens]
    if len(ids) < 4:
        raise SangboError(f"expected a text of at least 4 tokens, found {len(ids)}")
    engine, halves = Reference(network.graph), []
    for place, half in enumerate((ids[: len(ids) // 2], ids[len(ids) // 2 :])):
        found = Swings((), code=code, worth=prices.worth, tile=tile)
        ledger = Ledger(tallies=found)
        for part in windows(half, min(CONTEXT, network.context)):
            progress("counting tiles", place / 2)
            part.run(engine, ledger=ledger)
        halves.append({name: np.concatenate(runs) for name, runs in found.work.items()})
    known, work = halves
    units = chip.array.units
    rows = {}
    for additions in ADDITIONS_TRIED:
        cores = Cores(units, additions)
        split = cores.split(known)
        rows[additions] = {
            "switching": cores.switching(work),
            "separate, ordered": cores.separate(work, split),
            "separate, as they come": cores.separate(work, split, ordered=False),
        }
    tiles = [tile[np.newaxis] for layer in work.values() for tile in layer]
    swings = {"layers": swing([*work.values()]), "tiles": swing(tiles)}
    return CoreComparison(chip.name, code.name, len(ids) - len(ids) // 2, swings, units, rows)
