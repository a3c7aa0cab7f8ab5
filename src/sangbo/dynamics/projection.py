"""Projections of a network: synapses from one population to another."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sangbo.dynamics.loihi_learning import LoihiLearning
from sangbo.dynamics.population import Population
from sangbo.dynamics.rules import Rule
from sangbo.dynamics.synapses import RewardSTDP, Synapses
from sangbo.errors import SimulationError

if TYPE_CHECKING:
    from sangbo.dynamics.network import Network


@dataclass(eq=False)
class Projection:
    """Synapses from one population to another.

    Attributes:
        pre, post: the populations.
        rule: who is connected to whom.
        synapses: weights and delays.
        receptor: what the weights act on.
        kept: of the synapses that were made, those that are not pruned; None where all are there.
    """

    network: Network
    index: int
    pre: Population
    post: Population
    rule: Rule
    synapses: Synapses
    receptor: str
    kept: NDArray[np.bool_] | None = field(default=None, init=False, repr=False)

    @property
    def size(self) -> int:
        """Synapses that there are."""
        native = self.network.build()
        if self.network.ranks.size == 1:
            return native.synapse_count(self.index)
        return self.network.synapses[self.index]

    @property
    def events(self) -> int:
        """Synapses that spikes have crossed so far, on this rank."""
        return self.network.build().events(self.index)

    def connections(self) -> dict[str, NDArray[Any]]:
        """Every synapse: arrays ``source``, ``target``, ``weight``, ``delay`` (ms), by source.

        Where several ranks simulate a network, those that end at this rank's neurons.

        Those of `LoihiLearning` have a ``tag`` too, those of `RewardSTDP` their ``eligibility``.
        """
        native = self.network.build()
        native.settle()
        source, target, weight, delay = native.synapses(self.index)
        more: dict[str, NDArray[Any]] = {}
        if isinstance(self.synapses, LoihiLearning):
            more = {"tag": native.tags(self.index)}
        elif isinstance(self.synapses, RewardSTDP):
            more = {"eligibility": native.marks(self.index)}
        return {
            **more,
            "source": source,
            "target": target,
            "weight": weight,
            "delay": delay * self.network.step,
        }

    def modulate(self, level: float) -> None:
        """Let the modulator of `RewardSTDP` be ``level`` from now on, until it is set again.

        Raises:
            SimulationError: the synapses have none, or the level is not finite.
        """
        if not isinstance(self.synapses, RewardSTDP) or not math.isfinite(level):
            raise SimulationError(
                f"expected a finite level for synapses with a modulator, found {level} for "
                f"{type(self.synapses).__name__}"
            )
        self.network.build().level(self.index, level * self.network.step)

    def prune(self, below: float) -> int:
        """Remove the synapses whose weight lies between −``below`` and ``below``; how many.

        They take no more time; their memory comes back with the network's. A checkpoint knows.
        """
        self._alone()
        strong = np.abs(self.connections()["weight"]) >= below
        kept = np.ones(self.size, bool) if self.kept is None else self.kept.copy()
        kept[kept] = strong
        self.keep(kept)
        return int(strong.size - strong.sum())

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Remove all synapses but those that ``kept``, shape (made,), names; none comes back.

        Raises:
            SimulationError: it has another shape, or names a synapse that was removed before.
        """
        self._alone()
        before = np.ones(self.size, bool) if self.kept is None else self.kept
        if kept.shape != before.shape or (kept & ~before).any():
            raise SimulationError(
                f"expected some of {before.sum()} of {before.size} synapses to keep, found "
                f"{kept.sum()} of {kept.size}"
            )
        self.network.build().keep(self.index, kept[before].view(np.uint8))
        self.kept = kept

    def _alone(self) -> None:
        if self.network.ranks.size > 1:
            raise SimulationError(
                f"expected one rank to remove synapses, found {self.network.ranks.size}"
            )

    @property
    def made(self) -> int:
        """Synapses there were before any was removed."""
        return self.size if self.kept is None else self.kept.size

    def traces(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Traces of `LoihiLearning` at the last end of an epoch.

        Those of the sources, shape (sources, 2): x1 and x2; of the targets, (targets, 3): y1 … y3.
        """
        if not isinstance(self.synapses, LoihiLearning):
            raise SimulationError(f"expected Loihi's learning synapses, found {self.synapses}")
        pre, post = self.network.build().traces(self.index)
        return pre.reshape(-1, 2), post.reshape(-1, 3)
