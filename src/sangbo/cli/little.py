"""``sangbo little``: makes the little network that guesses for a converted one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sangbo.cli.output import JsonFlag, print_json, progress_bars, stdout
from sangbo.distil import distil
from sangbo.distil.little import TOKENS
from sangbo.network import load


def little(
    folder: Annotated[Path, typer.Argument(help="A converted language model.")],
    tokens: Annotated[int, typer.Option(min=1000, help="Tokens to learn from.")] = TOKENS,
    seed: Annotated[int, typer.Option(help="Seed of what is written.")] = 0,
    json: JsonFlag = False,
) -> None:
    """Make a little network that guesses what a converted one writes; see run --guesses little."""
    with progress_bars() as progress:
        made = distil(load(folder), tokens=tokens, seed=seed, progress=progress)
    found = {"folder": str(made.folder), "weight_bytes": made.guess_bytes, "tokens": tokens}
    if json:
        print_json(found)
        return
    stdout.print(made.graph.summary().splitlines()[0])
    stdout.print(f"Written to {made.folder}; a guess reads {made.guess_bytes / 1e6:.1f} MB")
