"""``sangbo price``: events and energy per token, from the stored ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sangbo import chips
from sangbo.cli.output import JsonFlag, print_json, stdout
from sangbo.network import load
from sangbo.report import energy_table, price_document


def price(
    folder: Annotated[Path, typer.Argument(help="A converted network.")],
    chip: Annotated[list[str] | None, typer.Option(help="A chip or its TOML file; all.")] = None,
    code: Annotated[str | None, typer.Option(help="Spike code, if not the network's own.")] = None,
    json: JsonFlag = False,
) -> None:
    """Price a network on chips: dense, spiking, complementary; compute and memory apart."""
    network = load(folder)
    prices = [p for name in chip or chips.names() for p in network.price(name, code=code)]
    if json:
        print_json(price_document(prices))
        return
    stdout.print(energy_table(prices))
    for note in dict.fromkeys(f"{p.chip}: {note}" for p in prices for note in p.notes):
        stdout.print(f"• {note}", highlight=False, soft_wrap=True)
    stdout.print(chips.verdict(prices), highlight=False, soft_wrap=True)
