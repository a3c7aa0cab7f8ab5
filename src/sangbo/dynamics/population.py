"""Populations of a network: neurons of one model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sangbo.dynamics.cables.cell import Cable
from sangbo.dynamics.model import Model
from sangbo.dynamics.native import kernel
from sangbo.dynamics.ranks import joined
from sangbo.dynamics.sources import SpikeTimes
from sangbo.errors import SimulationError

if TYPE_CHECKING:
    from sangbo.dynamics.network import Network


class Population:
    """Neurons of one model.

    Attributes:
        name: unique in its network.
        size: neurons.
        model: their parameters, distributions drawn.
        positions: of shape (size, dimensions), for rules that look at distance; or None.
    """

    def __init__(
        self,
        network: Network,
        index: int,
        name: str,
        size: int,
        model: Model | Cable | SpikeTimes,
        positions: NDArray[np.float64] | None,
    ) -> None:
        self.network, self.index, self.name, self.size = network, index, name, size
        self.model, self.positions = model, positions

    @property
    def receptors(self) -> list[str]:
        """Names of what projections and stimuli may act on."""
        return list(kernel(self.model).receptors)

    @property
    def states(self) -> list[str]:
        """Names of the states that can be sampled."""
        return list(kernel(self.model).states)

    @property
    def integers(self) -> bool:
        """Whether its states and inputs are whole numbers."""
        return kernel(self.model).integers

    def state(self, name: str) -> NDArray[np.float32] | NDArray[np.int32]:
        """State ``name`` of all neurons now, shape (size,); all ranks must ask."""
        native = self.network.build()
        state = self._find("state", self.states, name)
        if isinstance(self.model, Cable):
            own = native.probe(self.index, state)[slice(*native.own(self.index))]
            return joined(self.network.ranks, own)
        values = joined(self.network.ranks, native.state(self.index, state))
        return values.view(np.int32) if self.integers else values

    def fire(self, times: ArrayLike, neurons: ArrayLike) -> None:
        """List other spikes of `SpikeTimes` than before: ``neurons[k]`` at ``times[k]`` ms.

        For inputs that depend on what the network did. Times up to now are past, and do nothing.

        Raises:
            SimulationError: the population is another one, or the spikes are not such.
        """
        when, who = np.asarray(times, np.float64), np.asarray(neurons, np.int64)
        if not isinstance(self.model, SpikeTimes) or when.shape != who.shape or when.ndim != 1:
            raise SimulationError(
                f"expected as many times as neurons that are listed, found {when.shape} and "
                f"{who.shape} of {self}"
            )
        if who.size and not (who.min() >= 0 and who.max() < self.size and (when >= 0).all()):
            raise SimulationError(
                f"expected neurons of 0 to {self.size - 1} and times of 0 or later, found "
                f"{who.min()} to {who.max()} from {when.min()} on"
            )
        steps = np.round(when / self.network.step).astype(np.uint64)
        order = np.lexsort((who, steps))
        self.network.build().set_listed(self.index, steps[order], who[order].astype(np.uint32))

    @property
    def spikes(self) -> int:
        """Spikes so far."""
        return self.network.build().spikes(self.index)

    def _find(self, what: str, names: list[str], name: str) -> int:
        if name not in names:
            raise SimulationError(
                f"expected a {what} of {self.name}, one of {', '.join(names) or 'none'}, "
                f"found {name!r}"
            )
        return names.index(name)

    def __repr__(self) -> str:
        return f"Population({self.name!r}, {self.size} × {type(self.model).__name__})"
