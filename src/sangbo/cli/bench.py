"""``sangbo bench``: speed here, in the manner of llama-bench."""

from __future__ import annotations

import csv
import itertools
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from sangbo.bench import Setting
from sangbo.bench import bench as measure
from sangbo.big_little import compare
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
    form: Annotated[Form, typer.Option("--format", help="How to print.")] = Form.TABLE,
    json: JsonFlag = False,
) -> None:
    """Measure prefill and decode speed; lists and ranges are swept.

    With guesses, answers of --decode tokens are written with them and without, too.
    """
    sweep = itertools.product(
        numbers("prompt", prompt),
        numbers("decode", decode),
        numbers("batch", batch),
        numbers("threads", threads or str(default_threads())),
    )
    settings = [Setting(p, d, b, t, counting) for p, d, b, t in sweep]
    network = load(folder)
    with progress_bars() as progress:
        found = measure(network, settings, repetitions=repetitions, isa=isa, progress=progress)
        compared = None
        if guesses is not None:
            compared = compare(
                network,
                guesses,
                None if prompts is None else read_text(prompts).splitlines(),
                max_tokens=settings[0].decode,
                engine=Native(network.heard_graph, threads=settings[0].threads, isa=isa),
                counting=counting,
                progress=progress,
            )
    results = [result.to_dict() for result in found]
    if json:
        about = {} if compared is None else {"guesses": compared.to_dict()}
        print_json({**results[0], "results": results, **about})
    elif form is Form.CSV:
        writer = csv.DictWriter(sys.stdout, list(results[0]))
        writer.writeheader()
        writer.writerows(results)
    else:
        stdout.print(_table(results))
        if compared is not None:
            stdout.print(str(compared), highlight=False, soft_wrap=True)


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
