"""Lossless entropy coding of tensors: every bit comes back.

A static table of how often each symbol occurs, one table for each tensor, and asymmetric numeral
systems (rANS, Duda 2013, arXiv 1311.2540). A symbol is a byte of the tensor, so one int8 weight or
two 4-bit ones, or a whole float16 scale. Signs and high bits are where weights are alike; low bits
are as good as random and cost what they take, so coding whole symbols is never behind coding sign
and high bits apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sangbo.errors import GraphError

Bytes = NDArray[np.uint8]

TYPES = ("int8", "uint8", "float16")
LARGEST_GROWTH = 4096
"""A tensor is at most so many times larger than its code, so that no small file fills a memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """The code of one tensor.

    Attributes:
        code: its bytes, (bytes,).
        dtype: of the tensor, one of `TYPES`.
        shape: of the tensor.

    >>> tensor = np.zeros((64, 64), np.int8)
    >>> tensor[3, 5] = -7
    >>> coded = Coded.of(tensor)
    >>> coded.nbytes < 200 and np.array_equal(coded.tensor(), tensor)
    True
    """

    code: Bytes
    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, tensor: NDArray[Any]) -> Self | None:
        """The code of ``tensor``; None where it would not be smaller, or is of another type."""
        if tensor.dtype.name not in TYPES or not tensor.size:
            return None
        from sangbo import _compress  # needed where something is compressed, and nowhere else

        encode = _compress.encode16 if tensor.dtype.itemsize == 2 else _compress.encode8
        code = np.frombuffer(encode(_symbols(np.ascontiguousarray(tensor))), np.uint8)
        if not 0 < code.nbytes < tensor.nbytes <= LARGEST_GROWTH * code.nbytes:
            return None
        return cls(code, tensor.dtype.name, tensor.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the code, its table included."""
        return self.code.nbytes

    @property
    def symbols(self) -> int:
        """How many symbols are decoded."""
        return prod(self.shape)

    def tensor(self) -> NDArray[Any]:
        """The tensor.

        Raises:
            GraphError: where the code is not that of such a tensor.
        """
        if self.dtype not in TYPES:
            raise GraphError(f"expected a coded tensor of {', '.join(TYPES)}, found {self.dtype}")
        from sangbo import _compress

        size = prod(self.shape) * np.dtype(self.dtype).itemsize
        if min(self.shape, default=0) < 1 or size > LARGEST_GROWTH * self.nbytes:
            raise GraphError(
                f"expected a shape that {self.nbytes} bytes can code, found {list(self.shape)}"
            )
        found = np.empty(self.shape, self.dtype)
        decode = _compress.decode16 if found.dtype.itemsize == 2 else _compress.decode8
        decode(self.code, _symbols(found))
        return found


def _symbols(tensor: NDArray[Any]) -> NDArray[Any]:
    """The symbols of a contiguous tensor, as a view."""
    return tensor.reshape(-1).view(f"u{tensor.dtype.itemsize}")
