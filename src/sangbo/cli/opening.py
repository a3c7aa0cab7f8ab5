"""How commands that take SOURCE_OR_DIR find a converted network."""

from __future__ import annotations

import hashlib
from pathlib import Path

from sangbo.convert import convert
from sangbo.network import Network, is_network, load
from sangbo.progress import Progress
from sangbo.sources import cache_folder


def open_network(source_or_folder: str, progress: Progress) -> Network:
    """The converted network in a folder, or the source's, converted once and kept in the cache."""
    folder = Path(source_or_folder)
    if is_network(folder):
        return load(folder)
    kept = cache_folder() / "converted" / _key(source_or_folder)
    return load(kept) if is_network(kept) else convert(source_or_folder, kept, progress=progress)


def _key(source: str) -> str:
    """A name for what ``source`` holds now: another file at the same path gets another."""
    path, marks = Path(source), [source]
    if path.exists():
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        marks = [str(path.resolve())]
        marks += [f"{f.name} {f.stat().st_size} {f.stat().st_mtime_ns}" for f in files]
    digest = hashlib.sha256("\n".join(marks).encode()).hexdigest()[:12]
    stem = "".join(c if c.isalnum() or c in "-._" else "-" for c in path.name)[:48]
    return f"{stem}-{digest}"
