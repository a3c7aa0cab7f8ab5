"""The header of a GGUF file: its metadata, and where each tensor lies.

The format is ggml's (docs/gguf.md of ggml-org/ggml); element types and their sizes come from the
``gguf`` package. Its own `GGUFReader` trusts the counts in the file, so that a few hostile bytes
make it loop without end, and it takes seconds on a vocabulary; this reader checks every count
against the bytes that are left before it uses it.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf.constants import (
    GGML_QUANT_SIZES,
    GGUF_DEFAULT_ALIGNMENT,
    GGUF_MAGIC,
    GGMLQuantizationType,
    GGUFValueType,
)

from sangbo.errors import SourceError, UnsupportedError
from sangbo.sources.cursor import Cursor
from sangbo.sources.source import Array

VERSIONS = (2, 3)
MOST_AXES = 4
LARGEST_HEADER = 64 * 2**20

_SCALARS: dict[GGUFValueType, str] = {
    GGUFValueType.UINT8: "<B",
    GGUFValueType.INT8: "<b",
    GGUFValueType.UINT16: "<H",
    GGUFValueType.INT16: "<h",
    GGUFValueType.UINT32: "<I",
    GGUFValueType.INT32: "<i",
    GGUFValueType.FLOAT32: "<f",
    GGUFValueType.UINT64: "<Q",
    GGUFValueType.INT64: "<q",
    GGUFValueType.FLOAT64: "<d",
    GGUFValueType.BOOL: "<?",
}
_SMALLEST_ENTRY = 8 + 4 + 1
_SMALLEST_TENSOR = 8 + 4 + 8 + 4 + 8


@dataclass(frozen=True, slots=True, eq=False)
class StoredTensor:
    """A tensor as the file holds it.

    Attributes:
        type: element type of ggml.
        shape: sizes, slowest axis first (the file has them the other way round).
        data: its bytes, a view of the mapped file, (rows, bytes per row).
    """

    type: GGMLQuantizationType
    shape: tuple[int, ...]
    data: Array


@dataclass(frozen=True, slots=True, eq=False)
class GgufFile:
    """What a GGUF file holds: metadata by key, and tensors by name."""

    metadata: dict[str, Any]
    tensors: dict[str, StoredTensor]


def read_header(path: Path) -> GgufFile:
    """Read and check the header of a GGUF file; the tensors stay on disk until they are used.

    Raises:
        SourceError: where the file is absent, truncated, or not a GGUF file of version 2 or 3.
        UnsupportedError: where it uses a type that ggml had not when this was written.
    """
    try:
        mapped = np.memmap(path, dtype=np.uint8, mode="r")
    except (OSError, ValueError) as error:
        raise SourceError(f"expected to read a GGUF file from {path}: {error}") from None
    cursor = _Cursor(mapped[:LARGEST_HEADER].data, str(path))
    magic, version = cursor.scalar("<I"), cursor.scalar("<I")
    if magic != GGUF_MAGIC:
        raise SourceError(f"expected {path} to begin with GGUF, found {struct.pack('<I', magic)!r}")
    if version not in VERSIONS:
        raise SourceError(f"expected {path} to be of GGUF version 2 or 3, found {version}")
    tensor_count = cursor.count("<Q", _SMALLEST_TENSOR, "tensors")
    entry_count = cursor.count("<Q", _SMALLEST_ENTRY, "metadata entries")
    metadata: dict[str, Any] = {}
    for _ in range(entry_count):
        key = cursor.string()
        if key in metadata:
            raise SourceError(f"expected {key!r} once in {path}, found it twice")
        metadata[key] = cursor.value()
    entries = [_entry(cursor) for _ in range(tensor_count)]
    alignment = metadata.get("general.alignment", GGUF_DEFAULT_ALIGNMENT)
    if type(alignment) is not int or alignment <= 0 or alignment & (alignment - 1):
        raise SourceError(
            f"expected an alignment in {path} that is a power of two, found {alignment!r}"
        )
    start = -(-cursor.offset // alignment) * alignment
    return GgufFile(metadata, _place(mapped, start, alignment, entries, str(path)))


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    type: GGMLQuantizationType
    shape: tuple[int, ...]
    offset: int


def _entry(cursor: _Cursor) -> _Entry:
    name, axes = cursor.string(), cursor.scalar("<I")
    if not 1 <= axes <= MOST_AXES:
        raise SourceError(
            f"expected 1 to {MOST_AXES} axes of tensor {name!r} in {cursor.where}, found {axes}"
        )
    sizes = [cursor.scalar("<Q") for _ in range(axes)]
    number, offset = cursor.scalar("<I"), cursor.scalar("<Q")
    if number not in set(GGMLQuantizationType):
        raise UnsupportedError(f"tensor {name!r} in {cursor.where} has the unknown type {number}")
    return _Entry(name, GGMLQuantizationType(number), tuple(reversed(sizes)), offset)


def _place(
    mapped: Array, start: int, alignment: int, entries: list[_Entry], where: str
) -> dict[str, StoredTensor]:
    """Views of the tensors' bytes; refuses any that leaves the file or overlaps another."""
    tensors: dict[str, StoredTensor] = {}
    end = 0
    for entry in sorted(entries, key=lambda e: e.offset):
        block, block_bytes = GGML_QUANT_SIZES[entry.type]
        rows, columns = math.prod(entry.shape[:-1]), entry.shape[-1]
        if not rows or not columns or columns % block:
            raise SourceError(
                f"expected {entry.name!r} in {where} to have rows of whole {entry.type.name} "
                f"blocks of {block}, found shape {list(entry.shape)}"
            )
        row_bytes = columns // block * block_bytes
        first, last = start + entry.offset, start + entry.offset + rows * row_bytes
        if entry.name in tensors or entry.offset < end or entry.offset % alignment:
            raise SourceError(
                f"expected {entry.name!r} in {where} to have an aligned place of its own, "
                f"found offset {entry.offset}"
            )
        if last > len(mapped):
            raise SourceError(
                f"expected {where} to hold {entry.name!r} up to byte {last}, "
                f"found a file of {len(mapped)} bytes"
            )
        end = last - start
        data = mapped[first:last].reshape(rows, row_bytes)
        tensors[entry.name] = StoredTensor(entry.type, entry.shape, data)
    return tensors


class _Cursor(Cursor):
    """Reads the header of a GGUF file."""

    def string(self) -> str:
        return self.text(self.count("<Q", 1, "bytes of text"))

    def value(self) -> Any:
        kind = self._kind()
        if kind == GGUFValueType.ARRAY:
            return self._array()
        return self.string() if kind == GGUFValueType.STRING else self.scalar(_SCALARS[kind])

    def _array(self) -> list[Any]:
        kind = self._kind()
        if kind == GGUFValueType.STRING:
            return [self.string() for _ in range(self.count("<Q", 8, "texts"))]
        if kind == GGUFValueType.ARRAY:
            raise UnsupportedError(f"{self.where} holds an array of arrays in its metadata")
        form = _SCALARS[kind]
        count = self.count("<Q", struct.calcsize(form), "numbers")
        dtype = np.dtype(form)
        numbers: list[Any] = np.frombuffer(self.take(count * dtype.itemsize), dtype).tolist()
        return numbers

    def _kind(self) -> GGUFValueType:
        number = self.scalar("<I")
        if number not in set(GGUFValueType):
            raise UnsupportedError(f"{self.where} holds metadata of the unknown type {number}")
        return GGUFValueType(number)
