"""What one run of a graph is given, apart from any engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sangbo.engines.base import Array, Cache, Engine, Segment

C = TypeVar("C", bound=Cache)


@dataclass(frozen=True, slots=True)
class Part:
    """One sequence of a reading: a `sangbo.engines.Segment` without its cache."""

    rows: int
    others: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Reading:
    """Inputs of one run that begins new sequences: a text, some images, a source and its target.

    Attributes:
        inputs: one array per input of the graph.
        parts: which rows belong to which sequence; none where values hold whole samples.
        targets: what each row of the output should say, where that is known; see
            `sangbo.tasks.Likelihood`.
    """

    inputs: Mapping[str, Array]
    parts: tuple[Part, ...] = ()
    targets: Array | None = None

    @property
    def size(self) -> int:
        """Rows of the main axis, or samples."""
        if self.parts:
            return sum(part.rows for part in self.parts)
        return len(next(iter(self.inputs.values())))

    def caches(self, engine: Engine[C]) -> list[C]:
        """An empty cache of ``engine`` for each sequence."""
        return [engine.cache(max(1, part.rows)) for part in self.parts]

    def segments(self, caches: Sequence[C]) -> list[Segment[C]]:
        """The sequences with their caches."""
        return [
            Segment(cache, part.rows, part.others)
            for cache, part in zip(caches, self.parts, strict=True)
        ]

    def pieces(self, rows: int) -> Iterator[Reading]:
        """The same in runs of about ``rows`` rows, one after the other on the same caches.

        Whole samples are cut between samples; what cannot be cut comes whole.
        """
        lengths = {len(x) for x in self.inputs.values()}
        given = {} if self.targets is None else {"targets": self.targets}
        if self.parts or len(lengths | {len(t) for t in given.values()}) != 1:
            yield self
            return
        for start in range(0, self.size, rows):
            some = slice(start, start + rows)
            cut = {name: x[some] for name, x in self.inputs.items()}
            yield Reading(cut, targets=None if self.targets is None else self.targets[some])

    def apart(self, samples: int) -> Iterable[Reading]:
        """Readings of ``samples`` whole samples each; sequences stay together."""
        return [self] if self.parts else self.pieces(samples)

    def run(self, engine: Engine[Any], **options: Any) -> dict[str, Array]:
        """What ``engine`` computes, from empty caches; options as of its ``run``."""
        return engine.run(self.inputs, self.segments(self.caches(engine)), **options)
