"""Whether a network fits into memory, asked before anything of it is made."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sangbo.errors import SimulationError

if TYPE_CHECKING:
    from sangbo.dynamics.network import Network

_SHARDS = 4  # at least; a projection's rows have one place for each source and shard
_NEURON_BYTES = 256


def synapse_bytes(storage: str) -> int:
    """Bytes of one synapse."""
    return {"compact": 4, "wide": 8, "marked": 16}[storage]


def needed_bytes(network: Network) -> int:
    """Bytes that the network will take, to a few percent."""
    total = float(network.neurons * _NEURON_BYTES)
    for projection in network.projections:
        pre, post = projection.pre, projection.post
        shards = max(_SHARDS, post.size // 4096)
        total += projection.rule.expected(pre, post) * synapse_bytes(projection.synapses.storage)
        total += 4.0 * pre.size * shards
    return int(total)


def available_bytes() -> int:
    """Memory that a process may still take, or 2⁶² where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**62


def check_memory(network: Network) -> None:
    """Raise `SimulationError` where the network does not fit."""
    ranks = network.ranks
    needed, available = needed_bytes(network) * ranks.local // ranks.size, available_bytes()
    if needed > available:
        raise SimulationError(
            f"expected a network that fits into memory: it needs {needed / 2**30:.1f} GiB, found "
            f"{available / 2**30:.1f} GiB available"
        )
