"""One door to all sources."""

from __future__ import annotations

import dataclasses
import difflib
from pathlib import Path

from sangbo.errors import SourceError
from sangbo.progress import Progress, silent
from sangbo.sources import bergamot, ctranslate2
from sangbo.sources.bergamot import read_bergamot
from sangbo.sources.catalogue import Entry, entries, fetch
from sangbo.sources.ctranslate2 import read_ctranslate2
from sangbo.sources.gguf import read_gguf
from sangbo.sources.huggingface import fetch_repository, read_folder
from sangbo.sources.source import Source
from sangbo.sources.tensor_files import SUFFIXES, read_tensor_file

GGUF = ".gguf"
ACCEPTED = (
    "a catalogue name, a folder of transformers, CTranslate2 or Bergamot, hf:org/name, or a file "
    f"with one of the endings {', '.join((GGUF, *SUFFIXES))}"
)
REPOSITORY = "hf:"


def open_source(spec: str | Path, progress: Progress | None = None) -> Source:
    """Read a network from where it comes from.

    Args:
        spec: a name of the catalogue (it goes before a folder of that name: write ``./NAME`` for
            the folder), a folder that transformers wrote or one of CTranslate2 or Bergamot, a
            ``.gguf`` file or one of tensors, or ``hf:ORG/NAME`` with ``@REVISION`` where one is
            wanted.
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
    found = _open_path(Path(spec), progress, None) if str(spec) else None
    if found is not None:
        return found
    near = difflib.get_close_matches(str(spec), entries(), n=3, cutoff=0.4)
    hint = f"; near names: {', '.join(near)}" if near else ""
    raise SourceError(f"expected {ACCEPTED}, found {str(spec)!r}{hint}")


def _open_path(path: Path, progress: Progress, name: str | None) -> Source | None:
    """The network in a folder or file; None where it is nothing that is read."""
    if path.is_dir():
        if (path / ctranslate2.MODEL).exists():
            return read_ctranslate2(path, progress, name)
        if any(path.glob(bergamot.MODEL)):
            return read_bergamot(path, progress, name)
        return read_folder(path, progress, name)
    if path.is_file() and path.suffix.lower() == GGUF:
        return read_gguf(path, progress, name)
    if path.is_file() and path.suffix.lower() in SUFFIXES:
        return read_tensor_file(path, progress, name)
    return None


def _open_entry(entry: Entry, progress: Progress) -> Source:
    """A network of the catalogue, under its catalogue name and with what the catalogue states."""
    source = _open_path(fetch(entry, progress), progress, entry.name)
    if source is None:
        raise SourceError(f"expected {ACCEPTED}, found {entry.place}")
    facts = {"source": entry.source, "licence": entry.licence}
    known = {**source.graph.metadata, **facts, **entry.metadata}
    graph = dataclasses.replace(source.graph, metadata=known)
    package = {"package": ", ".join(p.pinned for p in entry.packages), "name": entry.name}
    return dataclasses.replace(source, graph=graph, origin={**source.origin, **facts, **package})
