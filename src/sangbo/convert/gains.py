"""By how much each channel of a converted network's values was rescaled (see `equalise`)."""

from __future__ import annotations

import numpy as np

from sangbo.convert.equalise import find_seams
from sangbo.engines.base import Array, Real
from sangbo.engines.reference import dequantise
from sangbo.errors import ConversionError
from sangbo.graph import Attention, Graph, Linear, Multiply, Norm, Operation, Rotary, Select

_NEAR_POWER = 0.2
"""How far a logarithm to base 2 may be from a whole number and still mean that power of two."""


def gains(original: Graph, converted: Graph) -> dict[str, Real]:
    """What to multiply a value of ``converted`` by, per channel, to compare it with the original's.

    Equalising moves scale between neighbouring weights. How much is read back from the weights:
    exactly from the vectors of norms, and from each row of a weight by least squares, rounded to
    the power of two that it was. Values that were not rescaled are left out.

    Returns:
        (channels,) float32 by name of the value.

    Raises:
        ConversionError: where the two do not have the same operations.
    """
    seams = find_seams(original)
    scaled = {name for s in seams for name in (*s.vectors, *s.rows, *s.multiplied)}
    others = {o.output: o for o in converted.operations}
    found: dict[str, Real] = {}
    for operation in original.operations:
        other = others.get(operation.output)
        if type(other) is not type(operation) or other is None:
            raise ConversionError(
                f"expected the converted network to have {type(operation).__name__} "
                f"{operation.output!r} as its original has, found "
                f"{type(other).__name__ if other else 'nothing'}"
            )
        gain = _gain(operation, other, original, converted, scaled, found)
        if gain is not None and (gain != 1).any():
            found[operation.output] = gain
    return found


def _gain(
    operation: Operation,
    other: Operation,
    original: Graph,
    converted: Graph,
    scaled: set[str],
    found: dict[str, Real],
) -> Real | None:
    if isinstance(operation, Norm) and isinstance(other, Norm):
        if operation.weight not in scaled:
            return None
        return _ratio(
            original.tensors[operation.weight][:, None], converted.tensors[other.weight][:, None]
        )
    if isinstance(operation, Linear) and isinstance(other, Linear):
        if operation.weight.values not in scaled:
            return None
        before = original.tensors[operation.weight.values]
        if operation.input in found:
            before = before * found[operation.input]
        return _ratio(before, dequantise(other.weight, converted))
    if isinstance(operation, Multiply):
        sides = [found[n] for n in operation.inputs() if n in found]
        return np.prod(sides, axis=0) if sides else None
    if isinstance(operation, Rotary | Select):
        return found.get(operation.inputs()[0])
    if isinstance(operation, Attention) and operation.value in found:
        size = original.values[operation.query].channels // operation.heads
        heads = found[operation.value].reshape(-1, size)
        return np.repeat(heads, operation.group, axis=0).reshape(-1)
    return None


def _ratio(before: Array, after: Array) -> Real:
    """The factor per row that brings ``after`` nearest to ``before``. (R, K), (R, K) → (R,)."""
    square = np.einsum("rk,rk->r", after, after, dtype=np.float64)
    both = np.einsum("rk,rk->r", before, after, dtype=np.float64)
    usable = (square > 0) & (both > 0)
    factor = np.where(usable, both / np.where(usable, square, 1), 1.0)
    power = np.log2(factor)
    near = np.abs(power - np.rint(power)) < _NEAR_POWER
    return np.where(near, np.exp2(np.rint(power)), factor).astype(np.float32)
