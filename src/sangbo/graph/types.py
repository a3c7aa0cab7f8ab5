"""What a value in a graph is: its kind, its shape, and for levels the worth of one spike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from sangbo.errors import GraphError

Dimension: TypeAlias = int | str
"""A fixed size, or the name of one that each run chooses (``"rows"``)."""

Shape: TypeAlias = tuple[Dimension, ...]
Kind: TypeAlias = Literal["real", "index", "levels"]


@dataclass(frozen=True, slots=True)
class ValueType:
    """The type of a named value.

    Attributes:
        kind: ``real`` (float32), ``index`` (int32 positions in a table) or ``levels`` (int32).
        shape: one entry per axis; the last axis of activations is the channel.
        threshold: for levels, the tensor that holds θ, the real value of one spike.
        largest: for levels, the bound on their magnitude.
    """

    kind: Kind
    shape: Shape
    threshold: str | None = None
    largest: int = 0

    def __str__(self) -> str:
        return f"{self.kind}[{', '.join(map(str, self.shape))}]"

    @property
    def channels(self) -> int:
        """Size of the last axis; raises `GraphError` where that size is not fixed."""
        if not self.shape or not isinstance(self.shape[-1], int):
            raise GraphError(f"expected a value whose last axis has a fixed size, found {self}")
        return self.shape[-1]

    def inner(self) -> tuple[int, ...]:
        """Sizes of all axes but the first; raises `GraphError` where one is not fixed."""
        sizes = tuple(d for d in self.shape[1:] if isinstance(d, int))
        if len(sizes) != len(self.shape) - 1 or not sizes:
            raise GraphError(f"expected a value with inner axes of fixed sizes, found {self}")
        return sizes

    @property
    def level_bytes(self) -> int:
        """Bytes that keep one level: the fewest of 1, 2 or 4 that hold ±largest."""
        return 1 if self.largest < 2**7 else 2 if self.largest < 2**15 else 4

    def with_channels(self, channels: int) -> ValueType:
        """The real value that has this one's shape but for the last axis."""
        return ValueType("real", (*self.shape[:-1], channels))


@dataclass(frozen=True, slots=True)
class TensorType:
    """Element type (NumPy name) and shape of a stored tensor."""

    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"
