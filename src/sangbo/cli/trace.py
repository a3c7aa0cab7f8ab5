"""``sangbo trace``: a prompt, spike by spike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sangbo.agreement import RATE_STEPS
from sangbo.cli.output import JsonFlag, print_json, progress_bars, stdout
from sangbo.cli.run import PROMPT
from sangbo.errors import SangboError
from sangbo.files import write_file
from sangbo.network import load
from sangbo.report.traces import NOTES, headline, trace_page, trace_table
from sangbo.tracing import trace as trace_network


def trace(
    folder: Annotated[Path, typer.Argument(help="A converted network.")],
    prompt: Annotated[str, typer.Option(help="What to read.")] = PROMPT,
    code: Annotated[
        str | None,
        typer.Option(help="rate, radix, csd or graded.", show_default="the network's"),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Time steps of a layer.", show_default="as many as it may need"),
    ] = None,
    largest_spiking: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Larger levels take the dense side.",
            show_default=f"none does; {RATE_STEPS} in rate",
        ),
    ] = None,
    operation: Annotated[
        list[str] | None,
        typer.Option(help="Linear operation whose spikes and membranes are kept and drawn."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Write one picture.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a page with pictures.")
    ] = None,
    arrays: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="Write what --operation kept.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Read a prompt with every spike sent: rasters, potentials, latency, spikes per step."""
    if arrays is not None and not operation:
        raise SangboError("expected --operation with --arrays, found none")
    network = load(folder)
    with progress_bars() as progress:
        seen = trace_network(
            network, prompt, code=code, steps=steps, largest_spiking=largest_spiking,
            watched=operation or (), progress=progress,
        )  # fmt: skip
    if report is not None:
        trace_page(seen).write(report)
    if picture is not None:
        from sangbo.report import layer_figures, trace_figures

        write_file(picture, layer_figures.png(trace_figures.overview(seen)))
    if arrays is not None:
        write_file(arrays, seen.arrays())
    if json:
        print_json(seen.to_dict())
    else:
        stdout.print(trace_table(seen))
        for line in (NOTES, headline(seen)):
            stdout.print(line, highlight=False, markup=False)
    if seen.different:
        raise typer.Exit(1)
