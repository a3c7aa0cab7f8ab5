"""`sangbo advise`: does this table need deep learning at all?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sangbo.cli.output import JsonFlag, print_json, progress_bars
from sangbo.errors import DataError


def advise(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="CSV or Parquet.")],
    target: Annotated[str | None, typer.Option(help="Column to predict; else groups.")] = None,
    task: Annotated[str | None, typer.Option(help="classification or regression.")] = None,
    budget: Annotated[float, typer.Option(help="Seconds for everything.")] = 120.0,
    candidates: Annotated[str | None, typer.Option(help="Names to try, comma between.")] = None,
    apply: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Judge the rows of another table.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE.skops", help="Save the trained model.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything drawn.")] = 0,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a report.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Try everything from a majority rule to networks; advise the cheapest that is good enough."""
    from sangbo.advise import advice_page
    from sangbo.advise import advise as work

    if target is None and (apply or save):
        raise DataError("expected --target beside --apply and --save, found none")
    names = None if candidates is None else [n.strip() for n in candidates.split(",")]
    with progress_bars() as progress:
        found = work(
            table,
            target,
            task=task,
            budget=budget,
            candidates=names,
            apply=apply,
            seed=seed,
            progress=progress,
        )
    if save is not None and found.advisor is not None:
        found.advisor.save(save)
    if report is not None:
        advice_page(found).write(report)
    if json:
        print_json(found.to_dict())
        return
    typer.echo(found.summary())
    for words in [*found.table.findings, *found.notes]:
        typer.echo(f"- {words}")
