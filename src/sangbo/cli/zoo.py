"""``sangbo zoo``: networks of every family, before and after conversion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sangbo.cli.output import JsonFlag, print_json, progress_bars, stderr, stdout
from sangbo.files import write_file
from sangbo.report.zoo import zoo_markdown

FOLDER = Path("build/zoo")


def zoo(
    network: Annotated[list[str] | None, typer.Argument(help="Rows; all.")] = None,
    folder: Annotated[Path, typer.Option(help="Keeps what is trained and measured.")] = FOLDER,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write the table as markdown.")
    ] = None,
    time_again: Annotated[
        bool, typer.Option("--time-again", help="Time rows that are there once more.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Convert, measure, certify, price and time every network; goes on where it was stopped."""
    from sangbo.zoo.table import make_table

    with progress_bars() as progress:
        results, failures = make_table(folder, network, progress, time_again=time_again)
    shown = zoo_markdown(results)
    if output is not None:
        write_file(output, shown.encode())
    if json:
        print_json({"rows": [r.to_dict() for r in results], "failures": failures})
    else:
        stdout.print(shown, highlight=False, soft_wrap=True, markup=False)
    for name, why in failures.items():
        stderr.print(f"{name} could not be made: {why}", highlight=False, soft_wrap=True)
    if failures or not all(r.passed for r in results):
        raise typer.Exit(1)
