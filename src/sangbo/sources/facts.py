"""What a file says about its network, read key by key, each value checked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sangbo.errors import SourceError

LARGEST_JSON = 256 * 2**20
LARGEST_WHOLE = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Facts:
    """Named values of a configuration; a value that is null counts as absent.

    Attributes:
        values: what the file says.
        where: the file, for messages.
    """

    values: Mapping[str, Any]
    where: str

    def __contains__(self, key: str) -> bool:
        return self.values.get(key) is not None

    def whole(
        self, key: str, default: int | None = None, lowest: int = 1, highest: int = LARGEST_WHOLE
    ) -> int:
        """The whole number ``key``; raises `SourceError` where it is absent or out of range."""
        value = self._get(key, default)
        if type(value) is not int or not lowest <= value <= highest:
            raise self._refuse(key, f"a whole number within {lowest}…{highest}", value)
        return value

    def real(self, key: str, default: float | None = None) -> float:
        """The positive finite number ``key``; raises `SourceError` where it is not that."""
        value = self._get(key, default)
        if type(value) not in (int, float) or not 0 < value < math.inf:
            raise self._refuse(key, "a positive number", value)
        return float(value)

    def text(self, key: str, default: str | None = None) -> str:
        """The text ``key``; raises `SourceError` where it is not that."""
        value = self._get(key, default)
        if not isinstance(value, str):
            raise self._refuse(key, "a text", value)
        return value

    def flag(self, key: str, default: bool) -> bool:
        """The truth value ``key``; raises `SourceError` where it is not that."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self._refuse(key, "true or false", value)
        return value

    def items(self, key: str) -> list[Any]:
        """The list ``key``; raises `SourceError` where it is not that."""
        value = self._get(key, None)
        if not isinstance(value, list):
            raise self._refuse(key, "a list", value)
        return value

    def inner(self, key: str) -> Facts:
        """The mapping ``key``, empty where it is absent; raises `SourceError` on another type."""
        value = self._get(key, {})
        if not isinstance(value, dict):
            raise self._refuse(key, "a mapping", value)
        return Facts(value, f"{key} in {self.where}")

    def _get(self, key: str, default: Any) -> Any:
        value = self.values.get(key)
        return default if value is None else value

    def _refuse(self, key: str, expected: str, found: Any) -> SourceError:
        shown = "none" if found is None else repr(found)[:80]
        return SourceError(f"expected {key!r} in {self.where} to be {expected}, found {shown}")


def read_json(path: Path) -> Facts:
    """The JSON object in a file; raises `SourceError` where it is not one, or too large."""
    return Facts(_mapping(path, read_text(path)), str(path))


def read_text(path: Path) -> str:
    """The UTF-8 text of a file; raises `SourceError` where it is absent, too large or not that."""
    try:
        size = path.stat().st_size
        if size > LARGEST_JSON:
            raise SourceError(f"expected {path} to be at most {LARGEST_JSON} bytes, found {size}")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SourceError(f"expected a file {path}, found none") from None
    except OSError as error:
        raise SourceError(f"expected to read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SourceError(f"expected {path} to be UTF-8 text: {error}") from None


def _mapping(path: Path, text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"expected {path} to hold JSON: {error}") from None
    if not isinstance(document, dict):
        raise SourceError(f"expected {path} to hold an object, found {type(document).__name__}")
    return document
