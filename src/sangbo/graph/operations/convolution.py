"""Convolutions and pools: what slides a window over the inner axes of a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from sangbo.errors import GraphError
from sangbo.graph.operations.base import Operation
from sangbo.graph.scope import Scope
from sangbo.graph.types import ValueType
from sangbo.graph.weight import REAL_TYPES, Weight

Sides: TypeAlias = tuple[int, int]
"""What is added before and after an axis."""


@dataclass(frozen=True, slots=True)
class Window:
    """How a window slides along one axis of ``size`` inputs.

    Output p sees, for each tap t < kernel, position ``p·stride + t·dilation − before`` of the axis
    after ``spread − 1`` zeros were put between neighbours.
    """

    size: int
    kernel: int
    stride: int = 1
    padding: Sides = (0, 0)
    dilation: int = 1
    spread: int = 1

    @property
    def outputs(self) -> int:
        """How many outputs there are; none or fewer where the window does not fit."""
        width = (self.size - 1) * self.spread + 1 + sum(self.padding)
        return (width - (self.kernel - 1) * self.dilation - 1) // self.stride + 1

    def source(self, output: int, tap: int) -> int | None:
        """The input that ``tap`` of ``output`` sees; None where it sees a zero."""
        position = output * self.stride + tap * self.dilation - self.padding[0]
        index, rest = divmod(position, self.spread)
        return index if rest == 0 and 0 <= index < self.size else None


def windows(
    source: ValueType,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[Sides, ...],
    dilation: tuple[int, ...],
    spread: tuple[int, ...],
) -> tuple[Window, ...]:
    """The window of each inner axis of ``source``; raises `GraphError` where they do not fit."""
    space = source.inner()[:-1]
    parts = (kernel, stride, padding, dilation, spread)
    if not space or any(len(part) != len(space) for part in parts):
        raise GraphError(
            f"expected kernel, stride, padding, dilation and spread for each of the "
            f"{len(space)} inner axes of {source}, found {kernel}, {stride}, {padding}, "
            f"{dilation}, {spread}"
        )
    found = tuple(Window(*each) for each in zip(space, *parts, strict=True))
    if any(
        min(w.kernel, w.stride, w.dilation, w.spread) < 1 or min(w.padding) < 0 or w.outputs < 1
        for w in found
    ):
        raise GraphError(f"expected windows that fit {source}, found {found}")
    return found


@dataclass(frozen=True, slots=True)
class Convolution(Operation):
    """y[p, o] = Σ_t Σ_c W[o, t, c]·x[p·stride + t·dilation − padding, c] + b[o].

    (samples, *space, channels) → (samples, *outputs, outputs) with one or two axes of space; what
    lies outside is 0. On levels the integers are summed first, as in `Linear`. A transposed
    convolution of stride s is one of ``spread`` s: zeros between neighbours, which are no spikes.

    Attributes:
        weight: (outputs, taps·channels / groups), the taps in the order of the axes, the channel
            fastest.
        kernel: taps along each axis.
        groups: output o reads only the channels of its own group; both are split evenly.
        spread: 1 + the zeros put between neighbours along each axis.
    """

    synaptic: ClassVar[bool] = True

    input: str
    weight: Weight
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[Sides, ...]
    dilation: tuple[int, ...]
    spread: tuple[int, ...]
    groups: int = 1
    bias: str | None = None

    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def weights(self) -> tuple[Weight, ...]:
        return (self.weight,)

    def parameters(self) -> tuple[str, ...]:
        return () if self.bias is None else (self.bias,)

    def windows(self, source: ValueType) -> tuple[Window, ...]:
        """The window of each axis of space of an input of type ``source``."""
        return windows(source, self.kernel, self.stride, self.padding, self.dilation, self.spread)

    def check(self, scope: Scope) -> ValueType:
        source = scope.value(self.input, "real", "levels")
        outputs, inputs = self.weight.check(scope)
        sliding = self.windows(source)
        taps = 1
        for window in sliding:
            taps *= window.kernel
        if (
            self.groups < 1
            or source.channels % self.groups
            or outputs % self.groups
            or inputs != taps * (source.channels // self.groups)
        ):
            raise GraphError(
                f"expected weight {self.weight.values!r} to have {taps} taps of {source.channels} "
                f"channels in {self.groups} groups, found {outputs} outputs of {inputs} inputs"
            )
        if (source.kind == "levels") != (self.weight.bits < 32):
            raise GraphError(
                f"expected levels with integer weights or reals with float weights, found {source} "
                f"with {self.weight.bits}-bit weight {self.weight.values!r}"
            )
        if self.bias is not None:
            scope.tensor(self.bias, REAL_TYPES, (outputs,))
        return ValueType("real", (source.shape[0], *(w.outputs for w in sliding), outputs))

    def spiking(self, values: Mapping[str, ValueType]) -> bool:
        return values[self.input].kind == "levels"


@dataclass(frozen=True, slots=True)
class Pool(Operation):
    """The largest, or the mean, of each channel in a window. (samples, *space, channels).

    What lies outside is no candidate for the largest. The mean divides by the taps inside, or by
    all taps with ``outside``.
    """

    input: str
    form: Literal["max", "mean"]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[Sides, ...]
    outside: bool = False

    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def windows(self, source: ValueType) -> tuple[Window, ...]:
        """The window of each axis of space of an input of type ``source``."""
        ones = (1,) * len(self.kernel)
        return windows(source, self.kernel, self.stride, self.padding, ones, ones)

    def check(self, scope: Scope) -> ValueType:
        source = scope.value(self.input, "real")
        if self.form not in ("max", "mean"):
            raise GraphError(f"expected a pool of form max or mean, found {self.form!r}")
        sliding = self.windows(source)
        if any(max(w.padding) >= w.kernel for w in sliding):
            raise GraphError(f"expected padding below the kernel's size, found {sliding}")
        return ValueType("real", (source.shape[0], *(w.outputs for w in sliding), source.channels))
