"""``sangbo bench``: speed here, in the manner of llama-bench."""

from __future__ import annotations

import csv
import itertools
import math
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from sangbo.bench import Setting
from sangbo.bench import bench as measure
from sangbo.big_little import Compared, compare
from sangbo.cli.output import (
    GuessesFlag,
    JsonFlag,
    print_json,
    progress_bars,
    read_text,
    stdout,
)
from sangbo.engines import Native
from sangbo.engines.native import default_threads
from sangbo.errors import SangboError
from sangbo.network import load
from sangbo.tasks.speculate import Doubt

LARGEST_SWEEP = 256


class Form(StrEnum):
    """How results are printed."""

    TABLE = "table"
    CSV = "csv"


def bench(
    folder: Annotated[Path, typer.Argument(help="A converted network.")],
    prompt: Annotated[
        str, typer.Option(help="Tokens to read: 512 or 128,512 or 64-256+64.")
    ] = "512",
    decode: Annotated[str, typer.Option(help="Tokens to write after it.")] = "64",
    batch: Annotated[str, typer.Option(help="Sequences that run together.")] = "1",
    threads: Annotated[str | None, typer.Option(help="Threads; all processors.")] = None,
    repetitions: Annotated[int, typer.Option(min=1, help="Runs after the warm-up.")] = 5,
    isa: Annotated[str | None, typer.Option(help="Instruction set; the fastest.")] = None,
    counting: Annotated[bool, typer.Option(help="Count every level.")] = True,
    guesses: GuessesFlag = None,
    prompts: Annotated[
        Path | None, typer.Option(help="Prompts to guess on, one a line; 20 of our own.")
    ] = None,
    tolerance: Annotated[
        str | None,
        typer.Option(
            help="Let guesses change the text: keep a token of at most so many nats; several with "
            "commas."
        ),
    ] = None,
    fallback: Annotated[
        float | None,
        typer.Option(help="Chance below which who guesses gives way; by what guesses cost."),
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="How to print.")] = Form.TABLE,
    json: JsonFlag = False,
) -> None:
    """Measure prefill and decode speed; lists and ranges are swept.

    With guesses, answers of --decode tokens are written with them and without, too; once for each
    tolerance, as a little network writes that falls back to the big one, which rolls back.
    """
    sweep = itertools.product(
        numbers("prompt", prompt),
        numbers("decode", decode),
        numbers("batch", batch),
        numbers("threads", threads or str(default_threads())),
    )
    settings = [Setting(p, d, b, t, counting) for p, d, b, t in sweep]
    doubts = _doubts(guesses, tolerance, fallback)
    network = load(folder)
    with progress_bars() as progress:
        found = measure(network, settings, repetitions=repetitions, isa=isa, progress=progress)
        compared: list[tuple[Doubt, Compared]] = []
        for doubt in doubts if guesses is not None else ():
            result = compare(
                network,
                str(guesses),
                None if prompts is None else read_text(prompts).splitlines(),
                max_tokens=settings[0].decode,
                doubt=doubt,
                engine=Native(network.heard_graph, threads=settings[0].threads, isa=isa),
                counting=counting,
                progress=progress,
            )
            compared.append((doubt, result))
    results = [result.to_dict() for result in found]
    if json:
        about: dict[str, Any] = {}
        if tolerance is not None:
            about["lossy"] = [asdict(doubt) | c.to_dict() for doubt, c in compared]
        elif compared:
            about["guesses"] = compared[0][1].to_dict()
        print_json({**results[0], "results": results, **about})
    elif form is Form.CSV:
        writer = csv.DictWriter(sys.stdout, list(results[0]))
        writer.writeheader()
        writer.writerows(results)
    else:
        stdout.print(_table(results))
        if tolerance is not None:
            stdout.print(_lossy(compared))
        elif compared:
            stdout.print(str(compared[0][1]), highlight=False, soft_wrap=True)


def _doubts(guesses: str | None, tolerance: str | None, fallback: float | None) -> list[Doubt]:
    """Which guesses are made and kept, for every tolerance."""
    if guesses is None and (tolerance is not None or fallback is not None):
        raise SangboError("expected --guesses beside --tolerance and --fallback, found none")
    if fallback is not None and not 0 <= fallback <= 1:
        raise SangboError(f"expected --fallback to be a chance from 0 to 1, found {fallback}")
    if tolerance is None:
        return [Doubt(fallback)]
    try:
        nats = [float(part) for part in tolerance.split(",")]
    except ValueError:
        nats = [math.nan]
    if not all(0 <= n < math.inf for n in nats):
        raise SangboError(f"expected --tolerance to be like 1 or 0.5,1,2, found {tolerance!r}")
    return [Doubt(fallback, n) for n in nats]


def _lossy(compared: list[tuple[Doubt, Compared]]) -> Table:
    """One row for each tolerance: who wrote, what it cost in likelihood, how fast it was."""
    table = Table(title=f"Texts that guesses by {compared[0][1].guesses} may change")
    for column in (
        "tolerance, nats", "guessed tokens", "lossy", "nats per token", "tokens/s", "ratio",
        "weight bytes",
    ):  # fmt: skip
        table.add_column(column, justify="right")
    for doubt, one in compared:
        values, speeds = one.to_dict(), one.tokens_per_second
        nats = values["nats"]
        table.add_row(
            f"{doubt.tolerance:g}",
            f"{values['kept_share_of_tokens']:.1%}",
            f"{values['lossy_share_of_tokens']:.1%}",
            f"{nats['plain']:.3f} → {nats['guessed']:.3f}",
            f"{speeds[0]:.1f} → {speeds[1]:.1f}",
            f"{one.speedup:.2f}",
            f"{one.weight_bytes_relative:.2f}×",
        )
    return table


def numbers(name: str, text: str) -> list[int]:
    """What a sweep option asks for: ``5``, ``5,7``, ``8-32+8`` (a range with its step)."""
    found: list[int] = []
    for part in text.split(","):
        span, _, step = part.partition("+")
        first, _, last = span.partition("-")
        words = [first, last or first, step or "1"]
        if not all(w.strip().isdecimal() and len(w) < 10 for w in words) or int(words[2]) < 1:
            raise SangboError(
                f"expected --{name} to be like 512, 128,512 or 64-256+64, found {text!r}"
            )
        found += list(range(int(words[0]), int(words[1]) + 1, int(words[2])))[: LARGEST_SWEEP + 1]
    if not 0 < len(found) <= LARGEST_SWEEP:
        raise SangboError(f"expected 1 to {LARGEST_SWEEP} values of --{name}, found {text!r}")
    return found


def _table(results: list[dict[str, Any]]) -> Table:
    first = results[0]
    counted = "every level counted" if first["counting"] else "nothing counted"
    table = Table(
        title=f"tokens/s, mean ± deviation of {first['repetitions']} ({first['isa']}, {counted})"
    )
    for column in ("prompt", "decode", "batch", "threads", "prefill", "decode", "GB/s of weights"):
        table.add_column(column, justify="right")
    for r in results:
        achieved = r["achieved_gb_per_second"]
        table.add_row(
            *(str(r[key]) for key in ("prompt", "decode", "batch", "threads")),
            *(_speed(r, name) for name in ("prefill", "decode")),
            "–" if achieved is None else f"{achieved:.1f}",
        )
    return table


def _speed(result: dict[str, Any], name: str) -> str:
    mean, deviation = result[f"{name}_mean"], result[f"{name}_deviation"]
    if mean is None:
        return "–"
    return f"{mean:.1f}" if deviation is None else f"{mean:.1f} ± {deviation:.1f}"
