"""Loop nests: the shape of an operation, all that its memory accesses depend on.

    for b in batch: for k in outputs: for c in inputs: for y in rows: for x in columns:
      for r in kernel_rows: for s in kernel_columns: for t in steps:
        sums[b, k, y, x] += weights[k, c, r, s] · inputs[t, b, c, stride·y + r, stride·x + s]

A matrix product is the case of one row, one column and a kernel of one. ``steps`` is 1 unless a
chip runs one time step after the other. Where the second operand is a cache of keys or values it is
the nest's ``weights``, and ``groups`` counts independent nests (heads, groups of a convolution).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Literal, TypeAlias

from sangbo.errors import PriceError

Operand: TypeAlias = Literal["weights", "inputs", "sums"]
OPERANDS: tuple[Operand, ...] = ("weights", "inputs", "sums")

DIMENSIONS = (
    "batch",
    "outputs",
    "inputs",
    "rows",
    "columns",
    "kernel_rows",
    "kernel_columns",
    "steps",
)
B, K, C, Y, X, R, S, T = range(8)

RELEVANT: Mapping[Operand, tuple[int, ...]] = {
    "weights": (K, C, R, S),
    "inputs": (B, C, Y, X, R, S, T),
    "sums": (B, K, Y, X),
}
"""Dimensions that an operand's index depends on. It is reused along all the others."""

SUM_BYTES = 4.0
"""A sum that is not finished is an int32."""


@dataclass(frozen=True, slots=True)
class Nest:
    """One loop nest.

    Attributes:
        name: of the operation.
        batch: rows or images that share the weights.
        outputs, inputs: channels, of one group.
        rows, columns: of the output.
        kernel_rows, kernel_columns: of the kernel.
        stride: of the kernel.
        groups: independent nests of this shape.
        cached: whether the weights are a cache of keys or values.
        input_bytes, weight_bytes, output_bytes: of one element; an output is finished.
        steps: time steps that run one after the other.
    """

    name: str
    batch: int = 1
    outputs: int = 1
    inputs: int = 1
    rows: int = 1
    columns: int = 1
    kernel_rows: int = 1
    kernel_columns: int = 1
    stride: int = 1
    groups: int = 1
    cached: bool = False
    input_bytes: float = 1.0
    weight_bytes: float = 1.0
    output_bytes: float = 1.0
    steps: int = 1

    def __post_init__(self) -> None:
        whole = {n: getattr(self, n) for n in (*DIMENSIONS, "stride", "groups")}
        wrong = {n: v for n, v in whole.items() if v < 1}
        if wrong:
            raise PriceError(f"expected sizes of 1 or more in nest {self.name!r}, found {wrong}")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Size of each of `DIMENSIONS`."""
        return tuple(getattr(self, name) for name in DIMENSIONS)

    @property
    def macs(self) -> int:
        """Products of all groups, in one time step."""
        return prod(self.sizes[:T]) * self.groups

    @property
    def weight_count(self) -> int:
        """Weights of all groups."""
        return prod(self.sizes[d] for d in RELEVANT["weights"]) * self.groups

    @property
    def output_count(self) -> int:
        """Outputs of all groups."""
        return prod(self.sizes[d] for d in RELEVANT["sums"]) * self.groups

    @property
    def input_count(self) -> int:
        """Inputs of all groups that some product reads, in one time step."""
        rows = reach(self.rows, self.kernel_rows, self.stride)
        columns = reach(self.columns, self.kernel_columns, self.stride)
        return self.batch * self.inputs * rows * columns * self.groups

    def width(self, operand: Operand) -> float:
        """Bytes of one element; of one unfinished sum."""
        widths = {"weights": self.weight_bytes, "inputs": self.input_bytes, "sums": SUM_BYTES}
        return widths[operand]


def reach(outputs: int, kernel: int, stride: int) -> int:
    """Inputs that ``outputs`` neighbouring outputs read along one axis."""
    return (outputs - 1) * min(stride, kernel) + kernel


def linear(name: str, outputs: int, inputs: int, batch: int = 1) -> Nest:
    """The nest of a matrix product with weights."""
    return Nest(name, batch=batch, outputs=outputs, inputs=inputs)


def attention(name: str, heads: int, key_heads: int, size: int, length: int) -> list[Nest]:
    """The two products of one row with ``length`` cached keys and values.

    Args:
        name: of the attention.
        heads: heads of the query.
        key_heads: heads of the keys; ``heads // key_heads`` queries share one.
        size: channels of a head.
        length: rows in the cache.
    """
    shared = heads // key_heads
    scores = Nest(f"{name}.scores", batch=shared, outputs=length, inputs=size)
    mix = Nest(f"{name}.mix", batch=shared, outputs=size, inputs=length)
    return [replace(n, groups=key_heads, cached=True) for n in (scores, mix)]


def convolution(
    name: str,
    outputs: int,
    inputs: int,
    size: int | tuple[int, ...],
    kernel: int | tuple[int, ...],
    *,
    stride: int = 1,
    groups: int = 1,
    batch: int = 1,
    spread: int = 1,
) -> Nest:
    """A convolution over one axis or two.

    Args:
        name: of the operation.
        outputs: channels of all groups.
        inputs: channels of all groups.
        size: of the output, along each axis; one number stands for a square.
        kernel: taps, along each axis; one number stands for a square.
        stride: of both axes.
        groups: of channels; as many as inputs for a depthwise one.
        batch: images.
        spread: stride of a transposed convolution. It is ``spread`` convolutions along each axis,
            each with its share of the taps, rounded up: zeros between inputs are not multiplied.
    """
    rows, columns = _plane(size)
    taps, across = _plane(kernel)
    if spread > 1:
        phases = [1 if n == 1 else spread for n in (rows, columns)]
        outputs *= phases[0] * phases[1]
        rows, columns = -(-rows // phases[0]), -(-columns // phases[1])
        taps, across = -(-taps // phases[0]), -(-across // phases[1])
    return Nest(
        name,
        batch=batch,
        outputs=outputs // groups,
        inputs=inputs // groups,
        rows=rows,
        columns=columns,
        kernel_rows=taps,
        kernel_columns=across,
        stride=stride,
        groups=groups,
    )


def _plane(size: int | tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns; one row where there is one axis."""
    if isinstance(size, int):
        return size, size
    *rows, columns = size
    return (rows[0] if rows else 1), columns
