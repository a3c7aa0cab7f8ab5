"""Reads a binary file front to back, and never past its end."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

from sangbo.errors import SourceError
from sangbo.sources.source import Array


class Cursor:
    """A place in the bytes of a file.

    Attributes:
        where: the file, for messages.
        offset: bytes read so far.
    """

    def __init__(self, view: memoryview, where: str) -> None:
        self.where = where
        self.offset = 0
        self._view = view

    @property
    def left(self) -> int:
        """Bytes not yet read."""
        return len(self._view) - self.offset

    def take(self, size: int) -> memoryview:
        """The next ``size`` bytes; raises `SourceError` where there are fewer."""
        if not 0 <= size <= self.left:
            raise SourceError(
                f"expected {size} more bytes at byte {self.offset} of {self.where}, "
                f"found {self.left}"
            )
        self.offset += size
        return self._view[self.offset - size : self.offset]

    def scalar(self, form: str) -> Any:
        """The next number, of a format of `struct`."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def count(self, form: str, smallest: int, what: str) -> int:
        """The next number, which counts things that take at least ``smallest`` bytes each."""
        count: int = self.scalar(form)
        if count > self.left // smallest:
            raise SourceError(
                f"expected at most {self.left // smallest} {what} in what is left of {self.where}, "
                f"found {count}"
            )
        return count

    def text(self, size: int) -> str:
        """The next ``size`` bytes as UTF-8."""
        try:
            return str(self.take(size), "utf-8")
        except UnicodeDecodeError as error:
            raise SourceError(f"expected UTF-8 text in {self.where}: {error}") from None

    def array(self, dtype: str, shape: tuple[int, ...], size: int, name: str) -> Array:
        """The next ``size`` bytes as the tensor ``name``, which must fill them; a view of them."""
        wanted = math.prod(shape) * np.dtype(dtype).itemsize
        if wanted != size:
            raise SourceError(
                f"expected {name!r} in {self.where} to have {wanted} bytes for shape "
                f"{list(shape)}, found {size}"
            )
        return np.frombuffer(self.take(size), dtype).reshape(shape)


def map_file(path: Path) -> Cursor:
    """The bytes of a file, which stay on disk until they are used.

    Raises:
        SourceError: where it cannot be read, or is empty.
    """
    try:
        mapped = np.memmap(path, dtype=np.uint8, mode="r")
    except (OSError, ValueError) as error:
        raise SourceError(f"expected to read {path}: {error}") from None
    return Cursor(mapped.data, str(path))
