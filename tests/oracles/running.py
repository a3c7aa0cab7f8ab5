"""Runs an imported graph, for comparisons of its logits."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from sangbo.engines.base import Segment
from sangbo.engines.reference import Reference
from sangbo.graph import Graph
from sangbo.sources import Source, open_source


@cache
def smollm2() -> Source:
    """The real network of the catalogue, fetched on first use."""
    return open_source("smollm2-135m-instruct")


def logits(graph: Graph, tokens: list[int], selected: list[int]) -> NDArray[np.float32]:
    """Logits of the selected rows of one fresh sequence, by the reference engine."""
    engine = Reference(graph)
    rows = len(tokens)
    inputs = {
        "tokens": np.array(tokens, np.int32),
        "positions": np.arange(rows, dtype=np.int32),
        "selected": np.array(selected, np.int32),
    }
    result: NDArray[np.float32] = engine.run(inputs, [Segment(engine.cache(rows), rows)])["logits"]
    return result
