"""What all commands share: progress on stderr, JSON on stdout, files that the user names."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from sangbo.errors import SangboError
from sangbo.progress import Progress, silent

LARGEST_TEXT = 256 * 2**20

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
GuessesFlag = Annotated[
    str | None,
    typer.Option(
        help="Who guesses tokens ahead, which changes the speed alone: lookup (what was written "
        "before), little (see sangbo little) or both.",
        show_default="nobody",
    ),
]

stderr = Console(stderr=True)
stdout = Console()


@contextlib.contextmanager
def progress_bars(shown: bool = True) -> Iterator[Progress]:
    """A `Progress` on stderr: one bar per activity, or one line each where nobody watches.

    What follows a comma in an activity is how it goes, and changes on the way. ``shown`` is False
    where another process shows it.
    """
    if not shown:
        yield silent
        return
    if not stderr.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=stderr, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def report(activity: str, share: float) -> None:
            name = activity.partition(",")[0]
            if name not in tasks:
                for task in tasks.values():
                    bars.update(task, visible=False)
                tasks[name] = bars.add_task(activity, total=1.0)
            bars.update(tasks[name], description=activity, completed=share, visible=True)

        yield report


class _Lines:
    """Prints each activity once, when it begins."""

    def __init__(self) -> None:
        self._activity = ""

    def __call__(self, activity: str, share: float) -> None:
        name = activity.partition(",")[0]
        if name != self._activity:
            self._activity = name
            stderr.print(f"{name} …", highlight=False, soft_wrap=True)


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON object on stdout."""
    json.dump(document, sys.stdout, ensure_ascii=False, indent=1, allow_nan=False)
    sys.stdout.write("\n")


def read_text(path: Path) -> str:
    """The text of a UTF-8 file; raises `SangboError` where it is none, empty or huge."""
    try:
        if path.stat().st_size > LARGEST_TEXT:
            raise SangboError(f"expected {path} to be at most {LARGEST_TEXT} bytes")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SangboError(f"expected {path} to be a UTF-8 text: {error}") from None
    if not text.strip():
        raise SangboError(f"expected some text in {path}, found none")
    return text
