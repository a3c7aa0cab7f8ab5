"""Three engines that must agree: reference (NumPy), temporal (spike by spike), native (C++)."""

from sangbo.engines.base import Cache, Engine, Segment
from sangbo.engines.native import Native
from sangbo.engines.reading import Part, Reading
from sangbo.engines.reference import Reference
from sangbo.engines.temporal import Temporal
from sangbo.errors import UnsupportedError
from sangbo.graph import Graph

__all__ = [
    "Cache",
    "Engine",
    "Native",
    "Part",
    "Reading",
    "Reference",
    "Segment",
    "Temporal",
    "fastest",
]


def fastest(graph: Graph) -> Native | Reference:
    """The fastest engine that has every operation of a complementary ``graph``."""
    try:
        return Native(graph)
    except UnsupportedError:
        return Reference(graph)
