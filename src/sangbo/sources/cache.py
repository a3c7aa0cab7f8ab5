"""Where fetched networks are kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``SANGBO_CACHE``, or ``sangbo`` in ``XDG_CACHE_HOME``, or ``~/.cache/sangbo``."""
    if own := os.environ.get("SANGBO_CACHE"):
        return Path(own)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "sangbo"
    return Path.home() / ".cache" / "sangbo"
