"""The command line: parses, calls, prints. One file per command; no logic of its own."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import typer
from typer.exceptions import TyperException

from sangbo._version import __version__
from sangbo.cli import (
    advise,
    bench,
    chips,
    convert,
    cores,
    early,
    inspect,
    limits,
    little,
    models,
    price,
    run,
    simulate,
    tasks,
    trace,
    verify,
    waterfall,
    zoo,
)  # fmt: skip
from sangbo.errors import SangboError

app = typer.Typer(
    name="sangbo",
    help="Turn a trained neural network into a complementary spiking network.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("models")(models.models)
app.command("convert")(convert.convert)
app.command("verify")(verify.verify)
app.command("inspect")(inspect.inspect)
app.command("trace")(trace.trace)
app.command("run")(run.run)
app.command("translate")(tasks.translate)
app.command("transcribe")(tasks.transcribe)
app.command("embed")(tasks.embed)
app.command("classify")(tasks.classify)
app.command("read-text")(tasks.read_text)
app.command("phonemes")(tasks.phonemes)
app.command("detect-voice")(tasks.detect_voice)
app.command("draw")(tasks.draw)
app.command("zoo")(zoo.zoo)
app.command("price")(price.price)
app.command("cores")(cores.cores)
app.command("early")(early.early)
app.command("waterfall")(waterfall.waterfall)
app.command("little")(little.little)
app.command("bench")(bench.bench)
app.command("chips")(chips.chips)
app.add_typer(limits.app, name="limits")
app.add_typer(simulate.app, name="simulate")
app.command("advise")(advise.advise)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sangbo {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


def main() -> NoReturn:
    """Run the command line; errors are one line on stderr, never a traceback."""
    try:
        status = app(standalone_mode=False)
        sys.stdout.flush()
        sys.exit(status if isinstance(status, int) else 0)
    except SangboError as error:
        _fail(str(error), 2)
    except TyperException as error:
        _fail(getattr(error, "format_message", error.__str__)(), 2)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except MemoryError:
        _fail("expected enough memory for this network, found too little", 2)
    except OSError as error:
        _fail(f"expected to read or write files: {error}", 2)


def _fail(message: str, status: int) -> NoReturn:
    print(f"sangbo: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)
