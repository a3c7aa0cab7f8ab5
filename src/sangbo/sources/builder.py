"""Puts a network together, operation by operation, from tensors with Sangbo's names.

Tensors and the values that operations write have one naming: ``layers.3.mlp.down`` is both the
weight and its result; a bias is the weight's name with ``.bias``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np

from sangbo.errors import GraphError, SourceError, UnsupportedError
from sangbo.graph import (
    Activation,
    Add,
    Affine,
    Convolution,
    Embedding,
    Graph,
    Linear,
    Norm,
    Operation,
    Select,
    ValueType,
    Weight,
)
from sangbo.graph.operations.convolution import Sides
from sangbo.graph.operations.rows import Function
from sangbo.sources.source import Array

EMBEDDING = "embedding"
TARGET = "decoder.embedding"
HEAD = "head"
LOGITS = "logits"
MOST_LAYERS = 4096
T = TypeVar("T")
Layers: TypeAlias = tuple[str, Mapping[str, str]]
"""What we put before a layer's number, as ``layers.``, and the file's names within a layer →
ours."""

TEXT = {
    "tokens": ValueType("index", ("rows",)),
    "positions": ValueType("index", ("rows",)),
    "selected": ValueType("index", ("selected",)),
}
"""What a language model takes: token and position of each row, and the rows whose ``logits`` are
wanted."""

SOURCE_TEXT = {
    "source_tokens": ValueType("index", ("source",)),
    "source_positions": ValueType("index", ("source",)),
}
"""What an encoder of a text takes beside: token and position of each row of the source."""


class Builder:
    """Collects the operations of a network.

    Attributes:
        tensors: float32 tensors by name; the builder reads them, and callers may add to them.
        inputs: what the graph takes.
    """

    def __init__(
        self, tensors: Mapping[str, Array], inputs: Mapping[str, ValueType] = TEXT
    ) -> None:
        self.tensors = dict(tensors)
        self.inputs = dict(inputs)
        self._operations: list[Operation] = []

    def add(self, operation: Operation) -> str:
        """Append an operation; the name of the value that it writes."""
        self._operations.append(operation)
        return operation.output

    def call(self, name: str) -> str:
        """Give the value that was written last another name; nothing may read it yet."""
        self._operations[-1] = dataclasses.replace(self._operations[-1], output=name)
        return name

    def embed(self, name: str, index: str, output: str | None = None) -> str:
        """Rows of the table ``name`` at the input ``index``; written to ``NAME.rows``."""
        return self.add(Embedding(output or f"{name}.rows", index, Weight(name)))

    def linear(self, name: str, source: str, gate: str | None = None) -> str:
        """The weight ``name`` applied, with its bias where there is one, to rows with a gate."""
        return self.add(Linear(name, source, Weight(name), self.bias(name), gate))

    def norm(self, name: str, source: str, form: Literal["rms", "layer"], epsilon: float) -> str:
        """The norm ``name`` applied, with its bias where there is one."""
        return self.add(Norm(name, source, form, name, self.bias(name), epsilon))

    def sum(self, name: str, left: str, right: str) -> str:
        """Two values added."""
        return self.add(Add(name, left, right))

    def scale(self, name: str, source: str, factor: float, channels: int) -> str:
        """A value of so many channels times a number; as it stands where that is 1."""
        if factor == 1:
            return source
        weight = f"{name}.factor"
        self.tensors[weight] = np.full(channels, factor, np.float32)
        return self.add(Affine(name, source, weight))

    def activate(self, name: str, source: str, function: Function) -> str:
        """A function of each element."""
        return self.add(Activation(name, source, function))

    def convolve(
        self,
        name: str,
        source: str,
        kernel: tuple[int, ...],
        stride: tuple[int, ...],
        padding: tuple[Sides, ...],
        groups: int = 1,
        spread: int = 1,
    ) -> str:
        """The convolution with the weight ``name``, with its bias where there is one."""
        return self.add(
            Convolution(
                name, source, Weight(name), kernel, stride, padding, (1,) * len(kernel),
                (spread,) * len(kernel), groups, self.bias(name),
            )
        )  # fmt: skip

    def choose(self, hidden: str) -> str:
        """The rows that the input ``selected`` names."""
        return self.add(Select("chosen", hidden, "selected"))

    def head(self, chosen: str, tied: str = EMBEDDING) -> None:
        """The output head on the chosen rows; where it has no weight, it is that of ``tied``."""
        weight = HEAD if HEAD in self.tensors else tied
        self.add(Linear(LOGITS, chosen, Weight(weight), self.bias(HEAD)))

    def finish(
        self, name: str, metadata: Mapping[str, Any], outputs: tuple[str, ...] = (LOGITS,)
    ) -> Graph:
        """The checked graph.

        Raises:
            SourceError: where a tensor is missing, has another shape, or holds NaN or infinity.
            UnsupportedError: where a tensor is left that no operation uses.
        """
        used = {
            n
            for o in self._operations
            for n in (*(t for w in o.weights() for t in w.tensors()), *o.parameters())
        }
        if spare := sorted(self.tensors.keys() - used):
            raise UnsupportedError(f"{name}: no operation takes tensor {spare[0]!r}")
        try:
            graph = Graph(
                name, self.inputs, tuple(self._operations), outputs, self.tensors, dict(metadata)
            )
            graph.check_finite()
        except GraphError as error:
            raise SourceError(f"{name}: {error}") from None
        return graph

    def bias(self, name: str) -> str | None:
        """The name of the bias of ``name``; None where there is none."""
        bias = f"{name}.bias"
        return bias if bias in self.tensors else None


def rename(
    tensors: Mapping[str, T],
    outer: Mapping[str, str],
    layers: Mapping[str, Layers],
    where: str,
) -> dict[str, T]:
    """Tensors under Sangbo's names.

    Args:
        tensors: what the file holds, by its own names, all of them ending in ``.weight`` or
            ``.bias``.
        outer: their names outside the layers → ours.
        layers: for each stack of layers, what stands before a layer's number, as
            ``model.layers.`` → how we name them.
        where: the file, for messages.

    Raises:
        UnsupportedError: where a tensor has a name that is not known.
        SourceError: where two tensors get one name.
    """
    renamed: dict[str, T] = {}
    for name, tensor in tensors.items():
        stem, _, kind = name.rpartition(".")
        ours = outer.get(stem) or _in_layer(stem, layers)
        if ours is None:
            raise UnsupportedError(
                f"expected no tensor that is not known, found {name!r} in {where}"
            )
        if kind not in ("weight", "bias"):
            raise UnsupportedError(f"expected only weights and biases, found {name!r} in {where}")
        ours += ".bias" if kind == "bias" else ""
        if ours in renamed:
            raise SourceError(
                f"expected one tensor for {ours!r}, found another {name!r} in {where}"
            )
        renamed[ours] = tensor
    return renamed


def rename_all(
    tensors: Mapping[str, Array], names: Mapping[str, str], where: str
) -> dict[str, Array]:
    """Tensors under Sangbo's names; `UnsupportedError` where one is not in ``names``."""
    if unknown := sorted(tensors.keys() - names.keys()):
        raise UnsupportedError(
            f"expected no tensor that is not known, found {unknown[0]!r} in {where}"
        )
    return {names[name]: tensor for name, tensor in tensors.items()}


def _in_layer(stem: str, layers: Mapping[str, Layers]) -> str | None:
    for before, (ours, inner) in layers.items():
        number, _, rest = stem.removeprefix(before).partition(".")
        if stem.startswith(before) and number.isdecimal() and rest in inner:
            return f"{ours}{int(number)}.{inner[rest]}"
    return None


def drop_copy(tensors: dict[str, Array], name: str, original: Array, where: str) -> None:
    """Remove a tensor that is tied to another; `UnsupportedError` where it is not the same."""
    copy = tensors.pop(name, original)
    if not np.array_equal(copy, original):
        raise UnsupportedError(f"expected {name!r} beside {where} to be tied, found other values")


def take_words(
    tensors: dict[str, Array], shared: str, source: str, target: str, where: str
) -> dict[str, Array]:
    """The tables of words of an encoder and a decoder, which are removed from ``tensors``.

    Each side has its own, or ``shared``. Where the two are the same there is one, `EMBEDDING`;
    else the decoder's is `TARGET`.

    Raises:
        SourceError: where one is missing.
    """
    common = tensors.pop(shared, None)
    found = [common if (own := tensors.pop(n, None)) is None else own for n in (source, target)]
    if found[0] is None or found[1] is None:
        raise SourceError(f"expected a tensor {shared!r} beside {where}, found none")
    if np.array_equal(found[0], found[1]):
        return {EMBEDDING: found[0]}
    return {EMBEDDING: found[0], TARGET: found[1]}


def take(tensors: dict[str, Array], name: str, axes: int, where: str) -> Array:
    """Remove and return the tensor ``name``; `SourceError` unless it has ``axes`` axes."""
    tensor = look(tensors, name, axes, where)
    del tensors[name]
    return tensor


def look(tensors: Mapping[str, Array], name: str, axes: int, where: str) -> Array:
    """The tensor ``name``; `SourceError` unless it is there and has ``axes`` axes."""
    tensor = tensors.get(name)
    if tensor is None or tensor.ndim != axes:
        found = "none" if tensor is None else f"shape {tensor.shape}"
        raise SourceError(f"expected a tensor {name!r} of {axes} axes in {where}, found {found}")
    return tensor


def by_taps(weight: Array) -> Array:
    """A convolution's weight as graphs hold it: (outputs, inputs, *taps) → (outputs, taps·inputs).

    The inputs of one tap come next to each other.
    """
    return np.ascontiguousarray(np.moveaxis(weight, 1, -1)).reshape(len(weight), -1)
