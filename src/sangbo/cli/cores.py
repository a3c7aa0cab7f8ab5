"""``sangbo cores``: one core whose units do both, or two cores of the same area."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sangbo import chips
from sangbo.cli.output import JsonFlag, print_json, progress_bars, read_text, stdout
from sangbo.cli.price import tile_size
from sangbo.network import load
from sangbo.report.cores import cores_table
from sangbo.splits import TOKENS
from sangbo.swings import compare_cores
from sangbo.tallies import TILE


def cores(
    folder: Annotated[Path, typer.Argument(help="A converted language model.")],
    text: Annotated[
        Path, typer.Option(help="Prose: its first half fixes the separate cores, the second runs.")
    ],
    chip: Annotated[str, typer.Option(help="A chip or its TOML file.")] = "c-transformer-28nm",
    tile: Annotated[
        str, typer.Option(help="ROWSxCHANNELS of a tile; 1x64 is a token that is written.")
    ] = f"{TILE[0]}x{TILE[1]}",
    tokens: Annotated[int, typer.Option(min=4, help="Most tokens to count.")] = TOKENS,
    json: JsonFlag = False,
) -> None:
    """Latency and utilisation of a core that switches, beside two that do not."""
    size, prose, network = tile_size(tile), read_text(text), load(folder)
    with progress_bars() as progress:
        found = compare_cores(
            network, chips.load(chip), prose, tokens=tokens, tile=size, progress=progress
        )
    if json:
        print_json(found.to_dict())
    else:
        stdout.print(cores_table(found))
