"""``sangbo verify``: the certificate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sangbo.agreement import CODES, RATE_STEPS, chosen, contenders
from sangbo.big_little import compare
from sangbo.certificate import CERTIFICATE_FILE, DEFAULT_ALLOWED, Certificate, write_certificate
from sangbo.cli.output import (
    GuessesFlag,
    JsonFlag,
    print_json,
    progress_bars,
    read_text,
    stderr,
    stdout,
)
from sangbo.network import load
from sangbo.recheck import Recheck, read_certificate, recheck
from sangbo.sources import open_source
from sangbo.verify import verify as verify_network


def verify(
    folder: Annotated[Path, typer.Argument(help="A converted network.")],
    text: Annotated[
        Path | None, typer.Option(help="Prose; without it the original network writes some.")
    ] = None,
    tokens: Annotated[int | None, typer.Option(min=2, help="Most tokens to compare; all.")] = None,
    original: Annotated[str | None, typer.Option(help="Where the original is now.")] = None,
    allowed: Annotated[
        float | None,
        typer.Option(help="Largest relative change of the metric.", show_default="0.02"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to write it.", show_default="DIR"),
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(help="Engine to compare with the reference; all.", show_default="all"),
    ] = None,
    code: Annotated[
        list[str] | None,
        typer.Option(help="Spike code of the temporal engine.", show_default="rate radix csd"),
    ] = None,
    rate_steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Time steps of rate code; larger levels take the dense side.",
            show_default=str(RATE_STEPS),
        ),
    ] = None,
    engine_tokens: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Tokens on which engines are compared.",
            show_default="native 512, temporal 64",
        ),
    ] = None,
    guesses: GuessesFlag = None,
    against: Annotated[
        Path | None, typer.Option(help="A certificate to check again; nothing is written.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Compare a converted network with its original, and its engines with each other."""
    settings = (tokens, allowed, output, engine, code, rate_steps, engine_tokens, guesses)
    if against is not None and any(s is not None for s in settings):
        raise typer.BadParameter("--against takes its settings from the certificate")
    document = None if against is None else read_certificate(against)
    engines = chosen(engine, contenders(code or CODES, rate_steps or RATE_STEPS), engine_tokens)
    network = load(folder)
    prose = None if text is None else read_text(text)
    result: Certificate | Recheck
    with progress_bars() as progress:
        source = open_source(original, progress) if original else None
        if document is not None:
            result = recheck(network, document, prose, original=source, progress=progress)
        else:
            result = verify_network(
                network,
                prose,
                original=source,
                tokens=tokens,
                allowed=DEFAULT_ALLOWED if allowed is None else allowed,
                engines=engines,
                progress=progress,
            )
        compared = None if guesses is None else compare(network, guesses, progress=progress)
    certificate = result.certificate if isinstance(result, Recheck) else result
    if isinstance(result, Certificate):
        write_certificate(result, output or folder / CERTIFICATE_FILE)
    if json:
        about = {} if compared is None else {"guesses": compared.to_dict()}
        print_json(result.to_dict() | about)
    else:
        stdout.print(certificate.to_markdown(), highlight=False, soft_wrap=True, markup=False)
        if isinstance(result, Recheck):
            stdout.print(str(result), highlight=False, soft_wrap=True, markup=False)
        if compared is not None:
            stdout.print(str(compared), highlight=False, soft_wrap=True)
    if compared is not None and compared.different:
        stderr.print(f"expected 0 tokens to differ with guesses, found {compared.different}")
        raise typer.Exit(1)
    if not result.passed:
        stderr.print("The certificate does not hold.")
        for line in certificate.failures():
            stderr.print(f"  {line}", highlight=False, soft_wrap=True, markup=False)
        raise typer.Exit(1)
