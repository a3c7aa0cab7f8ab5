"""How fast a network runs here: reading a prompt (prefill) and writing (decode), in tokens/s."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sangbo.engines import Native, Segment
from sangbo.errors import SangboError
from sangbo.network import Network
from sangbo.progress import Progress, silent


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of a benchmark.

    Attributes:
        prompt: tokens of each prompt; 0 measures no prefill.
        decode: tokens that are then written per sequence; 0 measures no decode.
        batch: sequences that run together.
        threads: threads of the engine.
        counting: whether every level is counted.
    """

    prompt: int
    decode: int
    batch: int
    threads: int
    counting: bool


@dataclass(frozen=True, slots=True)
class Result:
    """What one setting measured; one entry per repetition.

    Attributes:
        setting: what was run.
        prefill: tokens per second, all sequences together.
        decode: tokens per second, all sequences together.
        weight_bytes: bytes of weights that one decode step reads.
        isa: instruction set in use.
    """

    setting: Setting
    prefill: tuple[float, ...]
    decode: tuple[float, ...]
    weight_bytes: int
    isa: str

    @property
    def achieved_gb_per_second(self) -> float | None:
        """Weight bytes read per second while decoding, in 10⁹ bytes; None without decode."""
        if not self.decode:
            return None
        steps = statistics.median(self.decode) / self.setting.batch
        return steps * self.weight_bytes / 1e9

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values: medians, means and standard deviations."""
        values: dict[str, Any] = {
            "prompt": self.setting.prompt,
            "decode": self.setting.decode,
            "batch": self.setting.batch,
        }
        for name, samples in (("prefill", self.prefill), ("decode", self.decode)):
            values[f"{name}_tokens_per_second"] = statistics.median(samples) if samples else None
            values[f"{name}_mean"] = statistics.fmean(samples) if samples else None
            values[f"{name}_deviation"] = statistics.stdev(samples) if len(samples) > 1 else None
        return values | {
            "repetitions": max(len(self.prefill), len(self.decode)),
            "threads": self.setting.threads,
            "weight_bytes": self.weight_bytes,
            "achieved_gb_per_second": self.achieved_gb_per_second,
            "isa": self.isa,
            "counting": self.setting.counting,
        }


def bench(
    network: Network,
    settings: Sequence[Setting],
    *,
    repetitions: int = 5,
    isa: str | None = None,
    progress: Progress = silent,
) -> list[Result]:
    """Measure every setting: one warm-up, then ``repetitions`` runs of each in turn.

    Tokens are random with a fixed seed; what they are does not change the work by much.

    Raises:
        SangboError: where a setting does not fit the network.
    """
    context = network.context
    for setting in settings:
        if min(setting.batch, setting.threads, repetitions) < 1 or setting.prompt < 0:
            raise SangboError(
                f"expected a batch, threads and repetitions of 1 or more in {setting}"
            )
        if not setting.prompt and not setting.decode:
            raise SangboError("expected tokens to read or to write, found neither")
        if setting.prompt + setting.decode > context:
            raise SangboError(
                f"expected at most {context} tokens, found {setting.prompt} + {setting.decode}"
            )
    engines = {t: Native(network.graph, threads=t, isa=isa) for t in {s.threads for s in settings}}
    samples: list[tuple[list[float], list[float]]] = [([], []) for _ in settings]
    total = len(settings) * (repetitions + 1)
    for repetition in range(repetitions + 1):
        for place, setting in enumerate(settings):
            progress("measuring", (repetition * len(settings) + place) / total)
            speeds = _measure(engines[setting.threads], setting)
            if repetition:
                for kept, speed in zip(samples[place], speeds, strict=True):
                    if speed is not None:
                        kept.append(speed)
    return [
        Result(setting, tuple(prefill), tuple(decode), engine.packed_bytes, engine.isa)
        for setting, (prefill, decode) in zip(settings, samples, strict=True)
        for engine in [engines[setting.threads]]
    ]


def _measure(engine: Native, setting: Setting) -> tuple[float | None, float | None]:
    generator = np.random.default_rng(0)
    vocabulary = engine.graph.values["logits"].channels
    ledger = engine.ledger() if setting.counting else None
    capacity = max(1, setting.prompt) + setting.decode
    caches = [engine.cache(capacity) for _ in range(setting.batch)]

    def step(rows: int, position: int) -> Callable[[], object]:
        tokens = generator.integers(0, vocabulary, rows * setting.batch).astype(np.int32)
        positions = np.tile(np.arange(position, position + rows, dtype=np.int32), setting.batch)
        last = np.arange(1, setting.batch + 1, dtype=np.int32) * np.int32(rows) - np.int32(1)
        inputs = {"tokens": tokens, "positions": positions, "selected": last}
        segments = [Segment(cache, rows) for cache in caches]
        return lambda: engine.run(inputs, segments, ledger=ledger)

    prefill = decode = None
    rows = max(1, setting.prompt)
    seconds = _seconds([step(rows, 0)])
    if setting.prompt:
        prefill = setting.prompt * setting.batch / seconds
    if setting.decode:
        steps = [step(1, rows + at) for at in range(setting.decode)]
        decode = setting.decode * setting.batch / _seconds(steps)
    return prefill, decode


def _seconds(steps: Sequence[Callable[[], object]]) -> float:
    start = time.perf_counter()
    for step in steps:
        step()
    return time.perf_counter() - start
