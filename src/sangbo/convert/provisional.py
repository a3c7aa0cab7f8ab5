"""A quick, fine-grained conversion that needs no text: it writes the text for the real one."""

from __future__ import annotations

import numpy as np

from sangbo.convert.rewrite import complementary
from sangbo.convert.sites import PROBABILITY_LEVEL, Site, find_sites
from sangbo.convert.weights import quantise
from sangbo.engines import Reference, Segment
from sangbo.engines.base import Array
from sangbo.graph import Graph
from sangbo.progress import silent
from sangbo.tasks.language import whole_reading

TOKENS = 64
FINENESS = 64
"""Levels that the mean magnitude of a value gets."""
HEADROOM = 2.0
"""How much larger than here seen a cached key or value may be before it is clipped."""


def provisional(graph: Graph, seed: int) -> Graph:
    """A complementary graph with fine thresholds, from ranges that random tokens show."""
    generator = np.random.default_rng(seed)
    rows = min(TOKENS, _context(graph))
    tokens = generator.integers(0, graph.values["logits"].channels, rows).astype(np.int32)
    sites = find_sites(graph)
    engine = Reference(graph)
    names = [s.name for s in sites if s.role != "probability"]
    segment = Segment(engine.cache(rows), rows)
    values = engine.run(whole_reading(tokens), [segment], keep=names)
    thresholds = {s: _threshold(s, values) for s in sites}
    return complementary(graph, thresholds, quantise(graph, 8, {}, silent), {})


def _threshold(site: Site, values: dict[str, Array]) -> np.float32:
    if site.role == "probability":
        return np.float32(1 / PROBABILITY_LEVEL)
    magnitudes = np.abs(values[site.name])
    if site.role == "cached":
        theta = HEADROOM * float(magnitudes.max()) / site.highest
    else:
        theta = float(magnitudes.mean()) / FINENESS
    return np.float32(max(theta, 1e-30))


def _context(graph: Graph) -> int:
    context = graph.metadata.get("context_length", TOKENS)
    return context if isinstance(context, int) else TOKENS
