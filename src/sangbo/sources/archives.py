"""Members of package archives, by name: wheels and zips, tarballs, and Debian's packages.

Nothing in an archive is trusted: members are asked for by name, must be plain files, and are read
no further than the size that the caller allows. Nothing is unpacked onto the disk.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path
from typing import IO, BinaryIO

from sangbo.errors import SourceError

LARGEST_MEMBER = 256 * 2**20
_AR_MAGIC, _AR_HEADER = b"!<arch>\n", 60
_BROKEN = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, EOFError, OSError,
    NotImplementedError, RuntimeError, ValueError,
)  # fmt: skip


def read_member(path: Path, name: str, largest: int = LARGEST_MEMBER) -> bytes:
    """The member called ``name`` of the archive ``path``.

    Raises:
        SourceError: where there is none, it is no plain file, it is larger than ``largest`` bytes,
            or the archive is broken.
    """
    for found, content in read_members(path, lambda member: member == name, largest):
        if found == name:
            return content
    raise SourceError(f"expected {name} in {path.name}, found none")


def read_members(
    path: Path, wanted: Callable[[str], bool], largest: int = LARGEST_MEMBER
) -> Iterator[tuple[str, bytes]]:
    """Name and content of every plain file of the archive whose name is ``wanted``, in its order.

    The kind of archive follows from what it is called: ``.whl`` and ``.zip``, ``.deb``, or a
    tarball with any compression.

    Raises:
        SourceError: where a member is larger than ``largest`` bytes, or the archive is broken.
    """
    try:
        if path.suffix in (".whl", ".zip"):
            yield from _zipped(path, wanted, largest)
        else:
            with _tarball(path) as archive:
                for member in archive:
                    name = member.name.removeprefix("./")
                    if not (member.isfile() and wanted(name)):
                        continue
                    stream = archive.extractfile(member)
                    if stream is not None:
                        yield name, _read(stream, member.size, largest, f"{name} in {path.name}")
    except _BROKEN as error:
        raise SourceError(f"expected {path.name} to be a sound archive: {error}") from None


def _zipped(path: Path, wanted: Callable[[str], bool], largest: int) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir() and wanted(info.filename):
                with archive.open(info) as stream:
                    where = f"{info.filename} in {path.name}"
                    yield info.filename, _read(stream, info.file_size, largest, where)


@contextmanager
def _tarball(path: Path) -> Iterator[tarfile.TarFile]:
    with path.open("rb") as opened:
        data: BinaryIO = _debian_data(opened) if path.suffix == ".deb" else opened
        with tarfile.open(fileobj=data, mode="r|*") as archive:
            yield archive


def _debian_data(opened: BinaryIO) -> BinaryIO:
    """The ``data.tar.*`` member of a Debian package, which is an ``ar`` archive (deb(5))."""
    if opened.read(len(_AR_MAGIC)) != _AR_MAGIC:
        raise ValueError("expected a Debian package, found something else")
    while header := opened.read(_AR_HEADER):
        name, size = header[:16].decode("ascii").strip().rstrip("/"), int(header[48:58])
        if name.startswith("data.tar"):
            return _Part(opened, size)
        opened.seek(size + size % 2, io.SEEK_CUR)
    raise ValueError("expected a member data.tar, found none")


class _Part(io.RawIOBase, BinaryIO):
    """The next ``size`` bytes of a stream, as a stream."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream, self._left = stream, size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        content = self._stream.read(wanted)
        self._left -= len(content)
        return content


def _read(stream: IO[bytes], size: int, largest: int, where: str) -> bytes:
    if size > largest:
        raise SourceError(f"expected {where} to be at most {largest} bytes, found {size}")
    content = stream.read(size + 1)
    if len(content) != size:
        raise SourceError(f"expected {size} bytes of {where}, found another number")
    return content
