"""What sending every spike costs: the temporal engine beside the folded ones, in one run.

    .venv/bin/python benchmarks/temporal.py build/models/smollm2-135m-instruct --text FILE

Every round reads the same tokens with each engine in turn; the native one is warmed up first.
Ratios are taken round by round. All logits are compared, bit for bit.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import sangbo
from sangbo.engines import Reference, Segment, Temporal
from sangbo.engines.activity import Activity
from sangbo.tasks.language import whole_reading

NATIVE_READINGS = 9
"""Readings of the native engine in a round, whose median counts: each takes but a moment."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate-steps", type=int, nargs="+", default=[15])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    network = sangbo.load(given.folder)
    ids = network.text_tokenizer().encode(given.text.read_text())[: given.tokens]
    inputs = whole_reading(np.asarray(ids, np.int32))
    engines: dict[str, Any] = {"native (folded)": network.engine}
    engines["reference (folded)"] = Reference(network.graph)
    for steps in given.rate_steps:
        rate = Temporal(network.graph, "rate", steps=steps, largest_spiking=steps)
        engines[f"temporal, rate, T = {steps}"] = rate
    for code in ("radix", "csd"):
        engines[f"temporal, {code}, T ≤ 21"] = Temporal(network.graph, code)
    expected, _ = reading(network.engine, inputs)()
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    for turn in range(given.rounds):
        for name, engine in engines.items():
            times = NATIVE_READINGS if engine is network.engine else 1
            found = [reading(engine, inputs)() for _ in range(times)]
            logits = found[-1][0]
            seconds[name].append(statistics.median(took for _, took in found))
            if logits.tobytes() != expected.tobytes():
                raise SystemExit(f"expected the same logits of every engine, {name} gave others")
        print(f"round {turn + 1} of {given.rounds}", file=sys.stderr, flush=True)
    events = {n: counted(e, inputs) for n, e in engines.items() if isinstance(e, Temporal)}
    if given.json:
        print(json.dumps({"tokens": len(ids), "seconds": seconds, "events": events}))
        return
    first = seconds["native (folded)"]
    print(f"{len(ids)} tokens in one piece, {given.rounds} rounds, no logit differs\n")
    print("| engine | s, median (range) | × native, median (range) | M accumulates | M MACs |")
    print("|---|---:|---:|---:|---:|")
    for name, found in seconds.items():
        ratios = [a / b for a, b in zip(found, first, strict=True)]
        sums = [f"{n / len(ids) / 1e6:.1f}" for n in events.get(name, ())] or ["", ""]
        print(f"| {name} | {spread(found, 3)} | {spread(ratios, 0)} | {' | '.join(sums)} |")


def reading(engine: Any, inputs: Any, **options: Any) -> Callable[[], tuple[Any, float]]:
    """Reads the tokens; → logits and seconds."""

    def run() -> tuple[Any, float]:
        rows = len(inputs["tokens"])
        segment = Segment(engine.cache(rows), rows)
        start = time.perf_counter()
        logits = engine.run(inputs, [segment], **options)["logits"]
        return logits, time.perf_counter() - start

    return run


def counted(engine: Temporal, inputs: Any) -> tuple[int, int]:
    """Accumulates by spikes and MACs on the dense side."""
    activity = Activity()
    reading(engine, inputs, activity=activity)()
    received = activity.operations.values()
    return sum(int(o.accumulates.sum()) for o in received), sum(o.macs for o in received)


def spread(values: list[float], digits: int) -> str:
    """Median and range."""
    shown = (statistics.median(values), min(values), max(values))
    return "{} ({}–{})".format(*(f"{v:.{digits}f}" for v in shown))


if __name__ == "__main__":
    main()
