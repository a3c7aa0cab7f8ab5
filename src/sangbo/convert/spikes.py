"""Spikes per value, counted in three ways, with a share of the values on the dense side or none.

* *into weights*: over the values that weights read, each once, as its neuron sends it. It is what
  is meant by spikes per value where nothing else is said.
* *as sent*: the same with queries and probabilities, many of which are zero.
* *by targets*: a value counts once for every target that receives it. Energy follows this.

What is left to the spiking side beside a dense side of a given share: the values of most spikes go
dense, and still count as values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sangbo.codes import Code
from sangbo.graph import Attention, Graph
from sangbo.ledger import Histogram, Ledger

Counts = NDArray[np.float64]
"""Values that have 0, 1, 2 … spikes; any unit."""


@dataclass(frozen=True, slots=True)
class SpikesPerValue:
    """Mean spikes per value in each way of counting; see the module."""

    into_weights: float
    as_sent: float
    by_targets: float

    @classmethod
    def of(cls, weights: Counts, sent: Counts, targets: Counts, dense: float = 0.0) -> Self:
        """What is left of these counts beside a dense side with the share ``dense``."""
        return cls(left(weights, dense), left(sent, dense), left(targets, dense))

    def to_dict(self) -> dict[str, Any]:
        """The means as JSON values."""
        return asdict(self)


def left(counts: Counts, dense: float = 0.0) -> float:
    """Spikes per value where the values of most spikes, up to the share ``dense``, send none."""
    shares = counts / (float(counts.sum()) or 1.0)
    above = shares[::-1].cumsum()[::-1] - shares  # of values with more spikes
    kept = shares - np.clip(dense - above, 0.0, shares)
    return float(kept @ np.arange(len(shares)))


def found(graph: Graph, ledger: Ledger, code: Code, dense: float = 0.0) -> SpikesPerValue:
    """What a run of ``graph`` counted."""
    operations = ledger.operations.values()
    attending = [o for o in graph.operations if isinstance(o, Attention)]
    aside = {o.query for o in attending} | {f"{o.output}.probability" for o in attending}
    sources = {o.source for o in operations}
    return SpikesPerValue.of(
        by_spikes([ledger.neurons[name] for name in sources - aside], code),
        by_spikes([ledger.neurons[name] for name in sources], code),
        by_spikes([o.pairs for o in operations], code),
        dense,
    )


def by_spikes(histograms: Sequence[Histogram], code: Code) -> Counts:
    """Values with 0, 1, 2 … spikes in all of ``histograms``."""
    spikes = [code.spikes(h.magnitudes) for h in histograms]
    counts = np.zeros(1 + max((int(s.max(initial=0)) for s in spikes), default=0))
    for each, histogram in zip(spikes, histograms, strict=True):
        np.add.at(counts, each, histogram.occurrences)
    return counts
