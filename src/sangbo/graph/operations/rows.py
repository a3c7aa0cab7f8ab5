"""Operations that compute each row, or each element, for itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from sangbo.errors import GraphError
from sangbo.graph.operations.base import LARGEST_LEVEL, Operation, check_range
from sangbo.graph.scope import Scope
from sangbo.graph.types import ValueType
from sangbo.graph.weight import REAL_TYPES, Weight

Function: TypeAlias = Literal[
    "silu", "gelu", "gelu_tanh", "quick_gelu", "relu", "relu6", "leaky_relu", "hardswish",
    "sigmoid", "tanh", "sqrt",
]  # fmt: skip


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

    def learned(self) -> tuple[str, ...]:
        return ()

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
    * ``gelu``: x·Φ(x), Φ the cumulative normal distribution
    * ``gelu_tanh``: x / (1 + exp(−2u)) with u = √(2/π)·(x + 0.044715·x³)
    * ``quick_gelu``: x / (1 + exp(−1.702·x))
    * ``relu``: max(x, 0);  ``relu6``: min(max(x, 0), 6)
    * ``leaky_relu``: x where x > 0, slope·x elsewhere
    * ``hardswish``: x·min(max(x + 3, 0), 6) / 6
    * ``sigmoid``: 1 / (1 + exp(−x));  ``tanh``: 2 / (1 + exp(−2x)) − 1;  ``sqrt``: √max(x, 0)

    Attributes:
        slope: of ``leaky_relu``; 0 for all others.
    """

    input: str
    function: Function
    slope: float = 0.0

    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def check(self, scope: Scope) -> ValueType:
        if self.function not in get_args(Function):
            raise GraphError(
                f"expected one of {', '.join(get_args(Function))}, "
                f"found activation {self.function!r}"
            )
        if not (math.isfinite(self.slope) and (self.slope == 0 or self.function == "leaky_relu")):
            raise GraphError(f"expected a slope of leaky_relu alone, found {self.slope}")
        return scope.value(self.input, "real")


@dataclass(frozen=True, slots=True)
class Affine(Operation):
    """y = x·w + b, element by element. (rows, …, channels) → the same.

    Attributes:
        weight: tensor (channels,) or of all axes but the first; none multiplies by 1.
        bias: the same; none adds nothing.
    """

    input: str
    weight: str | None = None
    bias: str | None = None

    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def parameters(self) -> tuple[str, ...]:
        return tuple(n for n in (self.weight, self.bias) if n is not None)

    def check(self, scope: Scope) -> ValueType:
        source = scope.value(self.input, "real")
        for name in self.parameters():
            found = scope.tensors.get(name)
            whole = source.inner() if found is not None and len(found.shape) > 1 else None
            scope.tensor(name, REAL_TYPES, whole or (source.channels,))
        return source


@dataclass(frozen=True, slots=True)
class Softmax(Operation):
    """y_i = exp(x_i − max x) / Σ_j exp(x_j − max x) over the last axis.

    Attributes:
        chosen: how many of the largest y are kept; the others become 0 and the kept ones are
            divided by their sum (the router of a mixture of experts). 0 keeps all. Of equal
            values the first are kept.
    """

    input: str
    chosen: int = 0

    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def check(self, scope: Scope) -> ValueType:
        source = scope.value(self.input, "real")
        if not 0 <= self.chosen <= source.channels:
            raise GraphError(f"expected to keep 0 to {source.channels}, found {self.chosen}")
        return source


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
    """y = a·b, element by element; b may have one channel, which then multiplies all of a's."""

    def check(self, scope: Scope) -> ValueType:
        left, right = scope.value(self.left, "real"), scope.value(self.right, "real")
        return left if right == left.with_channels(1) else Binary.check(self, scope)


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

    def learned(self) -> tuple[str, ...]:
        return ()

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
