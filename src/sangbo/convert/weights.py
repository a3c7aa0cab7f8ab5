"""Float weights to integers on a grid, and grids that a file already holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sangbo.engines.base import Array, Real
from sangbo.errors import ConversionError
from sangbo.graph import Weight

GROUP = 32


@dataclass(frozen=True, slots=True)
class Grid:
    """Integers of a weight with their scales, stored as `sangbo.graph.Weight` says.

    Attributes:
        bits: 8 or 4.
        group: inputs that share a scale.
        values: int8 (outputs, inputs), or uint8 (outputs, inputs // 2) for 4 bits.
        scale: float16 or float32 (outputs, inputs // group).
        minimum: as ``scale``, or None.
    """

    bits: int
    group: int
    values: Array
    scale: Array
    minimum: Array | None = None

    def weight(self, name: str) -> tuple[Weight, dict[str, Array]]:
        """The weight called ``name`` and the tensors that hold it."""
        tensors = {name: self.values, f"{name}.scale": self.scale}
        if self.minimum is not None:
            tensors[f"{name}.minimum"] = self.minimum
        minimum = None if self.minimum is None else f"{name}.minimum"
        return Weight(name, self.bits, self.group, f"{name}.scale", minimum), tensors


def per_channel(weights: Real) -> Grid:
    """Int8 with one scale per output: scale = max|w| / 127, q = round(w / scale)."""
    largest = np.abs(weights).max(axis=1)
    scale = np.where(largest > 0, largest / np.float32(127), np.float32(1)).astype(np.float32)
    values = np.clip(np.rint(weights / scale[:, None]), -127, 127).astype(np.int8)
    return Grid(8, weights.shape[1], values, scale[:, None])


def four_bit(weights: Real) -> Grid:
    """4 bits in groups of 32 inputs: scale and minimum span each group, q = 0…15.

    Raises:
        ConversionError: where the inputs are not a multiple of 32.
    """
    outputs, inputs = weights.shape
    if inputs % GROUP:
        raise ConversionError(
            f"expected a multiple of {GROUP} inputs for 4-bit weights, found {inputs}"
        )
    groups = weights.reshape(outputs, -1, GROUP)
    minimum = groups.min(axis=-1).astype(np.float16)
    span = groups.max(axis=-1) - minimum.astype(np.float32)
    scale = np.where(span > 0, span / np.float32(15), np.float32(1)).astype(np.float16)
    safe = np.where(scale > 0, scale, np.float16(1)).astype(np.float32)
    steps = (groups - minimum[..., None].astype(np.float32)) / safe[..., None]
    values = np.clip(np.rint(steps), 0, 15).astype(np.uint8).reshape(outputs, inputs)
    packed = values[:, 0::2] | (values[:, 1::2] << 4)
    if not np.isfinite(minimum).all() or not np.isfinite(scale).all():
        raise ConversionError("expected weights within the range of float16, found larger ones")
    return Grid(4, GROUP, packed, scale, minimum)
