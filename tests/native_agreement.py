"""The native engine beside the reference engine: the same bits, the same ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from random_graphs import all_values
from sangbo.engines import Reference, Segment
from sangbo.engines.native import Native
from sangbo.graph import Graph
from sangbo.ledger import Ledger

Step = tuple[dict[str, NDArray[Any]], Sequence[tuple[int, int, dict[str, int]]]]
"""Inputs of a run; and the sequence, the main axis' rows and the others' of each segment."""


def same_bits(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def agree(
    graph: Graph, steps: Sequence[Step], *, isa: str | None = None, threads: int = 2,
    capacity: int = 64,
) -> Ledger:  # fmt: skip
    """Run both engines; every value and both ledgers must be the same. Returns the ledger."""
    graph = all_values(graph)
    native, reference = Native(graph, isa=isa, threads=threads), Reference(graph)
    numbers = {number for _, segments in steps for number, _, _ in segments}
    ours = {n: native.cache(capacity) for n in numbers}
    theirs = {n: reference.cache(capacity) for n in numbers}
    direct, expected = native.ledger(), Ledger()
    for step, (inputs, segments) in enumerate(steps):
        want = reference.run(
            inputs, [Segment(theirs[n], rows, more) for n, rows, more in segments], ledger=expected
        )
        got = native.run(
            inputs, [Segment(ours[n], rows, more) for n, rows, more in segments], ledger=direct
        )
        for name in graph.outputs:
            assert same_bits(got[name], want[name]), f"{name} at step {step}"
        for n in numbers:
            assert ours[n].length == theirs[n].length
    assert direct.to_dict() == expected.to_dict()
    return expected
