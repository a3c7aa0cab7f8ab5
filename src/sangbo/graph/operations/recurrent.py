"""Recurrent cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

from sangbo.errors import GraphError
from sangbo.graph.operations.base import LARGEST_LEVEL, Operation, check_range
from sangbo.graph.scope import Scope
from sangbo.graph.types import ValueType
from sangbo.graph.weight import REAL_TYPES, Weight

Cell: TypeAlias = Literal["lstm", "gru", "ssru"]

GATES: dict[Cell, int] = {"lstm": 4, "gru": 3, "ssru": 2}
"""Parts of the input of a cell, each as wide as its state."""


@dataclass(frozen=True, slots=True)
class Recurrent(Operation):
    """Cells that pass a state from row to row. (…, rows, gates·size) → (…, rows, size).

    The input holds the gates' share of the row's own input, x; the weight W and bias b (gates·size)
    add the share of the state h before. σ is the logistic function, ∘ element by element:

    * ``lstm`` (Hochreiter and Schmidhuber 1997): gates i, f, g, o. a = x + W·h + b;
      c ← σ(a_f)∘c + σ(a_i)∘tanh(a_g);  h ← σ(a_o)∘tanh(c)
    * ``gru`` (Cho et al. 2014, arXiv 1406.1078): gates r, z, n. u = W·h + b;
      r = σ(x_r + u_r), z = σ(x_z + u_z), n = tanh(x_n + r∘u_n);  h ← (1 − z)∘n + z∘h
    * ``ssru`` (Kim et al. 2019, D19-5632), which has no weight: gates f, w.
      c ← σ(x_f)∘c + (1 − σ(x_f))∘x_w;  the result is relu(c)

    On levels, W meets n(h) = clamp(floor(h·(1/θ) + ½), lowest, highest) of the state before, and
    W·h becomes θ·(W·n(h)); x stays real, for the operation that makes it consumes levels itself.

    Values of two axes hold the next rows of several sequences, whose states are cached between
    runs; values of three, (samples, rows, channels), hold whole sequences that begin with state 0.

    Attributes:
        reverse: whether the state passes from the last row to the first; of whole sequences only.
        initial: value (…, size) along another axis of rows: where a sequence has rows of it in a
            run, its state begins as the last of them.
    """

    synaptic: ClassVar[bool] = True

    input: str
    cell: Cell
    weight: Weight | None = None
    bias: str | None = None
    reverse: bool = False
    initial: str | None = None
    threshold: str | None = None
    inverse: str | None = None
    lowest: int = -LARGEST_LEVEL
    highest: int = LARGEST_LEVEL

    def inputs(self) -> tuple[str, ...]:
        return (self.input,) if self.initial is None else (self.input, self.initial)

    def weights(self) -> tuple[Weight, ...]:
        return () if self.weight is None else (self.weight,)

    def parameters(self) -> tuple[str, ...]:
        return tuple(n for n in (self.bias, self.threshold, self.inverse) if n is not None)

    def learned(self) -> tuple[str, ...]:
        return () if self.bias is None else (self.bias,)

    def spiking(self, values: Mapping[str, ValueType]) -> bool:
        return self.weight is None or self.threshold is not None

    def check(self, scope: Scope) -> ValueType:
        source = scope.value(self.input, "real")
        if self.cell not in get_args(Cell):
            raise GraphError(f"expected a cell lstm, gru or ssru, found {self.cell!r}")
        gates = GATES[self.cell]
        if len(source.shape) not in (2, 3) or source.channels % gates:
            raise GraphError(
                f"expected {self.input!r} to be rows of {gates} gates each, found {source}"
            )
        size = source.channels // gates
        if (self.weight is None) != (self.cell == "ssru"):
            raise GraphError(f"expected a weight for lstm and gru alone, found {self.weight}")
        if self.weight is not None:
            self._check_weight(self.weight, (gates * size, size), scope)
        elif self.parameters():
            raise GraphError(f"expected no bias or threshold without weight, found {self}")
        if self.initial is not None:
            first = scope.value(self.initial, "real")
            if len(source.shape) != 2 or len(first.shape) != 2 or first.channels != size:
                raise GraphError(
                    f"expected {self.initial!r} to hold states of {size} channels, found {first}"
                )
        if self.reverse and len(source.shape) == 2 and self.initial is not None:
            raise GraphError("expected no initial state of cells that run backwards, found one")
        check_range(self.lowest, self.highest)
        return source.with_channels(size)

    def _check_weight(self, weight: Weight, shape: tuple[int, int], scope: Scope) -> None:
        if (found := weight.check(scope)) != shape:
            raise GraphError(
                f"expected weight {weight.values!r} to be {list(shape)}, found {list(found)}"
            )
        if self.bias is not None:
            scope.tensor(self.bias, REAL_TYPES, shape[:1])
        spiking = self.threshold is not None and self.inverse is not None
        if (self.threshold is None) == spiking or (weight.bits < 32) != spiking:
            raise GraphError(
                f"expected float weights, or integers and a threshold of the state, found "
                f"{weight.bits}-bit weight {weight.values!r} and threshold {self.threshold!r}"
            )
        for name in (self.threshold, self.inverse):
            if name is not None:
                scope.tensor(name, REAL_TYPES, ())
