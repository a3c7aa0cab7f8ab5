"""Throughput of converted networks beside PyTorch."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Any

from sangbo.convert import Settings, written
from sangbo.engines.reading import Reading
from sangbo.errors import MissingExtraError
from sangbo.extras import need
from sangbo.progress import Progress

if TYPE_CHECKING:
    from sangbo.network import Network
    from sangbo.sources import Source
    from sangbo.tasks import Task

TIMES = 5
"""Turns of both engines, …"""
LEAST_SECONDS = 0.1
"""… each of so many calls that PyTorch takes this long."""
FRESH_SEED = 7
"""Of the reading that engines are timed on."""


def relative_speeds(
    source: Source, network: Network, task: Task | None, progress: Progress
) -> tuple[float | None, float | None]:
    """Throughput over PyTorch's in float32: of a reading, and of one sample at a time.

    Both run in turn, on the engine's threads, often enough for a clock to tell; every level is
    counted, into one ledger. Each figure is the median of `TIMES` ratios, a warm-up dropped. None
    where PyTorch is not installed; the second None, too, where the reading is one sample.
    """
    try:
        need("torch", "torch")
    except MissingExtraError:
        return None, None
    import torch

    from sangbo.training import to_torch

    module = to_torch(source.graph)
    engine = network.engine
    ledger = engine.ledger()
    torch.set_num_threads(getattr(engine, "threads", 1))

    def speed(reading: Reading) -> float:
        given = [torch.from_numpy(reading.inputs[n]) for n in source.graph.inputs]

        def theirs() -> None:
            with torch.inference_mode():
                module(*given)

        def ours() -> None:
            reading.run(engine, ledger=ledger)

        return _ratio(ours, theirs, progress)

    reading = written(source, Settings(seed=FRESH_SEED), 1, progress, task)[0]
    one = next(iter(reading.apart(1)))
    return speed(reading), None if one.size == reading.size else speed(one)


def _ratio(ours: Callable[[], Any], theirs: Callable[[], Any], progress: Progress) -> float:
    calls, ratios = 1, []
    while _seconds(theirs, calls) < LEAST_SECONDS:  # which warms it up
        calls *= 2
    _seconds(ours, calls)
    for turn in range(TIMES):
        progress("timing", turn / TIMES)
        taken = _seconds(ours, calls)
        ratios.append(_seconds(theirs, calls) / taken)
    return median(ratios)


def _seconds(work: Callable[[], Any], calls: int) -> float:
    """What so many calls take."""
    start = time.perf_counter()
    for _ in range(calls):
        work()
    return time.perf_counter() - start
