"""Operations that only move elements: the first axis, of samples or rows, stays as it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sangbo.errors import GraphError
from sangbo.graph.operations.base import Operation
from sangbo.graph.scope import Scope
from sangbo.graph.types import ValueType
from sangbo.graph.weight import REAL_TYPES


@dataclass(frozen=True, slots=True)
class Reshape(Operation):
    """The same elements in the same order under other inner axes. (rows, …) → (rows, *shape)."""

    input: str
    shape: tuple[int, ...]

    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def check(self, scope: Scope) -> ValueType:
        source = scope.value(self.input, "real")
        inner = source.inner()
        if min(self.shape, default=0) < 1 or math.prod(self.shape) != math.prod(inner):
            raise GraphError(f"expected {inner} in other axes, found {self.shape}")
        return ValueType("real", (source.shape[0], *self.shape))


@dataclass(frozen=True, slots=True)
class Transpose(Operation):
    """Inner axes in another order: axis i of the result is axis ``axes[i]`` of the input.

    Axes are numbered with the first axis as 0, which stays the first and is not named.
    """

    input: str
    axes: tuple[int, ...]

    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def check(self, scope: Scope) -> ValueType:
        source = scope.value(self.input, "real")
        if sorted(self.axes) != list(range(1, len(source.shape))):
            raise GraphError(
                f"expected the inner axes of {source} in some order, found {self.axes}"
            )
        return ValueType("real", (source.shape[0], *(source.shape[a] for a in self.axes)))


@dataclass(frozen=True, slots=True)
class Take(Operation):
    """Chosen places along one inner axis, in any order and as often as wanted.

    y[…, i, …] = x[…, places[i], …]; slices, reflections and repetitions are of this kind.

    Attributes:
        axis: which, the first axis being 0; at least 1.
        places: of the axis, each within its size.
    """

    input: str
    axis: int
    places: tuple[int, ...]

    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def check(self, scope: Scope) -> ValueType:
        source = scope.value(self.input, "real")
        inner = source.inner()
        if not 1 <= self.axis <= len(inner):
            raise GraphError(f"expected an inner axis of {source}, found {self.axis}")
        size = inner[self.axis - 1]
        if not self.places or not 0 <= min(self.places) <= max(self.places) < size:
            raise GraphError(f"expected places within 0…{size - 1}, found {self.places}")
        shape = list(source.shape)
        shape[self.axis] = len(self.places)
        return ValueType("real", tuple(shape))


@dataclass(frozen=True, slots=True)
class Concatenate(Operation):
    """Values side by side along one inner axis; all their other axes agree."""

    values: tuple[str, ...]
    axis: int

    def inputs(self) -> tuple[str, ...]:
        return self.values

    def check(self, scope: Scope) -> ValueType:
        parts = [scope.value(n, "real") for n in self.values]
        if not parts or not 1 <= self.axis < len(parts[0].shape):
            raise GraphError(f"expected values and an inner axis of theirs, found {self}")
        rests = {(*p.shape[: self.axis], *p.shape[self.axis + 1 :]) for p in parts}
        if len(rests) != 1 or len({len(p.shape) for p in parts}) != 1:
            raise GraphError(
                f"expected values that agree but for axis {self.axis}, found "
                f"{', '.join(map(str, parts))}"
            )
        shape = list(parts[0].shape)
        shape[self.axis] = sum(p.inner()[self.axis - 1] for p in parts)
        return ValueType("real", tuple(shape))


@dataclass(frozen=True, slots=True)
class Constant(Operation):
    """The same tensor for each entry of the first axis of another value (a class token).

    Attributes:
        like: the value whose first axis is taken; nothing else of it is read.
        tensor: (*shape); the result is (rows, *shape).
    """

    like: str
    tensor: str

    def inputs(self) -> tuple[str, ...]:
        return (self.like,)

    def parameters(self) -> tuple[str, ...]:
        return (self.tensor,)

    def check(self, scope: Scope) -> ValueType:
        found = scope.tensors.get(self.tensor)
        if found is None or not found.shape:
            raise GraphError(f"expected a tensor {self.tensor!r} with some axis, found {found}")
        scope.tensor(self.tensor, REAL_TYPES, found.shape)
        return ValueType("real", (scope.value(self.like).shape[0], *found.shape))
