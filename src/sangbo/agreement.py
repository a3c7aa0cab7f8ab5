"""Engine against engine: every operation given the same inputs, and whole texts end to end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from sangbo.engines import Native, Reference, Segment
from sangbo.engines.base import Array, Engine, Index
from sangbo.engines.forced import forced, found
from sangbo.graph import Graph, Linear
from sangbo.progress import Progress, silent
from sangbo.tasks.language import row_blocks, windows

_ROWS = 128
"""Rows whose values are held at once; the reference is slow on few."""
END_TO_END = "end to end"
"""What is named where no operation differs by itself and yet a whole text does."""


@dataclass(frozen=True, slots=True)
class Contender:
    """An engine that is compared with the reference.

    Attributes:
        make: makes it for a complementary graph.
        tokens: how many tokens it is compared on, by its speed.
    """

    make: Callable[[Graph], Engine[Any]]
    tokens: int


ENGINES: Mapping[str, Contender] = MappingProxyType({"native": Contender(Native, 512)})
"""Every engine that a certificate compares with the reference. A new one is one entry."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many values two engines gave, and how many differ in any bit.

    Attributes:
        tokens: how many tokens both read.
        compared: all values: accumulators of linear operations, levels of neurons, results of every
            other operation, each computed from the same inputs; and the logits, end to end.
        different: how many of them differ.
        accumulators: how many of the compared values are int32 accumulators.
        first: the first operation that differs, in the order of the graph; ``end to end`` where
            only whole texts do; None where nothing does.
        accumulators_sha256: of the reference's accumulators, the same on every machine.
    """

    tokens: int
    compared: int
    different: int
    accumulators: int
    first: str | None
    accumulators_sha256: str

    def to_dict(self) -> dict[str, Any]:
        """The agreement as JSON values."""
        return {
            "tokens": self.tokens,
            "compared": self.compared,
            "different": self.different,
            "accumulators": self.accumulators,
            "first": self.first,
            "accumulators_sha256": self.accumulators_sha256,
        }


def agree(
    graph: Graph,
    make: Callable[[Graph], Engine[Any]],
    passages: Sequence[Index],
    context: int,
    progress: Progress = silent,
) -> Agreement:
    """Compare an engine with the reference on texts, cut into windows of ``context`` tokens.

    The reference reads the texts. Then both engines are given every value that it found, operation
    by operation, so that one difference does not make others, and the first is named. A linear
    operation is compared by its int32 accumulators, shown as float32: exact below 2²⁴, and rounded
    the same way by both where larger. Last, both read each window in one piece, and their logits
    are compared.

    Args:
        graph: a complementary graph.
        make: makes the other engine for a graph.
        passages: token ids of each text.
        context: tokens of a window.
        progress: told the share that is done.
    """
    cut = forced(graph, accumulators=True)
    values = [n for n in cut.inputs if n not in graph.inputs]
    linear = {found(o.output) for o in graph.operations if isinstance(o, Linear)}
    reader, reference, other, whole = Reference(graph), Reference(cut), make(cut), make(graph)
    digest = hashlib.sha256()
    compared = dict.fromkeys((*cut.outputs, END_TO_END), 0)
    different = dict.fromkeys(compared, 0)
    tokens, total = 0, sum(len(p) - 1 for p in passages)
    for read in (w for p in passages for w, _ in windows(p, context)):
        caches: list[Any] = [e.cache(len(read)) for e in (reader, reference, other)]
        logits = []
        for inputs in row_blocks(read, _ROWS):
            progress("comparing engines", tokens / total)
            rows = len(inputs["tokens"])
            segments = [[Segment(c, rows)] for c in caches]
            seen = reader.run(inputs, segments[0], keep=values)
            logits.append(seen["logits"])
            given = {n: inputs[n] if n in inputs else seen[n] for n in cut.inputs}
            expected = reference.run(given, segments[1])
            answers = other.run(given, segments[2])
            for name in cut.outputs:
                compared[name] += expected[name].size
                different[name] += _different(expected[name], answers[name])
                if name in linear:
                    digest.update(np.ascontiguousarray(expected[name]).data)
            tokens += rows
        segment = Segment(whole.cache(len(read)), len(read))
        inputs = next(row_blocks(read, len(read)))
        answer = whole.run(inputs, [segment])["logits"]
        compared[END_TO_END] += answer.size
        different[END_TO_END] += _different(np.concatenate(logits), answer)
    first = next((n for n, count in different.items() if count), None)
    return Agreement(
        tokens=tokens,
        compared=sum(compared.values()),
        different=sum(different.values()),
        accumulators=sum(compared[n] for n in linear),
        first=None if first is None else first.removesuffix(found("")),
        accumulators_sha256=digest.hexdigest(),
    )


def _different(first: Array, second: Array) -> int:
    """How many elements differ in any bit; all of them where the shapes or types differ."""
    if first.shape != second.shape or first.dtype != second.dtype:
        return max(first.size, second.size)
    bits = np.dtype(f"u{first.itemsize}")
    pair = (np.ascontiguousarray(x).view(bits) for x in (first, second))
    return int(np.not_equal(*pair).sum())
