"""``sangbo inspect``: which layers lose, and which cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sangbo.cli.output import JsonFlag, print_json, progress_bars, read_text, stdout
from sangbo.errors import SangboError
from sangbo.files import write_file
from sangbo.inspection import inspect as inspect_network
from sangbo.network import load
from sangbo.report.layers import (
    NOTES,
    hardest,
    headline,
    layer_page,
    layer_table,
    most_important,
)
from sangbo.sources import open_source


def inspect(
    folder: Annotated[Path, typer.Argument(help="A converted network.")],
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a page with pictures.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Write one picture.")
    ] = None,
    text: Annotated[
        Path | None, typer.Option(help="Count and measure on this, not on what is stored.")
    ] = None,
    tokens: Annotated[int, typer.Option(min=2, help="Most tokens of the text.")] = 1024,
    original: Annotated[str | None, typer.Option(help="Where the original is now.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Print every neuron layer.")] = False,
    json: JsonFlag = False,
) -> None:
    """Show every layer's threshold, levels, spikes, share dense, predicted loss and error."""
    if text is None and original is not None:
        raise SangboError("expected --original with --text, which alone needs it")
    network = load(folder)
    prose = None if text is None else read_text(text)
    with progress_bars() as progress:
        source = open_source(original, progress) if original else None
        seen = inspect_network(network, prose, original=source, tokens=tokens, progress=progress)
    if report is not None:
        layer_page(seen).write(report)
    if picture is not None:
        from sangbo.report import layer_figures

        write_file(picture, layer_figures.png(layer_figures.overview(seen)))
    if json:
        print_json(seen.to_dict())
        return
    stdout.print(layer_table(seen, None if everything else most_important(seen)))
    for line in (NOTES, headline(seen), hardest(seen)):
        stdout.print(line, highlight=False, markup=False)
