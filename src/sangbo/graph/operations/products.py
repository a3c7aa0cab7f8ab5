"""Synaptic operations: what spikes or multiplications cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from sangbo.errors import GraphError
from sangbo.graph.operations.base import Operation, check_range
from sangbo.graph.scope import Scope
from sangbo.graph.types import ValueType
from sangbo.graph.weight import REAL_TYPES, Weight


@dataclass(frozen=True, slots=True)
class Linear(Operation):
    """y = W·x + b, or on levels y = θ·(W·n) + b. (…, inputs) → (…, outputs) real.

    On levels the integers are summed first, one int32 accumulator per output and weight group.

    Attributes:
        gate: value (…, 1); rows whose gate is 0 are neither computed nor counted, and give 0.
    """

    synaptic: ClassVar[bool] = True

    input: str
    weight: Weight
    bias: str | None = None
    gate: str | None = None

    def inputs(self) -> tuple[str, ...]:
        return (self.input,) if self.gate is None else (self.input, self.gate)

    def weights(self) -> tuple[Weight, ...]:
        return (self.weight,)

    def parameters(self) -> tuple[str, ...]:
        return () if self.bias is None else (self.bias,)

    def spiking(self, values: Mapping[str, ValueType]) -> bool:
        return values[self.input].kind == "levels"

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
        if self.gate is not None and scope.value(self.gate, "real") != source.with_channels(1):
            raise GraphError(
                f"expected {self.gate!r} to have one channel beside {source}, "
                f"found {scope.value(self.gate)}"
            )
        return source.with_channels(outputs)


@dataclass(frozen=True, slots=True)
class Attention(Operation):
    """Attention, on reals or on levels.

    Per sequence and head h (key head h·key_heads // heads), for row i and visible rows j:
    s_ij = scale·⟨q_i, k_j⟩ + b_h(j − i);  e_ij = exp(s_ij − max_j s_ij);
    y_i = Σ_j e_ij·v_j / Σ_j e_ij.

    On levels, s_ij = fl(fl(θq·θk)·scale)·⟨n(q_i), n(k_j)⟩, and e is turned into levels
    p_ij = clamp(floor(e_ij·(1/θp) + ½), 0, highest), so that y_i = θv·Σ_j p_ij·n(v_j) / Σ_j p_ij:
    the probabilities are normalised after the integer sum, by an integer.

    Which rows are one sequence follows from the shapes. Values of two axes, (rows, channels), hold
    the next rows of several sequences, and each sequence's earlier keys and values are cached;
    queries may run along one such axis and keys along another, whose rows then come first (the
    source of a translation). Values of three axes, (samples, rows, channels), hold whole
    sequences; queries of two axes may attend to keys of three, one sample for each sequence.

    Attributes:
        causal: whether a row sees the rows of its own axis up to itself, or all.
        threshold: tensor () with θp, on levels; None on reals.
        inverse: tensor () with 1/θp ≥ 1, on levels; None on reals.
        highest: largest probability level.
        distances: tensor (heads, 2·D + 1) with b_h(d) at d + D, d clamped within ±D; rows are
            numbered from the beginning of their sequence. None for b = 0.
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
    distances: str | None = None

    def inputs(self) -> tuple[str, ...]:
        return (self.query, self.key, self.value)

    def parameters(self) -> tuple[str, ...]:
        return tuple(n for n in (self.threshold, self.inverse, self.distances) if n is not None)

    def learned(self) -> tuple[str, ...]:
        return () if self.distances is None else (self.distances,)

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
            if found.channels != size * self.key_heads or found.shape[:-1] != key.shape[:-1]:
                raise GraphError(
                    f"expected {name!r} to have {self.key_heads} heads of {size} beside {query}, "
                    f"found {found}"
                )
        self._check_axes(query, key)
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
        for part in (self.threshold, self.inverse):
            if part is not None:
                scope.tensor(part, REAL_TYPES, ())
        if self.distances is not None:
            rows, columns = scope.shape(self.distances, 2)
            if rows != self.heads or columns % 2 == 0:
                raise GraphError(
                    f"expected {self.distances!r} to be {self.heads} rows of an odd number of "
                    f"distances, found {rows} of {columns}"
                )
            scope.tensor(self.distances, REAL_TYPES, (rows, columns))
        check_range(0, self.highest)
        return ValueType("real", query.shape)

    def _check_axes(self, query: ValueType, key: ValueType) -> None:
        same = query.shape[:-1] == key.shape[:-1]
        shapes = len(query.shape), len(key.shape)
        crossing = not self.causal and (
            shapes in ((2, 2), (2, 3)) or (shapes == (3, 3) and query.shape[0] == key.shape[0])
        )
        if not (same and shapes in ((2, 2), (3, 3))) and not crossing:
            raise GraphError(
                f"expected a query (rows, channels) or (samples, rows, channels), and a key of the "
                f"same axes where it is causal, found {query} and {key}"
            )

    @property
    def group(self) -> int:
        """Query heads that share one key head."""
        return self.heads // self.key_heads
