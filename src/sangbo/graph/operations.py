"""The typed operations that a graph is made of.

Each is a frozen dataclass: fields name values, tensors and constants; the docstring holds the
equation; ``check`` returns the type of the result or raises `GraphError`. Arithmetic between
integers is exact; between reals it is float32 in the order that ``docs/exactness.md`` states, so
that every engine gives the same bits.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from sangbo.errors import GraphError
from sangbo.graph.scope import Scope
from sangbo.graph.types import ValueType
from sangbo.graph.weight import REAL_TYPES, Weight

LARGEST_LEVEL = 2**20
"""Levels stay within ±this: float32 holds them exactly and sums of many still fit 32 bits."""


@dataclass(frozen=True, slots=True)
class Operation(ABC):
    """One step of a graph: reads named values, writes one named value."""

    synaptic: ClassVar[bool] = False
    """Whether the operation consumes levels through weights or through other levels."""

    output: str

    @abstractmethod
    def inputs(self) -> tuple[str, ...]:
        """Names of the values that the operation reads."""

    def weights(self) -> tuple[Weight, ...]:
        """Weights that the operation uses."""
        return ()

    def parameters(self) -> tuple[str, ...]:
        """Names of the tensors that the operation uses beside its weights."""
        return ()

    @abstractmethod
    def check(self, scope: Scope) -> ValueType:
        """Type of the result; raises `GraphError` saying what was expected and what was found."""


@dataclass(frozen=True, slots=True)
class Embedding(Operation):
    """Row ``i`` of a table: y = W[i]. (…) index → (…, channels) real."""

    input: str
    weight: Weight

    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def weights(self) -> tuple[Weight, ...]:
        return (self.weight,)

    def check(self, scope: Scope) -> ValueType:
        _, channels = self.weight.check(scope)
        return ValueType("real", (*scope.value(self.input, "index").shape, channels))


@dataclass(frozen=True, slots=True)
class Select(Operation):
    """The chosen rows: y[r] = x[rows[r]]. (rows, channels), (chosen,) index → (chosen, channels).

    A language model selects the rows whose logits are wanted before its output head.
    """

    input: str
    rows: str

    def inputs(self) -> tuple[str, ...]:
        return (self.input, self.rows)

    def check(self, scope: Scope) -> ValueType:
        rows = scope.value(self.rows, "index")
        if len(rows.shape) != 1:
            raise GraphError(f"expected {self.rows!r} to have one axis, found {rows}")
        return ValueType("real", (*rows.shape, scope.value(self.input, "real").channels))


@dataclass(frozen=True, slots=True)
class Linear(Operation):
    """y = W·x + b, or on levels y = θ·(W·n) + b. (…, inputs) → (…, outputs) real.

    On levels the integers are summed first, one int32 accumulator per output and weight group.
    """

    synaptic: ClassVar[bool] = True

    input: str
    weight: Weight
    bias: str | None = None

    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def weights(self) -> tuple[Weight, ...]:
        return (self.weight,)

    def parameters(self) -> tuple[str, ...]:
        return () if self.bias is None else (self.bias,)

    def check(self, scope: Scope) -> ValueType:
        source = scope.value(self.input, "real", "levels")
        outputs, inputs = self.weight.check(scope)
        if source.channels != inputs:
            raise GraphError(
                f"expected {self.input!r} to have {inputs} channels for weight "
                f"{self.weight.values!r}, found {source}"
            )
        if (source.kind == "levels") != (self.weight.bits < 32):
            raise GraphError(
                f"expected levels with integer weights or reals with float weights, found {source} "
                f"with {self.weight.bits}-bit weight {self.weight.values!r}"
            )
        if self.bias is not None:
            scope.tensor(self.bias, REAL_TYPES, (outputs,))
        return source.with_channels(outputs)


@dataclass(frozen=True, slots=True)
class Neuron(Operation):
    """Reals to levels: n = clamp(floor(x·(1/θ) + ½), lowest, highest).

    The settled spike count of a signed integrate-and-fire neuron with soft reset that starts at
    v₀ = θ/2 and fires when v ≥ θ. Two float32 roundings: multiply, then add.

    Attributes:
        threshold: tensor of shape () with θ > 0.
        inverse: tensor of shape () or (channels,) with 1/θ. With one value per channel the
            channels' gains are folded into the neighbouring weights, and θ is what remains.
        lowest: smallest level, ≤ 0.
        highest: largest level, > 0.
    """

    input: str
    threshold: str
    inverse: str
    lowest: int = -LARGEST_LEVEL
    highest: int = LARGEST_LEVEL

    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def parameters(self) -> tuple[str, ...]:
        return (self.threshold, self.inverse)

    def check(self, scope: Scope) -> ValueType:
        source = scope.value(self.input, "real")
        scope.tensor(self.threshold, REAL_TYPES, ())
        gains = scope.tensors.get(self.inverse)
        if gains is None or gains.shape != ():
            scope.tensor(self.inverse, REAL_TYPES, (source.channels,))
        else:
            scope.tensor(self.inverse, REAL_TYPES, ())
        check_range(self.lowest, self.highest)
        largest = max(-self.lowest, self.highest)
        return ValueType("levels", source.shape, self.threshold, largest)


@dataclass(frozen=True, slots=True)
class Norm(Operation):
    """Normalisation over the last axis (K channels), scaled by w and shifted by b.

    * ``rms``: y = x / √(mean(x²) + ε) · w
    * ``layer``: y = (x − mean(x)) / √(mean((x − mean(x))²) + ε) · w + b
    """

    input: str
    form: Literal["rms", "layer"]
    weight: str
    bias: str | None = None
    epsilon: float = 1e-5

    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def parameters(self) -> tuple[str, ...]:
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    def check(self, scope: Scope) -> ValueType:
        source = scope.value(self.input, "real")
        if self.form not in ("rms", "layer"):
            raise GraphError(f"expected a norm of form rms or layer, found {self.form!r}")
        if not (math.isfinite(self.epsilon) and self.epsilon > 0):
            raise GraphError(f"expected a positive epsilon, found {self.epsilon}")
        for name in self.parameters():
            scope.tensor(name, REAL_TYPES, (source.channels,))
        return source


@dataclass(frozen=True, slots=True)
class Activation(Operation):
    """A function of each element.

    * ``silu``: x / (1 + exp(−x))
    * ``gelu_tanh``: x / (1 + exp(−2u)) with u = √(2/π)·(x + 0.044715·x³)
    """

    input: str
    function: Literal["silu", "gelu_tanh"]

    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def check(self, scope: Scope) -> ValueType:
        if self.function not in ("silu", "gelu_tanh"):
            raise GraphError(f"expected silu or gelu_tanh, found activation {self.function!r}")
        return scope.value(self.input, "real")


@dataclass(frozen=True, slots=True)
class Binary(Operation):
    """An operation on two values of one shape, element by element."""

    left: str
    right: str

    def inputs(self) -> tuple[str, ...]:
        return (self.left, self.right)

    def check(self, scope: Scope) -> ValueType:
        left, right = scope.value(self.left, "real"), scope.value(self.right, "real")
        if left != right:
            raise GraphError(
                f"expected {self.left!r} and {self.right!r} to have one shape, "
                f"found {left} and {right}"
            )
        return left


@dataclass(frozen=True, slots=True)
class Add(Binary):
    """y = a + b, element by element."""


@dataclass(frozen=True, slots=True)
class Multiply(Binary):
    """y = a·b, element by element."""


@dataclass(frozen=True, slots=True)
class Rotary(Operation):
    """Rotary position embedding (Su et al. 2021, arXiv 2104.09864), halves convention.

    For each head of size D and each i < D/2, at the row's position p:
    y[i] = x[i]·cos[p, i] − x[i + D/2]·sin[p, i]
    y[i + D/2] = x[i + D/2]·cos[p, i] + x[i]·sin[p, i]

    Attributes:
        positions: index value, one position per row.
        cosine: tensor (positions, D/2).
        sine: tensor (positions, D/2).
        heads: number of heads; the input has heads·D channels.
    """

    input: str
    positions: str
    cosine: str
    sine: str
    heads: int

    def inputs(self) -> tuple[str, ...]:
        return (self.input, self.positions)

    def parameters(self) -> tuple[str, ...]:
        return (self.cosine, self.sine)

    def check(self, scope: Scope) -> ValueType:
        source = scope.value(self.input, "real")
        scope.value(self.positions, "index")
        context, half = scope.shape(self.cosine, 2)
        if self.heads <= 0 or source.channels != 2 * half * self.heads:
            raise GraphError(
                f"expected {self.input!r} to have {self.heads} heads of {2 * half}, found {source}"
            )
        for name in self.parameters():
            scope.tensor(name, REAL_TYPES, (context, half))
        return source


@dataclass(frozen=True, slots=True)
class Attention(Operation):
    """Attention with a cache of earlier keys and values, on reals or on levels.

    Per sequence and head h (key head h·key_heads // heads), for row i and visible rows j:
    s_ij = scale·⟨q_i, k_j⟩;  e_ij = exp(s_ij − max_j s_ij);  y_i = Σ_j e_ij·v_j / Σ_j e_ij.

    On levels, s_ij = fl(fl(θq·θk)·scale)·⟨n(q_i), n(k_j)⟩, and e is turned into levels
    p_ij = clamp(floor(e_ij·(1/θp) + ½), 0, highest), so that y_i = θv·Σ_j p_ij·n(v_j) / Σ_j p_ij:
    the probabilities are normalised after the integer sum, by an integer.
    Rows and their cache belong to one sequence each; a causal row sees rows up to itself.

    Attributes:
        threshold: tensor () with θp, on levels; None on reals.
        inverse: tensor () with 1/θp ≥ 1, on levels; None on reals.
        highest: largest probability level.
    """

    synaptic: ClassVar[bool] = True

    query: str
    key: str
    value: str
    heads: int
    key_heads: int
    scale: float
    causal: bool = True
    threshold: str | None = None
    inverse: str | None = None
    highest: int = 255

    def inputs(self) -> tuple[str, ...]:
        return (self.query, self.key, self.value)

    def parameters(self) -> tuple[str, ...]:
        return tuple(n for n in (self.threshold, self.inverse) if n is not None)

    def check(self, scope: Scope) -> ValueType:
        query, key, value = (scope.value(n, "real", "levels") for n in self.inputs())
        if self.heads <= 0 or self.key_heads <= 0 or self.heads % self.key_heads:
            raise GraphError(
                f"expected the heads to be a multiple of the key heads, found {self.heads} heads "
                f"and {self.key_heads} key heads"
            )
        if query.channels % self.heads:
            raise GraphError(f"expected {query} to split into {self.heads} heads")
        size = query.channels // self.heads
        for name, found in ((self.key, key), (self.value, value)):
            if found.channels != size * self.key_heads or found.shape[:-1] != query.shape[:-1]:
                raise GraphError(
                    f"expected {name!r} to have {self.key_heads} heads of {size} beside {query}, "
                    f"found {found}"
                )
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise GraphError(f"expected a positive scale, found {self.scale}")
        kinds = {query.kind, key.kind, value.kind}
        spiking = self.threshold is not None and self.inverse is not None
        if (
            len(kinds) != 1
            or (kinds == {"levels"}) != spiking
            or (self.threshold is None) == spiking
        ):
            raise GraphError(
                f"expected {self.output!r} to take reals, or levels and a threshold of its "
                f"probabilities, found {query}, {key}, {value} and threshold {self.threshold!r}"
            )
        for name in self.parameters():
            scope.tensor(name, REAL_TYPES, ())
        check_range(0, self.highest)
        return ValueType("real", query.shape)

    @property
    def group(self) -> int:
        """Query heads that share one key head."""
        return self.heads // self.key_heads


def check_range(lowest: int, highest: int) -> None:
    """Raise `GraphError` unless ``lowest ≤ 0 < highest`` and both fit the largest level."""
    if not -LARGEST_LEVEL <= lowest <= 0 < highest <= LARGEST_LEVEL:
        raise GraphError(
            f"expected levels within ±{LARGEST_LEVEL} that include 0 and 1, "
            f"found {lowest} to {highest}"
        )


OPERATIONS: dict[str, type[Operation]] = {
    cls.__name__: cls
    for cls in (
        Embedding, Select, Linear, Neuron, Norm, Activation, Add, Multiply, Rotary, Attention,
    )
}  # fmt: skip
"""Every operation that a graph may hold, by the name that `graph.json` uses."""
