"""``sangbo chips``: what chips state, and whether a user's chip file is sound."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markdown import Markdown
from rich.table import Table

from sangbo.chips import Fit, fit, layers_of, load, names
from sangbo.cli.output import JsonFlag, print_json, stdout
from sangbo.errors import ChipError
from sangbo.network import load as load_network

_CHECK = "A chip file to check: exit 2 and the line at fault, or what it states."
_FIT = "A converted network: show the cores and chips it takes, and the limits it breaks."


def chips(
    name: Annotated[str | None, typer.Argument(help="A chip's name, or its TOML file.")] = None,
    check: Annotated[Path | None, typer.Option(help=_CHECK)] = None,
    network: Annotated[Path | None, typer.Option("--fit", help=_FIT)] = None,
    json: JsonFlag = False,
) -> None:
    """List the chips, or show every number of one with its unit, source and provenance."""
    if check is not None and name is not None:
        raise ChipError("expected a chip's name or --check FILE, found both")
    if check is not None:
        if check.suffix != ".toml":
            raise ChipError(f"expected a .toml file to check, found {check}")
        name = str(check if check.parent.name else Path.cwd() / check)
    found = [load(n) for n in ([name] if name else names())]
    if network is not None:
        layers = layers_of(load_network(network).graph)
        fits = [fit(layers, chip) for chip in found]
        if json:
            print_json({"fits": [one.to_dict() for one in fits]})
            return
        for one in fits:
            show_fit(one)
    elif json:
        print_json({"chips": [chip.to_dict() for chip in found]})
    elif check is not None:
        count = len(list(found[0].quantities()))
        stdout.print(f"{check}: {found[0].name} is sound; {count} numbers", soft_wrap=True)
    elif name:
        stdout.print(Markdown(found[0].to_markdown()))
    else:
        table = Table(title="Chips")
        for column in ("name", "what it is", "dense", "spiking", "energies are"):
            table.add_column(column)
        for chip in found:
            units = ("yes" if unit else "no" for unit in (chip.dense, chip.spiking))
            energies = ", ".join(chip.provenances) or "not published"
            table.add_row(chip.name, chip.title, *units, energies)
        stdout.print(table)


def show_fit(found: Fit) -> None:
    """Print what a network takes of a chip, and every limit that it breaks."""
    stdout.print(str(found), highlight=False, soft_wrap=True)
    for breach in found.breaches:
        stdout.print(f"  {breach}", highlight=False, soft_wrap=True)
