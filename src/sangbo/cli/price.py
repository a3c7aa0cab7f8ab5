"""``sangbo price``: events, energy and time per token, from a ledger."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sangbo import chips, codes, report, splits, waterfall
from sangbo.cli.output import JsonFlag, print_json, progress_bars, read_text, stdout
from sangbo.errors import PriceError
from sangbo.network import Network, load
from sangbo.progress import Progress
from sangbo.tallies import SPLITS, TILE

_TILE = f"{TILE[0]}x{TILE[1]}"
_SPLIT = f"{', '.join(SPLITS)} or all, if not the network's own; repeatable."
_TEXT = "Prose for groups: its first half is learned from. Without it the network writes some."
_BATCH = "Tokens of different texts that share one reading of the weights; shows smaller ones too."
_BREAK_EVEN = "Show for every layer where spikes break even, and what others published."


def price(
    folder: Annotated[Path, typer.Argument(help="A converted network.")],
    chip: Annotated[list[str] | None, typer.Option(help="A chip or its TOML file; all.")] = None,
    code: Annotated[str | None, typer.Option(help="Spike code, if not the network's own.")] = None,
    split: Annotated[list[str] | None, typer.Option(help=_SPLIT)] = None,
    tile: Annotated[str, typer.Option(help="ROWSxCHANNELS of a tile.")] = _TILE,
    text: Annotated[Path | None, typer.Option(help=_TEXT)] = None,
    tokens: Annotated[int, typer.Option(help="Most tokens to count groups in.")] = splits.TOKENS,
    batch: Annotated[int, typer.Option(min=1, help=_BATCH)] = 1,
    break_even: Annotated[bool, typer.Option("--break-even", help=_BREAK_EVEN)] = False,
    report_file: Annotated[
        Path | None, typer.Option("--report", help="Write a page with drawings (HTML).")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Price a network on chips: dense, spiking, complementary; compute and memory apart.

    By value it is priced from the stored ledger. A coarser split is counted anew, by the reference
    engine, and stands beside the split by value of the same run.
    """
    network = load(folder)
    nests = chips.weighted(network.graph)
    found = [chips.load(name) for name in chip or chips.names()]
    wanted = splits.named(split or [network.split])
    code = codes.code(code or network.code).name
    size = tile_size(tile)
    compared = None
    with progress_bars() as progress:
        if wanted == ["value"]:
            prices = _priced(network, found, code, batch, progress)
        else:
            if batch != 1:
                raise PriceError("expected a split by value with --batch, found another")
            prose = None if text is None else read_text(text)
            ledgers = splits.count_groups(
                network, wanted, tile=size, text=prose, tokens=tokens, progress=progress
            )
            prices, compared = splits.compare(ledgers, found, wanted, code=code)
        batches = _batches(network, found, code, batch, progress) if batch > 1 else {}
        layers = []
        if break_even:
            for place, one in enumerate(found):
                progress("finding break-evens", place / len(found))
                layers += chips.layer_break_evens(
                    network.ledger, one, code=code, batch=batch, nests=nests
                )
    fits = [chips.fit(chips.layers_of(network.graph), one) for one in found]
    published = list(chips.thresholds()) if break_even else []
    kept = [w for one in found if (w := waterfall.of_folder(network, one.name)) is not None]
    if report_file is not None:
        page = report.price_page(
            network.graph.name, prices, {c.name: c for c in found}, layers, published, kept
        )
        page.write(report_file)
    if json:
        extra: dict[str, Any] = {"fits": [f.to_dict() for f in fits if f.chips is not None]}
        if compared is not None:
            extra["splits"] = report.splits_document(compared)
        if kept:
            extra["waterfalls"] = {w.chip: w.to_dict() for w in kept}
        if batches:
            extra["batches"] = report.batch_document(batches)
        if break_even:
            extra |= report.break_even_document(layers, published)
        print_json(report.price_document(prices) | extra)
        return
    stdout.print(report.energy_table(prices))
    known = {c.name: c for c in found}
    stdout.print(report.budget_table(prices, known))
    stdout.print(report.budget_bars(prices, known))
    if batches:
        stdout.print(report.batch_table(batches))
    if compared:
        stdout.print(report.splits_table(compared))
    if break_even:
        if layers:
            stdout.print(report.break_even_table(layers))
        stdout.print(report.thresholds_table(published))
    for shown in kept:
        stdout.print(report.waterfall_table(shown))
    for fitted in fits:
        if fitted.chips is not None:
            stdout.print(f"• {fitted}", highlight=False, soft_wrap=True)
    for note in dict.fromkeys(f"{p.chip}: {note}" for p in prices for note in p.notes):
        stdout.print(f"• {note}", highlight=False, soft_wrap=True)
    stdout.print(chips.verdict(prices), highlight=False, soft_wrap=True)
    if report_file is not None:
        stdout.print(f"Written to {report_file}", highlight=False, soft_wrap=True)


def _priced(
    network: Network, found: Sequence[chips.Chip], code: str, batch: int, progress: Progress
) -> list[chips.Price]:
    def told() -> Any:
        for place, one in enumerate(found):
            progress(f"pricing a batch of {batch}", place / len(found))
            yield one

    nests = chips.weighted(network.graph)
    return chips.price_all(network.ledger, told(), code=code, batch=batch, nests=nests)


def _batches(
    network: Network, found: Sequence[chips.Chip], code: str, batch: int, progress: Progress
) -> dict[str, dict[int, list[chips.Price]]]:
    """Prices by chip and batch, for 1, 4, 16 … and ``batch`` itself."""
    sizes = [4**n for n in range(batch.bit_length()) if 4**n < batch]
    by_chip: dict[str, dict[int, list[chips.Price]]] = {c.name: {} for c in found}
    for size in (*sizes, batch):
        for priced in _priced(network, found, code, size, progress):
            by_chip[priced.chip].setdefault(size, []).append(priced)
    return {n: by for n, by in by_chip.items() if any(p.energy for p in by[batch])}


def tile_size(size: str) -> tuple[int, int]:
    """Rows and channels of a tile; raises `PriceError` unless it is like 16x64."""
    found = re.fullmatch(r"([0-9]{1,9})x([0-9]{1,9})", size)
    if found is None:
        raise PriceError(f"expected a tile as ROWSxCHANNELS, such as {_TILE}, found {size!r}")
    return int(found[1]), int(found[2])
