"""Reading a line of text: the convolutional recurrent network of EasyOCR (``english_g2``).

After Shi et al. 2015 (arXiv 1507.05717): convolutions and pools that leave one row of columns, two
bidirectional LSTMs along it, and a classifier for each column; class 0 is no character, and
neighbours of one class are one character (connectionist temporal classification).

The graph takes ``image``, (samples, 64, width, 1), grey within −1…1; as EasyOCR does, a narrower
line is continued to the right by its last column. It gives ``logits`` (samples, columns, classes).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sangbo.errors import SourceError, UnsupportedError
from sangbo.graph import Concatenate, Graph, Pool, Recurrent, Reshape, ValueType, Weight
from sangbo.sources.builder import LOGITS, Builder, by_taps, take
from sangbo.sources.folding import fold
from sangbo.sources.source import Array

MARK = "FeatureExtraction.ConvNet.0.weight"
HEIGHT, WIDTH = 64, 768
EPSILON = 1e-5
CHARACTERS = (
    "0123456789!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ €"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)
"""Classes 1 and up; EasyOCR has them in its code."""

_CONVOLUTIONS: tuple[tuple[int, int, tuple[int, int] | None], ...] = (
    (0, 1, (2, 2)), (3, 1, (2, 2)), (6, 1, None), (8, 1, (2, 1)), (11, 1, None), (14, 1, (2, 1)),
    (18, 0, None),
)  # fmt: skip
"""Number in the file, zeros on each side, and the pool after, of each convolution."""

_DIRECTIONS = (("forward", ""), ("backward", "_reverse"))


def from_tensors(
    name: str, tensors: Mapping[str, Array], where: str, metadata: Mapping[str, Any]
) -> Graph:
    """The graph of a network of EasyOCR's second generation.

    Raises:
        SourceError: where a tensor is missing or malformed.
        UnsupportedError: where a tensor is not known.
    """
    stored = dict(tensors)
    net = Builder({}, {"image": ValueType("real", ("samples", HEIGHT, WIDTH, 1))})
    hidden, tall, wide, channels = _columns(net, stored, where)
    column = (tall, 1)
    hidden = net.add(Pool("columns.mean", hidden, "mean", column, column, ((0, 0), (0, 0))))
    hidden = net.add(Reshape("columns", hidden, (wide, channels)))
    for index in range(2):
        hidden = _both_ways(net, stored, where, index, hidden)
    _linear(net, stored, where, "Prediction", LOGITS)
    net.linear(LOGITS, hidden)
    if stored:
        raise UnsupportedError(
            f"expected no tensor that is not known, found {min(stored)!r} in {where}"
        )
    classes = len(net.tensors[LOGITS])
    if classes != len(CHARACTERS) + 1:
        raise UnsupportedError(
            f"expected {len(CHARACTERS) + 1} classes in {where}, found {classes}"
        )
    known = {
        "task": "read-text", "family": "crnn", "characters": CHARACTERS,
        "picture": {"height": HEIGHT, "width": WIDTH, "mean": [0.5], "deviation": [0.5]},
    }  # fmt: skip
    return net.finish(name, {**known, **metadata})


def _columns(net: Builder, stored: dict[str, Array], where: str) -> tuple[str, int, int, int]:
    """The convolutions and pools: their result, and its height, width and channels."""
    hidden, tall, wide, channels = "image", HEIGHT, WIDTH, 1
    for index, (number, side, pool) in enumerate(_CONVOLUTIONS):
        theirs, ours = f"FeatureExtraction.ConvNet.{number}", f"convolution.{index}"
        weight = take(stored, f"{theirs}.weight", 4, where)
        norm = f"FeatureExtraction.ConvNet.{number + 1}"
        if f"{norm}.weight" in stored:
            weight, bias = fold(stored, weight, norm, EPSILON, where)
        else:
            bias = take(stored, f"{theirs}.bias", 1, where)
        net.tensors |= {ours: by_taps(weight), f"{ours}.bias": bias}
        kernel, sides = weight.shape[2:], ((side, side), (side, side))
        hidden = net.convolve(ours, hidden, kernel, (1, 1), sides)
        hidden = net.activate(f"{ours}.activation", hidden, "relu")
        channels = len(weight)
        tall, wide = (
            size + 2 * side - taps + 1 for size, taps in zip((tall, wide), kernel, strict=True)
        )
        if pool is not None:
            hidden = net.add(Pool(f"{ours}.pool", hidden, "max", pool, pool, ((0, 0), (0, 0))))
            tall, wide = tall // pool[0], wide // pool[1]
        if min(tall, wide) < 1:
            raise SourceError(f"expected windows that fit the image, found {kernel} in {where}")
    return hidden, tall, wide, channels


def _both_ways(net: Builder, stored: dict[str, Array], where: str, index: int, source: str) -> str:
    """An LSTM from each end, side by side, and the product that joins them."""
    theirs, ours = f"SequenceModeling.{index}", f"sequence.{index}"
    halves = []
    for direction, ending in _DIRECTIONS:
        at = f"{ours}.{direction}"
        for part, kind in (("ih", "input"), ("hh", "recurrent")):
            weight = take(stored, f"{theirs}.rnn.weight_{part}_l0{ending}", 2, where)
            bias = take(stored, f"{theirs}.rnn.bias_{part}_l0{ending}", 1, where)
            net.tensors |= {f"{at}.{kind}": weight, f"{at}.{kind}.bias": bias}
        gates = net.linear(f"{at}.input", source)
        name = f"{at}.recurrent"
        halves.append(
            net.add(
                Recurrent(
                    name, gates, "lstm", Weight(name), net.bias(name),
                    reverse=direction == "backward",
                )
            )
        )  # fmt: skip
    _linear(net, stored, where, f"{theirs}.linear", f"{ours}.output")
    return net.linear(f"{ours}.output", net.add(Concatenate(ours, tuple(halves), 2)))


def _linear(net: Builder, stored: dict[str, Array], where: str, theirs: str, ours: str) -> None:
    net.tensors |= {
        ours: take(stored, f"{theirs}.weight", 2, where),
        f"{ours}.bias": take(stored, f"{theirs}.bias", 1, where),
    }
