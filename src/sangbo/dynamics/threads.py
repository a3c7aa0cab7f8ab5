"""How many threads, where nobody says."""

from __future__ import annotations

import os

from sangbo.errors import SimulationError

VARIABLE = "SANGBO_THREADS"


def default_threads(sharing: int = 1) -> int:
    """``SANGBO_THREADS``, or else all processors that this process may use, one at least.

    ``sharing`` processes divide them among themselves.
    """
    text = os.environ.get(VARIABLE, "")
    if text and not text.isdecimal():
        raise SimulationError(f"expected {VARIABLE} to be a whole number, found {text!r}")
    if text:
        return int(text)
    everywhere = os.cpu_count() or 1
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else everywhere
    # A launcher that bound this process to processors has divided them already.
    return mine if mine < everywhere else max(1, mine // sharing)
