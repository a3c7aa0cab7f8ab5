"""How long work tells how far it is: the caller gives a function, and draws what it likes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, float], None]
"""Called with what is being done and the fraction of it that is done, 0 to 1."""


def silent(doing: str, fraction: float) -> None:
    """The `Progress` that shows nothing."""
