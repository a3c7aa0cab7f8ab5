"""``sangbo price``: events and energy per token, from a ledger."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from sangbo import chips, codes, splits
from sangbo.cli.output import JsonFlag, print_json, progress_bars, read_text, stdout
from sangbo.errors import PriceError
from sangbo.network import load
from sangbo.report import energy_table, price_document, splits_document, splits_table
from sangbo.tallies import SPLITS, TILE

_TILE = f"{TILE[0]}x{TILE[1]}"
_SPLIT = f"{', '.join(SPLITS)} or all, if not the network's own; repeatable."
_TEXT = "Prose for groups: its first half is learned from. Without it the network writes some."


def price(
    folder: Annotated[Path, typer.Argument(help="A converted network.")],
    chip: Annotated[list[str] | None, typer.Option(help="A chip or its TOML file; all.")] = None,
    code: Annotated[str | None, typer.Option(help="Spike code, if not the network's own.")] = None,
    split: Annotated[list[str] | None, typer.Option(help=_SPLIT)] = None,
    tile: Annotated[str, typer.Option(help="ROWSxCHANNELS of a tile.")] = _TILE,
    text: Annotated[Path | None, typer.Option(help=_TEXT)] = None,
    tokens: Annotated[int, typer.Option(help="Most tokens to count groups in.")] = splits.TOKENS,
    json: JsonFlag = False,
) -> None:
    """Price a network on chips: dense, spiking, complementary; compute and memory apart.

    By value it is priced from the stored ledger. A coarser split is counted anew, by the reference
    engine, and stands beside the split by value of the same run.
    """
    network = load(folder)
    found = [chips.load(name) for name in chip or chips.names()]
    wanted = splits.named(split or [network.split])
    code = codes.code(code or network.code).name
    size = _tile(tile)
    if wanted == ["value"]:
        prices = [p for c in found for p in chips.price(network.ledger, c, code=code)]
        compared = None
    else:
        prose = None if text is None else read_text(text)
        with progress_bars() as progress:
            ledgers = splits.count_groups(
                network,
                wanted,
                tile=size,
                text=prose,
                tokens=tokens,
                progress=progress,
            )
        prices, compared = splits.compare(ledgers, found, wanted, code=code)
    if json:
        extra = {} if compared is None else {"splits": splits_document(compared)}
        print_json(price_document(prices) | extra)
        return
    stdout.print(energy_table(prices))
    if compared:
        stdout.print(splits_table(compared))
    for note in dict.fromkeys(f"{p.chip}: {note}" for p in prices for note in p.notes):
        stdout.print(f"• {note}", highlight=False, soft_wrap=True)
    stdout.print(chips.verdict(prices), highlight=False, soft_wrap=True)


def _tile(size: str) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{1,9})x([0-9]{1,9})", size)
    if found is None:
        raise PriceError(f"expected a tile as ROWSxCHANNELS, such as {_TILE}, found {size!r}")
    return int(found[1]), int(found[2])
