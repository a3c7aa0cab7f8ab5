"""What a waterfall has measured, kept in the folder of the network: stopped, it goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from sangbo.errors import SangboError
from sangbo.files import write_file

FILE = "waterfall.json"
FORMAT = 1
LARGEST = 2**20

T = TypeVar("T", float, "float | None", dict[str, Any])


class Kept:
    """Measurements by name, each made once.

    Args:
        path: where they are kept; in memory alone without one.
        about: what they are of; what a file holds about something else is forgotten.
        again: forget what the file holds.

    Raises:
        SangboError: where the file is broken.
    """

    def __init__(
        self, path: Path | None = None, about: Mapping[str, Any] | None = None, again: bool = False
    ) -> None:
        self._path, self._about = path, dict(about or {})
        found = {} if path is None or again else read(path)
        same = found.get("about") == self._about
        self._measured: dict[str, Any] = dict(found["measured"]) if same else {}
        self._shown: dict[str, Any] = dict(found["shown"]) if same else {}

    def get(self, name: str, measure: Callable[[], T]) -> T:
        """What was measured under ``name``, or what ``measure`` gives, which is kept."""
        if name not in self._measured:
            self._measured[name] = measure()
            self._write()
        found: T = self._measured[name]
        return found

    def show(self, chip: str, document: Mapping[str, Any]) -> None:
        """Keep a whole waterfall on ``chip``, for who shows it later."""
        self._shown[chip] = dict(document)
        self._write()

    def _write(self) -> None:
        if self._path is None:
            return
        document = {
            "format": FORMAT,
            "about": self._about,
            "measured": self._measured,
            "shown": self._shown,
        }
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
        write_file(self._path, (text + "\n").encode())


def read(path: Path) -> dict[str, Any]:
    """The document at ``path``; empty where there is none.

    Raises:
        SangboError: where it is none of a waterfall.
    """
    if not path.exists():
        return {}
    try:
        if path.stat().st_size > LARGEST:
            raise SangboError(f"expected {path} to be at most {LARGEST} bytes")
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SangboError(f"expected {path} to hold a waterfall: {error}") from None
    parts = ("about", "measured", "shown")
    if (
        not isinstance(found, dict)
        or found.get("format") != FORMAT
        or not all(isinstance(found.get(part), dict) for part in parts)
    ):
        raise SangboError(f"expected {path} to hold a waterfall of format {FORMAT}")
    return found
