"""Images from noise: the generator of a DCGAN (Radford et al. 2015, arXiv 1511.06434).

Transposed convolutions, each but the last with a batch norm, which is folded, and ReLU; the last
with tanh. The graph takes ``latent``, (samples, channels) from a normal distribution, and gives
``picture``, (samples, height, width, colours) within −1…1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sangbo.errors import SourceError, UnsupportedError
from sangbo.graph import Graph, Reshape, ValueType
from sangbo.sources.builder import Builder, by_taps, take
from sangbo.sources.folding import fold, transposed
from sangbo.sources.source import Array

MARK = "main.1.running_mean"
PICTURE = "picture"
EPSILON = 1e-5
BETWEEN = 3
"""Modules of a layer in the file: convolution, norm, activation."""

MOST_LAYERS = 16


def from_tensors(
    name: str, tensors: Mapping[str, Array], where: str, metadata: Mapping[str, Any]
) -> Graph:
    """The graph of a generator of PyTorch's DCGAN tutorial, of any number of layers.

    The first layer makes an image of its kernel's size; the others double it.

    Raises:
        SourceError: where a tensor is missing or malformed.
        UnsupportedError: where a tensor is not known.
    """
    stored = dict(tensors)
    count = sum(f"main.{BETWEEN * i}.weight" in stored for i in range(MOST_LAYERS))
    weights = [take(stored, f"main.{BETWEEN * i}.weight", 4, where) for i in range(count)]
    channels = len(weights[0])
    net = Builder({}, {"latent": ValueType("real", ("samples", channels))})
    hidden = net.add(Reshape("pixel", "latent", (1, 1, channels)))
    for index, kept in enumerate(weights):
        ours, last = f"layers.{index}", index == count - 1
        weight, stride, cut = transposed(kept), 2 if index else 1, 1 if index else 0
        if not last:
            norm = f"main.{BETWEEN * index + 1}"
            weight, net.tensors[f"{ours}.bias"] = fold(stored, weight, norm, EPSILON, where)
        net.tensors[ours] = by_taps(weight)
        kernel = weight.shape[2:]
        if min(kernel) <= cut:
            raise SourceError(
                f"expected windows of more than {cut} pixels in {where}, found {kernel}"
            )
        sides = tuple((taps - 1 - cut, taps - 1 - cut) for taps in kernel)
        hidden = net.convolve(ours, hidden, kernel, (1, 1), sides, spread=stride)
        if not last:
            hidden = net.activate(f"{ours}.activation", hidden, "relu")
    net.activate(PICTURE, hidden, "tanh")
    if stored:
        raise UnsupportedError(
            f"expected no tensor that is not known, found {min(stored)!r} in {where}"
        )
    known = {"task": "draw", "family": "gan"}
    return net.finish(name, {**known, **metadata}, outputs=(PICTURE,))
