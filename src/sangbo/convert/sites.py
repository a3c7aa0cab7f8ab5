"""Where a float graph needs neurons: every value that a synaptic operation consumes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from sangbo.engines.counting import reach
from sangbo.graph import LARGEST_LEVEL, Attention, Convolution, Graph, Linear, Recurrent

Role: TypeAlias = Literal["sent", "query", "cached", "probability"]

CACHED_LEVELS = {8: 127, 16: 2047}
"""Largest level of cached keys and values, by the bits that one takes in the cache. Twelve bits are
finer than the float16 of other engines' caches, and keep attention's sums far within 32 bits."""
QUERY_LEVEL = 2**15 - 1
PROBABILITY_LEVEL = 255


@dataclass(frozen=True, slots=True)
class Site:
    """One place where reals become levels.

    Attributes:
        name: the value that is encoded, or ``NAME.probability`` inside attention ``NAME``, or
            ``NAME.state`` inside recurrent cells ``NAME``.
        role: ``sent`` through weights; ``query`` sent to the keys; ``cached`` as a key or value
            that others' spikes address; ``probability`` sent to the values.
        fan_out: targets that each of its levels reaches, in the mean; 0 for ``query`` (as many as
            there are visible keys) and ``cached`` (none).
        lowest: smallest level.
        highest: largest level.
        inside: whether its levels never leave the operation that it is named after.
    """

    name: str
    role: Role
    fan_out: float
    lowest: int
    highest: int
    inside: bool = False


def find_sites(graph: Graph, levels: int | None = None, cache_bits: int = 16) -> tuple[Site, ...]:
    """All sites of a float graph in order; ``levels`` bounds the magnitude of what is sent."""
    found: dict[str, Site] = {}

    def add(name: str, role: Role, fan_out: float, limit: int, inside: bool = False) -> None:
        bound = limit if levels is None or role == "cached" else min(limit, levels)
        new = Site(name, role, fan_out, 0 if role == "probability" else -bound, bound, inside)
        old = found.get(name)
        if old is None:
            found[name] = new
        else:
            narrow = min(old.highest, bound)
            found[name] = replace(
                old, fan_out=old.fan_out + fan_out, lowest=-narrow, highest=narrow
            )

    for operation in graph.operations:
        if isinstance(operation, Linear):
            outputs = graph.tensors[operation.weight.values].shape[0]
            add(operation.input, "sent", outputs, LARGEST_LEVEL)
        elif isinstance(operation, Convolution):
            fan_out = float(reach(operation, graph).mean())
            add(operation.input, "sent", fan_out, LARGEST_LEVEL)
        elif isinstance(operation, Recurrent) and operation.weight is not None:
            gates = graph.tensors[operation.weight.values].shape[0]
            add(f"{operation.output}.state", "sent", gates, LARGEST_LEVEL, True)
        elif isinstance(operation, Attention):
            size = graph.values[operation.query].channels // operation.heads
            add(operation.query, "query", 0, QUERY_LEVEL)
            add(operation.key, "cached", 0, CACHED_LEVELS[cache_bits])
            add(operation.value, "cached", 0, CACHED_LEVELS[cache_bits])
            add(f"{operation.output}.probability", "probability", size, PROBABILITY_LEVEL, True)
    return tuple(found.values())
