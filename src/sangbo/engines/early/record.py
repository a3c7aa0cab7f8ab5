"""What stopping early saved, and what it changed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np

from sangbo.engines.base import Array


@dataclass(slots=True)
class Skips:
    """Counts of one operation, over all rows; `Saved.total` adds them up.

    Attributes:
        outputs: sums that could stop early.
        decided: of them, those that did.
        levels: levels that were compared with those of whole sums.
        different: of them, those that differ.
        additions: a spike meeting a weight or a key, one each, of all sums.
        additions_skipped: of them, those that came after a sum had stopped.
        steps: time steps, digits that a row sends, of all sums.
        steps_skipped: of them, those after a sum had stopped.
        reads: weights or keys that some spike of the row meets, of all sums.
        reads_skipped: of them, those that no spike met before the sum stopped.
    """

    outputs: int = 0
    decided: int = 0
    levels: int = 0
    different: int = 0
    additions: int = 0
    additions_skipped: int = 0
    steps: int = 0
    steps_skipped: int = 0
    reads: int = 0
    reads_skipped: int = 0

    def add(self, other: Skips) -> None:
        """Add the counts of ``other``."""
        for name, count in asdict(other).items():
            setattr(self, name, getattr(self, name) + count)

    def count(self, planes: Array, stops: Array, shown: Array | None = None) -> None:
        """Enter sums that stopped.

        Args:
            planes: (digits, rows, inputs) spikes, the highest digits first.
            stops: (rows, outputs) after how many digits each sum stopped.
            shown: (rows, outputs) which sums there are; all by default.
        """
        spiking = planes != 0
        met = np.concatenate([np.zeros_like(spiking[:1]), spiking]).cumsum(0, dtype=np.int32)
        sent = met.sum(-1, dtype=np.int64)  # (digits + 1, rows) spikes after so many digits
        reached = (met > 0).sum(-1, dtype=np.int64)
        rows = np.arange(len(stops))[:, None]
        there = np.ones(stops.shape, bool) if shown is None else shown
        each = there.sum(-1, dtype=np.int64)
        self.outputs += int(each.sum())
        self.decided += int(((stops < len(planes)) & there).sum())
        self.additions += int(sent[-1] @ each)
        self.additions_skipped += int(((sent[-1][:, None] - sent[stops, rows]) * there).sum())
        self.reads += int(reached[-1] @ each)
        self.reads_skipped += int(((reached[-1][:, None] - reached[stops, rows]) * there).sum())
        self.steps += len(planes) * int(each.sum())
        self.steps_skipped += int(((len(planes) - stops) * there).sum())

    def compare(self, early: Array, whole: Array) -> None:
        """Enter levels of sums that stopped early beside those of whole sums."""
        self.levels += early.size
        self.different += int((early != whole).sum())

    def to_dict(self) -> dict[str, Any]:
        """The counts and shares as JSON values."""
        shares = {
            f"{name}_share": getattr(self, f"{name}_skipped") / max(1, getattr(self, name))
            for name in ("additions", "steps", "reads")
        }
        return asdict(self) | shares


@dataclass(slots=True)
class Saved:
    """Counts of a run, by operation, and additions of operations that never stop early."""

    operations: dict[str, Skips] = field(default_factory=dict)
    other_additions: int = 0

    def of(self, operation: str) -> Skips:
        """The counts of ``operation``, begun if new."""
        return self.operations.setdefault(operation, Skips())

    @property
    def total(self) -> Skips:
        """All operations together."""
        total = Skips()
        for skips in self.operations.values():
            total.add(skips)
        return total

    @property
    def additions_share(self) -> float:
        """Additions skipped, as a share of those of the whole network."""
        total = self.total
        return total.additions_skipped / max(1, total.additions + self.other_additions)

    def merged(self, other: Self) -> Self:
        """Both together."""
        joined = type(self)(other_additions=self.other_additions + other.other_additions)
        for side in (self, other):
            for name, skips in side.operations.items():
                joined.of(name).add(skips)
        return joined

    def by_role(self) -> dict[str, Skips]:
        """Counts of operations alike in all layers together, ``layers.3.mlp.up`` as ``mlp.up``."""
        found: dict[str, Skips] = {}
        for name, skips in self.operations.items():
            role = ".".join(p for p in name.split(".") if not p.isdecimal() and p != "layers")
            found.setdefault(role, Skips()).add(skips)
        return found

    def to_dict(self) -> dict[str, Any]:
        """The counts as JSON values."""
        return {
            "total": self.total.to_dict(),
            "additions_share": self.additions_share,
            "operations": {name: skips.to_dict() for name, skips in self.operations.items()},
        }
