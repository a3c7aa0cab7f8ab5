"""``sangbo chips``: what chips state."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markdown import Markdown
from rich.table import Table

from sangbo.chips import load, names
from sangbo.cli.output import JsonFlag, print_json, stdout


def chips(
    name: Annotated[str | None, typer.Argument(help="A chip's name, or its TOML file.")] = None,
    json: JsonFlag = False,
) -> None:
    """List the chips, or show every number of one with its unit, source and provenance."""
    found = [load(n) for n in ([name] if name else names())]
    if json:
        print_json({"chips": [chip.to_dict() for chip in found]})
    elif name:
        stdout.print(Markdown(found[0].to_markdown()))
    else:
        table = Table(title="Chips")
        for column in ("name", "what it is", "dense", "spiking", "numbers are"):
            table.add_column(column)
        for chip in found:
            units = ("yes" if unit else "no" for unit in (chip.dense, chip.spiking))
            table.add_row(chip.name, chip.title, *units, ", ".join(chip.provenances))
        stdout.print(table)
