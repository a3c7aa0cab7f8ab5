"""Float32 arithmetic in the order that ``docs/exactness.md`` fixes, and exact integer products.

Everything here is element by element or in a stated order of additions, because NumPy's own sums
and products of reals depend on the machine.
"""

from __future__ import annotations

import numpy as np

from sangbo.engines.base import Array, Levels, Real
from sangbo.errors import EngineError

LANES = 16
ONE = np.float32(1)
HALF = np.float32(0.5)
_EXACT_FLOAT32 = 2**24
_INT32 = 2**31
_EXP_COEFFICIENTS = tuple(
    np.float32(c)
    for c in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
)


def lane_sum(x: Real) -> Real:
    """Sum over the last axis in sixteen lanes that then fold in halves. (…, K) → (…)."""
    short = -x.shape[-1] % LANES
    padded = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, short)]) if short else x
    runs = padded.reshape(*x.shape[:-1], -1, LANES)
    lanes = np.zeros((*x.shape[:-1], LANES), np.float32)
    for run in range(runs.shape[-2]):
        lanes += runs[..., run, :]
    width = LANES
    while width > 1:
        width //= 2
        lanes = lanes[..., :width] + lanes[..., width : 2 * width]
    total: Real = lanes[..., 0]
    return total


def exp(x: Real) -> Real:
    """e^x by Cephes' polynomial, each operation rounded once; 0 below −87, x at most 88."""
    bounded = np.clip(x, np.float32(-87), np.float32(88))
    k = np.floor(bounded * np.float32(1.44269504) + HALF)
    r = (bounded - k * np.float32(0.693359375)) - k * np.float32(-2.12194440e-4)
    p = np.full_like(r, np.float32(1.9875691500e-4))
    for coefficient in _EXP_COEFFICIENTS:
        p = p * r + coefficient
    y = (p * (r * r) + r) + ONE
    power: Real = np.where(x < np.float32(-87), np.float32(0), np.ldexp(y, k.astype(np.int32)))
    return power


def silu(x: Real) -> Real:
    """Sigmoid-weighted unit: x / (1 + e^−x)."""
    return x / (ONE + exp(-x))


def gelu_tanh(x: Real) -> Real:
    """GELU with the usual tanh form: x / (1 + e^−2u), u = √(2/π)·(x + 0.044715·x³)."""
    cubic = ((x * x) * x) * np.float32(0.044715)
    return x / (ONE + exp(-((x + cubic) * np.float32(1.5957691216))))


def normalise(x: Real, form: str, weight: Real, bias: Real | None, epsilon: float) -> Real:
    """Layer or RMS norm over the last axis; see `sangbo.graph.Norm`."""
    channels = np.float32(x.shape[-1])
    if form == "layer":
        x = x - (lane_sum(x) / channels)[..., None]
    mean_square = lane_sum(x * x) / channels
    inverse = ONE / np.sqrt(mean_square + np.float32(epsilon))
    y: Real = (x * inverse[..., None]) * weight
    return y if bias is None else y + bias


def drive(x: Real, inverse: Array) -> Real:
    """What a neuron that starts half a threshold up holds when driven by x: x·inverse + ½."""
    driven: Real = x * inverse + HALF
    return driven


def check_finite(x: Real, name: str) -> None:
    """Raise `EngineError` where neuron layer ``name`` is driven by NaN or infinity."""
    if not np.isfinite(x).all():
        raise EngineError(f"expected finite values at neuron {name!r}, found NaN or ∞")


def encode(x: Real, inverse: Array, lowest: int, highest: int) -> Levels:
    """Levels of ``x``: clamp(floor(x·inverse + ½), lowest, highest); see `sangbo.graph.Neuron`."""
    settled = np.floor(drive(x, inverse))
    levels: Levels = np.clip(settled, lowest, highest).astype(np.int32)
    return levels


def integer_product(levels: Levels, weights: Array, largest: int) -> Levels:
    """Exact Σ_i levels[r, i]·weights[o, i] as int32. (R, K), (O, K) → (R, O).

    A product of integers in floating point is exact while every partial sum fits the mantissa, so
    rows whose Σ|n|·largest stays below 2²⁴ go through float32 and the others through float64.

    Args:
        levels: the rows.
        weights: integers of magnitude at most ``largest``.
        largest: bound on the weights' magnitude.

    Raises:
        EngineError: where Σ|n|·largest of a row reaches 2³¹.
    """
    check_accumulators(levels, largest)
    bounds = np.abs(levels.astype(np.int64)).sum(axis=1) * largest
    result = np.empty((levels.shape[0], weights.shape[0]), np.int32)
    small = bounds < _EXACT_FLOAT32
    for rows, dtype in ((small, np.float32), (~small, np.float64)):
        if rows.any():
            result[rows] = levels[rows].astype(dtype) @ weights.T.astype(dtype)
    return result


def check_accumulators(levels: Levels, largest: int) -> None:
    """Raise `EngineError` where Σ|n|·largest over the last axis reaches 2³¹."""
    reach = int(np.abs(levels.astype(np.int64)).sum(axis=-1).max(initial=0)) * largest
    if reach >= _INT32:
        raise EngineError(f"expected accumulators within 32 bits, found a sum up to {reach}")


def unpack_nibbles(packed: Array) -> Array:
    """4-bit values 0…15, two to a byte, even input in the low half. (O, I/2) → (O, I) uint8."""
    values = np.empty((packed.shape[0], packed.shape[1] * 2), np.uint8)
    values[:, 0::2] = packed & 15
    values[:, 1::2] = packed >> 4
    return values
