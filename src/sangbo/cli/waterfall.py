"""``sangbo waterfall``: what each invention is worth, one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sangbo import chips, report
from sangbo.cli.output import JsonFlag, print_json, progress_bars, read_text, stdout
from sangbo.network import load
from sangbo.sources import open_source
from sangbo.waterfall import TOKENS
from sangbo.waterfall import waterfall as make_waterfall


def waterfall(
    folder: Annotated[Path, typer.Argument(help="A converted language model.")],
    chip: Annotated[str, typer.Option(help="A chip or its TOML file.")] = "c-transformer-28nm",
    text: Annotated[
        Path | None, typer.Option(help="Prose for perplexities; without it none is measured.")
    ] = None,
    tokens: Annotated[int, typer.Option(min=2, help="Most tokens of it.")] = TOKENS,
    original: Annotated[str | None, typer.Option(help="Where the original is now.")] = None,
    speed: Annotated[bool, typer.Option(help="Time this machine.")] = True,
    again: Annotated[
        bool, typer.Option("--again", help="Measure again what the folder keeps of an earlier run.")
    ] = False,
    report_file: Annotated[
        Path | None, typer.Option("--report", help="Write a page with a drawing (HTML).")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """From dense int8 to all inventions of the folder: energy, perplexity and speed after each.

    What was measured is kept in the folder: stopped, it goes on where it was.
    """
    prose = None if text is None else read_text(text)
    network = load(folder)
    with progress_bars() as progress:
        source = open_source(original, progress) if original else None
        found = make_waterfall(
            network,
            chips.load(chip),
            prose,
            original=source,
            tokens=tokens,
            speed=speed,
            again=again,
            progress=progress,
        )
    if report_file is not None:
        report.waterfall_page(found).write(report_file)
    if json:
        print_json(found.to_dict())
        return
    stdout.print(report.waterfall_table(found))
    stdout.print(report.waterfall_bars(found))
    for step in found.steps:
        for note in step.notes:
            stdout.print(f"• {step.name}: {note}", highlight=False, soft_wrap=True)
    if report_file is not None:
        stdout.print(f"Written to {report_file}", highlight=False, soft_wrap=True)
