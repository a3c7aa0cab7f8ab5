"""How many threads, where nobody says."""

from __future__ import annotations

import os

from sangbo.errors import SimulationError

VARIABLE = "SANGBO_THREADS"


def default_threads() -> int:
    """``SANGBO_THREADS``, or else all processors that this process may use."""
    text = os.environ.get(VARIABLE, "")
    if text and not text.isdecimal():
        raise SimulationError(f"expected {VARIABLE} to be a whole number, found {text!r}")
    if text:
        return int(text)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
