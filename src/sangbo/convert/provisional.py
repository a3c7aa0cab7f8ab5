"""A quick, fine-grained conversion that needs no text: it writes the text for the real one."""

from __future__ import annotations

import numpy as np

from sangbo.convert.rewrite import complementary
from sangbo.convert.sites import PROBABILITY_LEVEL, Site, find_sites
from sangbo.convert.weights import quantise
from sangbo.engines import Reference
from sangbo.engines.base import Array
from sangbo.graph import Graph
from sangbo.progress import silent
from sangbo.tasks import task_of

FINENESS = 64
"""Levels that the mean magnitude of a value gets."""
HEADROOM = 2.0
"""How much larger than here seen a cached key or value may be before it is clipped."""


def provisional(graph: Graph, seed: int) -> Graph:
    """A complementary graph with fine thresholds, from ranges that random inputs show."""
    sites = find_sites(graph)
    names = [s.name for s in sites if not s.inside]
    reading = task_of(graph).sketch(graph, seed)
    values = reading.run(Reference(graph), keep=names)
    thresholds = {s: _threshold(s, values) for s in sites}
    heard = [t for t in thresholds.values() if t > 0] or [np.float32(1)]
    usual = np.float32(np.median(heard))  # for experts that random inputs do not reach
    thresholds = {s: t if t > 0 else usual for s, t in thresholds.items()}
    return complementary(graph, thresholds, quantise(graph, 8, {}, silent), {})


def _threshold(site: Site, values: dict[str, Array]) -> np.float32:
    """0 where the site carries only zeros."""
    if site.role == "probability":
        return np.float32(1 / PROBABILITY_LEVEL)
    if site.inside:  # the state of cells, which lies within ±1
        return np.float32(1 / (2 * FINENESS))
    magnitudes = np.abs(values[site.name])
    if site.role == "cached":
        theta = HEADROOM * float(magnitudes.max()) / site.highest
    else:
        theta = float(magnitudes.mean()) / FINENESS
    return np.float32(theta)
