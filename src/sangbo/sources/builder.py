"""Puts a language model together, operation by operation, from tensors with Sangbo's names.

Tensors and the values that operations write have one naming: ``layers.3.mlp.down`` is both the
weight and its result; a bias is the weight's name with ``.bias``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from sangbo.errors import GraphError, SourceError, UnsupportedError
from sangbo.graph import (
    Add,
    Embedding,
    Graph,
    Linear,
    Norm,
    Operation,
    Select,
    ValueType,
    Weight,
)
from sangbo.sources.source import Array

EMBEDDING = "embedding"
HEAD = "head"
LOGITS = "logits"
MOST_LAYERS = 4096
T = TypeVar("T")

_INPUTS = {
    "tokens": ValueType("index", ("rows",)),
    "positions": ValueType("index", ("rows",)),
    "selected": ValueType("index", ("selected",)),
}


class Builder:
    """Collects the operations of a language model whose rows are tokens.

    The graph takes ``tokens`` and ``positions``, one index per row, and ``selected``, the rows
    whose ``logits`` are wanted.

    Attributes:
        tensors: float32 tensors by name; the builder reads them and `tables` may add to them.
    """

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        self.tensors = dict(tensors)
        self._operations: list[Operation] = []

    def add(self, operation: Operation) -> str:
        """Append an operation; the name of the value that it writes."""
        self._operations.append(operation)
        return operation.output

    def embed(self, name: str, index: str) -> str:
        """Rows of the table ``name`` at the input ``index``."""
        return self.add(Embedding(f"{name}.rows", index, Weight(name)))

    def linear(self, name: str, source: str) -> str:
        """The weight ``name`` applied, with its bias where there is one."""
        return self.add(Linear(name, source, Weight(name), self._bias(name)))

    def norm(self, name: str, source: str, form: Literal["rms", "layer"], epsilon: float) -> str:
        """The norm ``name`` applied, with its bias where there is one."""
        return self.add(Norm(name, source, form, name, self._bias(name), epsilon))

    def sum(self, name: str, left: str, right: str) -> str:
        """Two values added."""
        return self.add(Add(name, left, right))

    def head(self, hidden: str, form: Literal["rms", "layer"], epsilon: float) -> None:
        """The chosen rows, the last norm, and the output head, tied where it has no weight."""
        chosen = self.add(Select("chosen", hidden, "selected"))
        last = self.norm("norm", chosen, form, epsilon)
        weight = HEAD if HEAD in self.tensors else EMBEDDING
        self.add(Linear(LOGITS, last, Weight(weight), self._bias(HEAD)))

    def finish(self, name: str, metadata: Mapping[str, Any]) -> Graph:
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
                name, _INPUTS, tuple(self._operations), (LOGITS,), self.tensors, dict(metadata)
            )
            graph.check_finite()
        except GraphError as error:
            raise SourceError(f"{name}: {error}") from None
        return graph

    def _bias(self, name: str) -> str | None:
        bias = f"{name}.bias"
        return bias if bias in self.tensors else None


def rename(
    tensors: Mapping[str, T],
    outer: Mapping[str, str],
    layers: str,
    inner: Mapping[str, str],
    where: str,
) -> dict[str, T]:
    """Tensors under Sangbo's names.

    Args:
        tensors: what the file holds, by its own names, all of them ending in ``.weight`` or
            ``.bias``.
        outer: their names outside the layers → ours.
        layers: what stands before a layer's number, as ``model.layers.``.
        inner: their names within a layer → ours.
        where: the file, for messages.

    Raises:
        UnsupportedError: where a tensor has a name that is not known.
        SourceError: where two tensors get one name.
    """
    renamed: dict[str, T] = {}
    for name, tensor in tensors.items():
        stem, _, kind = name.rpartition(".")
        number, _, rest = stem.removeprefix(layers).partition(".")
        if stem in outer:
            ours = outer[stem]
        elif stem.startswith(layers) and number.isdecimal() and rest in inner:
            ours = f"layers.{int(number)}.{inner[rest]}"
        else:
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
