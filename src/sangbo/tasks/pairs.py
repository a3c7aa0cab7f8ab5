"""Networks that read one thing whole and write another, token by token."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from sangbo.engines.base import Array, Segment
from sangbo.engines.reading import Part, Reading
from sangbo.errors import SangboError
from sangbo.graph import ValueType
from sangbo.ledger import Ledger
from sangbo.tasks.model import Model

SOURCE_TEXT = ("source_tokens", "source_positions")
MAIN = ("tokens", "positions", "selected")
"""Inputs of what is written; all others are of what is read."""


def text_source(tokens: Sequence[int]) -> dict[str, Array]:
    """Inputs of what is read, where it is a text of ``tokens``."""
    ids = np.asarray(tokens, np.int32)
    return {"source_tokens": ids, "source_positions": np.arange(len(ids), dtype=np.int32)}


def pair_reading(model: Model, source: Mapping[str, Array], tokens: Sequence[int]) -> Reading:
    """A reading of ``source`` and of all of ``tokens``, each of which is answered."""
    taken, counts = _source(model, source)
    rows = np.arange(len(tokens), dtype=np.int32)
    own = {"tokens": np.asarray(tokens, np.int32), "positions": rows, "selected": rows}
    inputs = taken | {n: own[n] for n in MAIN if n in model.graph.inputs}
    return Reading(inputs, (Part(len(rows), counts),))


def write(
    model: Model,
    source: Mapping[str, Array],
    *,
    start: Sequence[int],
    ends: Collection[int],
    suppressed: Collection[int] = (),
    max_tokens: int,
    ledger: Ledger | None = None,
) -> Iterator[int]:
    """The likeliest tokens one by one, without the one that ends them.

    Args:
        model: an encoder-decoder network.
        source: inputs of what it reads; those that its graph does not take are left out.
        start: tokens that the writing begins with.
        ends: tokens that end it.
        suppressed: tokens that are never chosen.
        max_tokens: most tokens, ``start`` not counted.
        ledger: where the run is counted; nothing is counted without one.

    Raises:
        SangboError: where there is nothing to begin with, or the source does not fit the graph.
    """
    if not start:
        raise SangboError(f"expected a token that {model.graph.name} begins with, found none")
    taken, counts = _source(model, source)
    cache = model.engine.cache(len(start) + max_tokens)
    never = np.fromiter(suppressed, np.int64)
    tokens, done = list(start), 0
    for _ in range(max_tokens):
        rows = np.arange(len(tokens), dtype=np.int32)
        own = {
            "tokens": np.asarray(tokens, np.int32),
            "positions": rows + np.int32(done),
            "selected": rows[-1:],
        }
        inputs = taken | {n: own[n] for n in MAIN if n in model.graph.inputs}
        segment = Segment(cache, len(tokens), counts)
        logits = model.engine.run(inputs, [segment], ledger=ledger)["logits"][-1]
        logits[never] = -np.inf
        token = int(logits.argmax())
        if token in ends:
            return
        yield token
        done += len(tokens)
        tokens = [token]
        taken = {n: v[:0] for n, v in taken.items()}
        counts = dict.fromkeys(counts, 0)


def _source(model: Model, source: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, int]]:
    graph = model.graph
    wanted: dict[str, ValueType] = {n: t for n, t in graph.inputs.items() if n not in MAIN}
    if not wanted or (missing := [n for n in wanted if n not in source]):
        raise SangboError(
            f"expected a network that reads {sorted(source)}, found {graph.name} with inputs "
            f"{sorted(graph.inputs)}"
        )
    del missing
    taken = {n: source[n] for n in wanted}
    return taken, {str(wanted[n].shape[0]): len(v) for n, v in taken.items()}
