"""What every invention is told, and what it says: one step of the waterfall."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from sangbo import chips
from sangbo.bench import Setting, bench
from sangbo.chips import Chip, Energy, Price
from sangbo.chips.shapes import Shaped
from sangbo.engines import Engine, Reference
from sangbo.engines.native import default_threads
from sangbo.graph import Graph
from sangbo.ledger import Ledger
from sangbo.network import Network
from sangbo.progress import Progress, silent
from sangbo.sources import Source
from sangbo.tasks.language import Text, mean_loss
from sangbo.waterfall.kept import Kept


@dataclass(frozen=True, slots=True)
class Costs:
    """Energy per token in pJ.

    Attributes:
        compute: all events: products, additions, rescales, neurons.
        reading: memory outside the chip.
        on_chip: memory on the chip.
        decoding: what it takes to decode what was read outside.
    """

    compute: float
    reading: float
    on_chip: float
    decoding: float = 0.0

    @classmethod
    def of(cls, energy: Energy, chip: Chip) -> Costs:
        """The costs of a priced scheme."""
        outside = {level.name for level in chip.memory if level.kind == "external"}
        reading = sum(e for name, e in energy.levels.items() if name in outside)
        return cls(energy.compute, reading, energy.memory - reading)

    @property
    def external(self) -> float:
        """Memory outside the chip, with decoding."""
        return self.reading + self.decoding

    @property
    def total(self) -> float:
        """All of it."""
        return self.compute + self.external + self.on_chip


@dataclass(frozen=True, slots=True)
class Step:
    """The network with one invention more than in the step before.

    Attributes:
        name: of the invention.
        costs: per token, with everything so far.
        perplexity_change: relative change against the original network; None where it was not
            measured.
        tokens_per_second: of writing, with everything so far that this machine can do; None where
            that is nothing.
        evidence: whole documents that ``sangbo waterfall --json`` shows under their own key.
        notes: what a reader must know, in sentences.
    """

    name: str
    costs: Costs
    perplexity_change: float | None = None
    tokens_per_second: float | None = None
    evidence: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dict(self, dense: Costs) -> dict[str, Any]:
        """One entry of ``steps``; energies and bytes beside those of dense int8."""
        return {
            "name": self.name,
            "compute_relative": self.costs.compute / dense.compute,
            "external_memory_relative": self.costs.external / dense.external,
            "external_bytes_relative": self.costs.reading / dense.reading,
            "total_pj_per_token": self.costs.total,
            "perplexity_relative_change": self.perplexity_change,
            "decode_tokens_per_second": self.tokens_per_second,
        }


@dataclass(frozen=True)
class Subject:
    """A converted language model, a chip and a text: what a waterfall is of.

    Attributes:
        network: as it was converted.
        chip: where it would run.
        original: what it was converted from; None where that cannot be had.
        windows: the text, in windows, each with what follows; none if nothing is to be measured.
        speed: whether to time this machine.
        progress: told how far it is.
        kept: what was measured already.
    """

    network: Network
    chip: Chip
    original: Source | None
    windows: Sequence[Text]
    speed: bool = True
    progress: Progress = silent
    kept: Kept = field(default_factory=Kept)

    @cached_property
    def nests(self) -> Mapping[str, Shaped]:
        """Shapes of the network's operations with weights, by name."""
        return chips.weighted(self.network.graph)

    @cached_property
    def prices(self) -> Mapping[str, Price]:
        """The network as it is on the chip, by scheme, from the ledger of its folder."""
        return self.priced(self.network.ledger)

    def priced(self, ledger: Ledger) -> Mapping[str, Price]:
        """What ``ledger`` costs on the chip, by scheme."""
        found = chips.price(ledger, self.chip, code=self.network.code, nests=self.nests)
        return {price.scheme: price for price in found}

    @cached_property
    def original_loss(self) -> float | None:
        """Nats per token of the original; None without it, or without a text."""
        if self.original is None:
            return None
        graph = self.original.graph
        return self.loss(lambda: Reference(graph), "the original")

    def loss(self, engine: Callable[[], Engine[Any]], name: str) -> float | None:
        """Nats per token of an engine on the text; None where there is none."""
        if not self.windows:
            return None
        doing = f"reading with {name}"

        def measure() -> float:
            return mean_loss(engine(), self.windows, lambda share: self.progress(doing, share))

        return self.kept.get(doing, measure)

    def change(self, engine: Callable[[], Engine[Any]], name: str) -> float | None:
        """Relative change of perplexity of an engine against the original; None if unknown."""
        before = self.original_loss
        after = None if before is None else self.loss(engine, name)
        return None if before is None or after is None else float(np.expm1(after - before))

    def tokens_per_second(self, graph: Callable[[], Graph], name: str) -> float | None:
        """Tokens/s that the native engine writes here with a graph; None if not wanted."""
        if not self.speed:
            return None
        setting = Setting(64, 48, 1, default_threads(), counting=False)

        def measure() -> float:
            (found,) = bench(Network(graph()), [setting], repetitions=3, progress=self.progress)
            return statistics.median(found.decode)

        return self.kept.get(f"writing with {name}", measure)


Invention: TypeAlias = Callable[[Subject, Step], Step | None]
"""Given what the waterfall is of and the step before, the next step; None where the converted
folder does not have the invention."""
