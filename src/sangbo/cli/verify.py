"""``sangbo verify``: the certificate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sangbo.cli.output import JsonFlag, print_json, progress_bars, read_text, stderr, stdout
from sangbo.network import load
from sangbo.sources import open_source
from sangbo.verify import DEFAULT_ALLOWED, write_certificate
from sangbo.verify import verify as verify_network


def verify(
    folder: Annotated[Path, typer.Argument(help="A converted network.")],
    text: Annotated[
        Path | None, typer.Option(help="Prose; without it the original network writes some.")
    ] = None,
    tokens: Annotated[int | None, typer.Option(min=2, help="Most tokens to compare.")] = None,
    original: Annotated[str | None, typer.Option(help="Where the original is now.")] = None,
    allowed: Annotated[
        float, typer.Option(help="Largest relative change of the metric.")
    ] = DEFAULT_ALLOWED,
    json: JsonFlag = False,
) -> None:
    """Compare a converted network with its original and write certificate.json."""
    network = load(folder)
    prose = None if text is None else read_text(text)
    with progress_bars() as progress:
        source = open_source(original, progress) if original else None
        certificate = verify_network(
            network, prose, original=source, tokens=tokens, allowed=allowed, progress=progress
        )
    write_certificate(certificate, folder)
    if json:
        print_json(certificate.to_dict())
    else:
        stdout.print(certificate.to_markdown(), highlight=False, soft_wrap=True)
    if not certificate.passed:
        stderr.print("The certificate does not hold.")
        raise typer.Exit(1)
