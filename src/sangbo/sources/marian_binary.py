"""The binary files of Marian (``.bin``, version 1): a table of tensors, then their bytes.

An int8 matrix is W = q / m, with the float m after its integers; but for the embedding it is stored
transposed. Sangbo keeps the integers as a `Grid` of scale fl(1/m).
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import TypeAlias

import numpy as np

from sangbo.errors import SourceError, UnsupportedError
from sangbo.sources.cursor import Cursor, map_file
from sangbo.sources.source import Array, Grid

VERSION = 1
BYTES, FLOATS, INTEGERS = 0x0101, 0x0404, 0x4101
"""Marian's numbers for types: bytes, float32, and int8 of intgemm."""

MOST_AXES = 4
TABLE = "Wemb"
_ENTRY = struct.Struct("<QQQQ")
_LARGEST_INT8 = 127

Item: TypeAlias = Array | Grid


def read_items(path: Path) -> dict[str, Item]:
    """The tensors of a Marian ``.bin`` by their names there; matrices as (outputs, inputs) grids.

    Float tensors have the shape that the file states. A matrix that holds −128, which no `Grid`
    does, comes as floats.

    Raises:
        SourceError: where the file is truncated or malformed.
        UnsupportedError: where it is of another version, or holds an unknown type.
    """
    cursor = map_file(path)
    if (version := cursor.scalar("<Q")) != VERSION:
        raise UnsupportedError(f"expected {path} to be of version {VERSION}, found {version}")
    count = cursor.count("<Q", _ENTRY.size, "tensors")
    entries = [_ENTRY.unpack(cursor.take(_ENTRY.size)) for _ in range(count)]
    names = [cursor.text(entry[0]).rstrip("\0") for entry in entries]
    shapes = [_shape(cursor, entry[2]) for entry in entries]
    cursor.take(cursor.scalar("<Q"))
    items: dict[str, Item] = {}
    for name, shape, (_, kind, _, size) in zip(names, shapes, entries, strict=True):
        if name in items:
            raise SourceError(f"expected {name!r} once in {path}, found it twice")
        if kind not in (BYTES, FLOATS, INTEGERS):
            raise UnsupportedError(f"tensor {name!r} in {path} has the unknown type {kind:#x}")
        items[name] = _item(name, kind, shape, cursor.take(size), str(path))
    return items


def _shape(cursor: Cursor, axes: int) -> tuple[int, ...]:
    sizes = struct.unpack(f"<{axes}i", cursor.take(4 * axes)) if axes <= MOST_AXES else ()
    if not sizes or min(sizes) < 1:
        raise SourceError(
            f"expected 1 to {MOST_AXES} axes of positive sizes in {cursor.where}, "
            f"found {axes} axes {sizes}"
        )
    return sizes


def _item(name: str, kind: int, shape: tuple[int, ...], data: memoryview, where: str) -> Item:
    """One tensor; what follows its numbers is padding."""
    count = math.prod(shape)
    wanted = {BYTES: count, FLOATS: 4 * count, INTEGERS: count + 4}[kind]
    if len(data) < wanted:
        raise SourceError(
            f"expected {name!r} in {where} to have {wanted} bytes for shape {list(shape)}, "
            f"found {len(data)}"
        )
    if kind != INTEGERS:
        dtype = np.uint8 if kind == BYTES else np.dtype("<f4")
        return np.frombuffer(data[:wanted], dtype).reshape(shape)
    if len(shape) != 2:
        raise SourceError(f"expected {name!r} in {where} to be a matrix, found shape {list(shape)}")
    multiplier = np.frombuffer(data[count:wanted], "<f4")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scale = np.float32(1) / multiplier
    if not (np.isfinite(multiplier) & np.isfinite(scale) & (multiplier > 0)).all():
        raise SourceError(
            f"expected a positive multiplier of {name!r} in {where}, found {multiplier[0]}"
        )
    rows, columns = shape if name == TABLE else shape[::-1]
    values = np.frombuffer(data[:count], np.int8).reshape(rows, columns)
    grid = Grid(8, columns, values, np.repeat(scale[:, None], rows, axis=0))
    return grid if values.min() >= -_LARGEST_INT8 else grid.reals()
