"""How long work tells what it does, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, from 0 to 1."""


def silent(activity: str, share: float) -> None:
    """A `Progress` that tells nobody."""
