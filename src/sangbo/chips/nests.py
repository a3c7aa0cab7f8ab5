"""Loop nests: the shape of an operation, all that its memory accesses depend on.

    for b in batch: for k in outputs: for c in inputs: for y in rows: for x in columns:
      for r in kernel_rows: for s in kernel_columns: for t in steps:
        sums[b, k, y, x] += weights[k, c, r, s] · inputs[t, b, c, stride·y + r, stride·x + s]

A matrix product is the case of one row, one column and a kernel of one. ``steps`` is 1 unless a
chip runs one time step after the other. Where the second operand is a cache of keys or values it is
the nest's ``weights``, and ``groups`` counts independent nests (heads, groups of a convolution).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def decoder(
    layers: int,
    width: int,
    heads: int,
    *,
    inner: int | None = None,
    vocabulary: int = 0,
    length: int = 512,
    batch: int = 1,
    together: bool = False,
) -> list[Nest]:
    """``batch`` tokens through a GPT-2-type decoder.

    Args:
        layers: blocks.
        width: channels.
        heads: of the attention.
        inner: channels inside the feed-forward part; four times ``width`` if not given.
        vocabulary: outputs of the head; none without one.
        length: rows in the cache.
        batch: tokens that share the weights.
        together: whether they are a prompt, one text with one cache; otherwise each has its own.
    """
    inner = 4 * width if inner is None else inner
    nests: list[Nest] = []
    for layer in range(layers):
        place = f"layers.{layer}"
        own = attention(f"{place}.attention", heads, heads, width // heads, length)
        nests += [
            linear(f"{place}.qkv", 3 * width, width, batch),
            *(
                replace(n, batch=n.batch * batch)
                if together
                else replace(n, groups=n.groups * batch)
                for n in own
            ),
            linear(f"{place}.projection", width, width, batch),
            linear(f"{place}.up", inner, width, batch),
            linear(f"{place}.down", width, inner, batch),
        ]
    if vocabulary:
        nests.append(linear("head", vocabulary, width, batch))
    return nests


def convolution(
    name: str,
    outputs: int,
    inputs: int,
    size: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    batch: int = 1,
) -> Nest:
    """A square convolution: ``outputs`` and ``inputs`` of all groups, ``size`` of the output."""
    return Nest(
        name,
        batch=batch,
        outputs=outputs // groups,
        inputs=inputs // groups,
        rows=size,
        columns=size,
        kernel_rows=kernel,
        kernel_columns=kernel,
        stride=stride,
        groups=groups,
    )


def alexnet(batch: int = 1) -> list[Nest]:
    """AlexNet on ImageNet (Krizhevsky et al. 2012), with its two groups."""
    table = (
        ("conv1", 96, 3, 55, 11, 4, 1),
        ("conv2", 256, 96, 27, 5, 1, 2),
        ("conv3", 384, 256, 13, 3, 1, 1),
        ("conv4", 384, 384, 13, 3, 1, 2),
        ("conv5", 256, 384, 13, 3, 1, 2),
    )
    return [
        convolution(n, k, c, size, kernel, stride=stride, groups=groups, batch=batch)
        for n, k, c, size, kernel, stride, groups in table
    ] + [
        linear("fc6", 4096, 9216, batch),
        linear("fc7", 4096, 4096, batch),
        linear("fc8", 1000, 4096, batch),
    ]


def vgg16(size: int = 224, classes: int = 1000, batch: int = 1) -> list[Nest]:
    """VGG-16 (Simonyan and Zisserman 2014) on images of ``size``: 32 is the form for CIFAR.

    On 224 pixels it ends in three dense layers of 4,096, 4,096 and ``classes``; on smaller images,
    as is usual, in one of 512 and one of ``classes``.
    """
    nests, inputs = [], 3
    for block, (channels, count) in enumerate(
        ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), start=1
    ):
        for index in range(1, count + 1):
            name = f"conv{block}.{index}"
            nests.append(convolution(name, channels, inputs, size, 3, batch=batch))
            inputs = channels
        size //= 2
    features = 512 * size * size
    wide = 4096 if size > 1 else 512
    dense = (wide, wide, classes) if size > 1 else (wide, classes)
    for index, outputs in enumerate(dense, start=1):
        nests.append(linear(f"fc{index}", outputs, features, batch))
        features = outputs
    return nests


def resnet50(size: int = 224, classes: int = 1000, batch: int = 1) -> list[Nest]:
    """ResNet-50 (He et al. 2015), the stride in the 3 × 3 convolution."""
    size //= 2
    nests = [convolution("conv1", 64, 3, size, 7, stride=2, batch=batch)]
    size //= 2
    inputs = 64
    for stage, (inner, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), start=2):
        for block in range(1, blocks + 1):
            stride = 2 if stage > 2 and block == 1 else 1
            name, after = f"conv{stage}.{block}", size // stride
            nests += [
                convolution(f"{name}.a", inner, inputs, size, 1, batch=batch),
                convolution(f"{name}.b", inner, inner, after, 3, stride=stride, batch=batch),
                convolution(f"{name}.c", 4 * inner, inner, after, 1, batch=batch),
            ]
            if block == 1:
                short = convolution(
                    f"{name}.skip", 4 * inner, inputs, after, 1, stride=stride, batch=batch
                )
                nests.append(short)
            inputs, size = 4 * inner, after
    return [*nests, linear("fc", classes, inputs, batch)]


def total_macs(nests: Sequence[Nest]) -> int:
    """Products of all nests."""
    return sum(n.macs for n in nests)
