"""Convolutions as synapses: windows that slide over an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sangbo.dynamics.rules import Indices, Pairs
from sangbo.dynamics.values import Floats
from sangbo.errors import SimulationError

Two: TypeAlias = tuple[int, int]
LARGEST = 1 << 30
"""Synapses of one convolution."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of ``kernel`` rows and columns over an image of ``shape`` (channels, height, width).

    Attributes:
        stride: steps between windows, down and across.
        dilation: steps between the elements of a window.
        before: rows and columns of nothing before the image.
        padding: the same before and after, together.
    """

    shape: tuple[int, int, int]
    kernel: Two
    stride: Two = (1, 1)
    dilation: Two = (1, 1)
    before: Two = (0, 0)
    padding: Two = (0, 0)

    def __post_init__(self) -> None:
        if min(*self.shape, *self.kernel, *self.stride, *self.dilation) < 1:
            raise SimulationError(f"expected sizes, strides and dilations above 0 in {self}")
        if min(*self.before, *self.padding) < 0 or min(self.size) < 1:
            raise SimulationError(f"expected windows that fit the image, found none in {self}")

    @property
    def size(self) -> Two:
        """Windows down and across."""
        down, across = (
            (self.shape[i + 1] + self.padding[i] - self.dilation[i] * (self.kernel[i] - 1) - 1)
            // self.stride[i]
            + 1
            for i in (0, 1)
        )
        return down, across

    def synapses(
        self, out: Indices, channel: Indices, row: Indices, column: Indices, weight: Floats
    ) -> tuple[Indices, Indices, Floats]:
        """Sources, targets and weights of a kernel whose elements are listed.

        Element k, from ``channel[k]`` to ``out[k]``, lies at ``row[k]`` and ``column[k]``.
        """
        height, width = self.size
        if weight.size * height * width > LARGEST:
            raise SimulationError(f"expected at most {LARGEST} synapses, found more in {self}")
        y, x = (a.ravel() for a in np.indices((height, width)))
        iy = y * self.stride[0] - self.before[0] + row[:, np.newaxis] * self.dilation[0]
        ix = x * self.stride[1] - self.before[1] + column[:, np.newaxis] * self.dilation[1]
        inside = (iy >= 0) & (iy < self.shape[1]) & (ix >= 0) & (ix < self.shape[2])
        source = (channel[:, np.newaxis] * self.shape[1] + iy) * self.shape[2] + ix
        target = (out[:, np.newaxis] * height + y) * width + x
        weights = np.broadcast_to(weight[:, np.newaxis], inside.shape)
        return source[inside], target[inside], weights[inside]


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """Convolution from a (channels, height, width) population to another.

    Given to `Network.connect` as a rule, its kernel makes the weights.

    Attributes:
        kernel: weights of shape (channels out, channels in / groups, rows, columns).
        shape: (channels, height, width) of the source population, flattened in that order.
        stride: steps between windows, down and across.
        padding: rows and columns of nothing around the input.
        dilation: steps between the elements of a window.
        groups: of channels that meet only one another.
    """

    kernel: ArrayLike
    shape: tuple[int, int, int]
    stride: Two = (1, 1)
    padding: Two = (0, 0)
    dilation: Two = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        kernel = self._kernel
        fits = kernel.ndim == 4 and self.groups >= 1 and kernel.shape[0] % self.groups == 0
        if not fits or kernel.shape[1] * self.groups != self.shape[0]:
            raise SimulationError(
                f"expected a kernel of shape (out, {self.shape[0]} / groups, rows, columns), found "
                f"{kernel.shape}, {self.groups} groups"
            )
        self._windows  # noqa: B018 (checks itself)

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of the target population."""
        return (self._kernel.shape[0], *self._windows.size)

    def pairs(self) -> tuple[Pairs, Floats]:
        """The pairs of neurons that a nonzero weight joins, and these weights."""
        kernel = self._kernel
        out, channel, row, column = np.nonzero(kernel)
        within = channel + out // (kernel.shape[0] // self.groups) * kernel.shape[1]
        weight = kernel[out, channel, row, column]
        source, target, weights = self._windows.synapses(out, within, row, column, weight)
        return Pairs(source, target), weights

    @property
    def _kernel(self) -> NDArray[np.float64]:
        return np.asarray(self.kernel, np.float64)

    @property
    def _windows(self) -> Windows:
        rows, columns = self._kernel.shape[2:]
        before = self.padding
        both = (2 * before[0], 2 * before[1])
        return Windows(self.shape, (rows, columns), self.stride, self.dilation, before, both)
