"""Integers whose steps are allotted one by one, entropy-coded: few bits where little hangs on them.

An int8 matrix holds multiples of a step for each weight, of row o and column i,

    m = max(1, round(row_o · column_i)),   W = scale_o · m · q,

and the file holds q alone. How far q spreads differs from row to row and from column to column as
the steps do, so each q is coded by the table of its class, the class of its row plus that of its
column; see `sangbo.compress.coded` for the code. How steps are allotted: `sangbo.convert.allot`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sangbo.compress.coded import LARGEST_GROWTH
from sangbo.errors import GraphError

Bytes = NDArray[np.uint8]

LARGEST_STEP = 127
CLASSES_PER_OCTAVE = 2
LARGEST_CLASS = 24
"""Classes are −24…24, halves of an octave of the mean magnitude of q."""
_LEAST = 2.0 ** (-LARGEST_CLASS / CLASSES_PER_OCTAVE)
_ZERO = 128  # symbol of q = 0


def steps(rows: Bytes, columns: NDArray[np.float16]) -> NDArray[np.uint8]:
    """m, (rows, columns): exact, for the product of an 8-bit and an 11-bit number is."""
    product = rows.astype(np.float32)[:, None] * columns.astype(np.float32)
    return np.clip(np.rint(product), 1, LARGEST_STEP).astype(np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Allotted:
    """What the integers of one matrix are made of.

    Attributes:
        rows: factor of each row's steps, (outputs,), 1 or more.
        columns: factor of each column's steps, (inputs,), float16 in 0…1.
        row_classes: of each row, (outputs,), int8.
        column_classes: of each column, (inputs,), int8.
        sizes: bytes of the code of each class that occurs, the least first, uint32.
        code: of all classes, one after the other, uint8.

    >>> q = np.array([[0, 3, -1, 0], [1, 0, 0, -2]], np.int8)
    >>> columns = np.array([1, 0.5, 0.25, 1], np.float16)
    >>> kept = Allotted.of(q, np.array([4, 8], np.uint8), columns)
    >>> kept.tensor().tolist()
    [[0, 6, -1, 0], [8, 0, 0, -16]]
    """

    rows: Bytes
    columns: NDArray[np.float16]
    row_classes: NDArray[np.int8]
    column_classes: NDArray[np.int8]
    sizes: NDArray[np.uint32]
    code: Bytes

    @classmethod
    def of(cls, levels: NDArray[np.int8], rows: Bytes, columns: NDArray[np.float16]) -> Self:
        """Code q, (outputs, inputs) int8, of a matrix with these steps."""
        from sangbo import _compress  # needed where something is compressed, and nowhere else

        size = np.abs(levels.astype(np.int16))
        mean = max(float(size.mean()), _LEAST)
        row_classes = _classes(size.mean(axis=1))
        column_classes = _classes(size.mean(axis=0) / mean)
        classes = _sums(row_classes, column_classes)
        symbols = (levels.astype(np.int16) + _ZERO).astype(np.uint8)
        codes = [_compress.encode8(symbols[classes == one]) for one in np.unique(classes)]
        return cls(
            rows,
            columns,
            row_classes,
            column_classes,
            np.array([len(code) for code in codes], np.uint32),
            np.frombuffer(b"".join(codes), np.uint8),
        )

    @property
    def nbytes(self) -> int:
        """Bytes that are read to make the integers."""
        parts = (self.rows, self.columns, self.row_classes, self.column_classes, self.sizes)
        return self.code.nbytes + sum(part.nbytes for part in parts)

    @property
    def symbols(self) -> int:
        """How many symbols are decoded."""
        return len(self.rows) * len(self.columns)

    def tensor(self) -> NDArray[np.int8]:
        """The integers m·q, int8 (outputs, inputs).

        Raises:
            GraphError: where the parts do not fit each other.
        """
        if (
            not 0 < self.symbols <= LARGEST_GROWTH * self.nbytes
            or self.row_classes.shape != self.rows.shape
            or self.column_classes.shape != self.columns.shape
        ):
            raise GraphError(
                f"expected a class and a factor for each row and column of a matrix, found "
                f"{len(self.rows)} and {len(self.row_classes)}, {len(self.columns)} and "
                f"{len(self.column_classes)}, for {self.nbytes} bytes"
            )
        if not (self.rows.min() >= 1 and self.columns.min() >= 0 and self.columns.max() <= 1):
            raise GraphError("expected factors of rows from 1, of columns from 0 to 1")
        classes = _sums(self.row_classes, self.column_classes)
        present = np.unique(classes)
        sizes = self.sizes.astype(np.int64)
        if len(sizes) != len(present) or sizes.sum() != self.code.size:
            raise GraphError(
                f"expected the codes of {len(present)} classes in {self.code.size} bytes, found "
                f"{len(sizes)} in {sizes.sum()}"
            )
        from sangbo import _compress

        levels, begin = np.empty(classes.shape, np.int16), 0
        for one, size in zip(present, sizes, strict=True):
            members = classes == one
            symbols = np.empty(int(members.sum()), np.uint8)
            _compress.decode8(self.code[begin : begin + size], symbols)
            levels[members] = symbols
            begin += size
        levels -= _ZERO
        levels *= steps(self.rows, self.columns)
        if np.abs(levels).max() > LARGEST_STEP:
            raise GraphError("expected multiples of steps within −127…127, found larger ones")
        return levels.astype(np.int8)


def _classes(magnitudes: NDArray[np.float64]) -> NDArray[np.int8]:
    """Halves of an octave, about the mean magnitude that each row or column has."""
    found = np.rint(CLASSES_PER_OCTAVE * np.log2(np.maximum(magnitudes, _LEAST)))
    clipped: NDArray[np.int8] = np.clip(found, -LARGEST_CLASS, LARGEST_CLASS).astype(np.int8)
    return clipped


def _sums(rows: NDArray[np.int8], columns: NDArray[np.int8]) -> NDArray[np.int8]:
    """The class of every element, (rows, columns)."""
    found = rows.astype(np.int16)[:, None] + columns
    clipped: NDArray[np.int8] = np.clip(found, -LARGEST_CLASS, LARGEST_CLASS).astype(np.int8)
    return clipped
