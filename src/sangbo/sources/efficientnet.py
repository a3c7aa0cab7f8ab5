"""EfficientNet-Lite0 (Tan and Le 2019, arXiv 1905.11946, in its form for small machines).

A stem, sixteen inverted residual blocks (expand, depthwise, project), a head, the mean over the
image, and a classifier; ReLU6 throughout. Its convolutions pad as TensorFlow does (``SAME``): so
that there are ⌈size/stride⌉ outputs, the odd zero after the image. Batch norms are folded.

The graph takes ``image``, (samples, 224, 224, 3) normalised by mean and deviation, and gives
``logits`` (samples, classes).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sangbo.errors import UnsupportedError
from sangbo.graph import Graph, Pool, Reshape, ValueType
from sangbo.graph.operations.convolution import Sides
from sangbo.sources.builder import LOGITS, Builder, by_taps, take
from sangbo.sources.folding import fold
from sangbo.sources.source import Array

MARK = "_conv_stem.weight"
SIZE = 224
EPSILON = 1e-3
STAGES = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))
"""Blocks of each stage, and the stride of its first."""

PICTURE = {"size": SIZE, "mean": [0.485, 0.456, 0.406], "deviation": [0.229, 0.224, 0.225]}
"""What is taken from pixels within 0…1, and divided by, in each of red, green and blue."""


def from_tensors(
    name: str, tensors: Mapping[str, Array], where: str, metadata: Mapping[str, Any]
) -> Graph:
    """The graph of an EfficientNet-Lite0.

    Raises:
        SourceError: where a tensor is missing or malformed.
        UnsupportedError: where a tensor is not known.
    """
    net = _Layers(dict(tensors), where)
    hidden = net.layer("stem", "image", "_conv_stem", "_bn0", stride=2)
    strides = [first if i == 0 else 1 for count, first in STAGES for i in range(count)]
    for index, stride in enumerate(strides):
        hidden = _block(net, index, hidden, stride)
    hidden = net.layer("head", hidden, "_conv_head", "_bn1")
    whole = (net.size, net.size)
    hidden = net.out.add(Pool("mean", hidden, "mean", whole, whole, ((0, 0), (0, 0))))
    weight = take(net.stored, "_fc.weight", 2, where)
    hidden = net.out.add(Reshape("features", hidden, (weight.shape[1],)))
    net.out.tensors |= {LOGITS: weight, f"{LOGITS}.bias": take(net.stored, "_fc.bias", 1, where)}
    net.out.linear(LOGITS, hidden)
    if net.stored:
        raise UnsupportedError(
            f"expected no tensor that is not known, found {min(net.stored)!r} in {where}"
        )
    known = {"task": "classify", "family": "cnn", "picture": PICTURE}
    return net.out.finish(name, {**known, **metadata})


def _block(net: _Layers, index: int, hidden: str, stride: int) -> str:
    """An inverted residual block; the sum only where its ends have one shape."""
    theirs, ours = f"_blocks.{index}.", f"blocks.{index}"
    before, size, channels = hidden, net.size, net.channels
    if f"{theirs}_expand_conv.weight" in net.stored:
        hidden = net.layer(f"{ours}.expand", hidden, f"{theirs}_expand_conv", f"{theirs}_bn0")
    hidden = net.layer(
        f"{ours}.depthwise", hidden, f"{theirs}_depthwise_conv", f"{theirs}_bn1",
        stride=stride, groups=net.channels,
    )  # fmt: skip
    hidden = net.layer(
        f"{ours}.project", hidden, f"{theirs}_project_conv", f"{theirs}_bn2", active=False
    )
    if (net.size, net.channels) != (size, channels):
        return hidden
    return net.out.sum(f"{ours}.sum", before, hidden)


class _Layers:
    """Builds convolutions with their norms and activations, and knows the size that they leave.

    Attributes:
        stored: tensors of the file that are not yet used.
        where: the file, for messages.
        out: what is built.
        size: height and width of the last value.
        channels: its channels.
    """

    def __init__(self, stored: dict[str, Array], where: str) -> None:
        self.stored = stored
        self.where = where
        self.out = Builder({}, {"image": ValueType("real", ("samples", SIZE, SIZE, 3))})
        self.size = SIZE
        self.channels = 3

    def layer(
        self,
        name: str,
        source: str,
        convolution: str,
        norm: str,
        *,
        stride: int = 1,
        groups: int = 1,
        active: bool = True,
    ) -> str:
        """A convolution with the norm after it, and ReLU6 where it is ``active``."""
        stored = take(self.stored, f"{convolution}.weight", 4, self.where)
        weight, bias = fold(self.stored, stored, norm, EPSILON, self.where)
        self.out.tensors |= {name: by_taps(weight), f"{name}.bias": bias}
        kernel = weight.shape[2:]
        sides = tuple(same(self.size, taps, stride) for taps in kernel)
        result = self.out.convolve(name, source, kernel, (stride, stride), sides, groups)
        self.size, self.channels = -(-self.size // stride), len(weight)
        return self.out.activate(f"{name}.activation", result, "relu6") if active else result


def same(size: int, taps: int, stride: int) -> Sides:
    """TensorFlow's ``SAME`` padding of an axis: ⌈size/stride⌉ outputs, the odd zero last."""
    total = max((-(-size // stride) - 1) * stride + taps - size, 0)
    return total // 2, total - total // 2
