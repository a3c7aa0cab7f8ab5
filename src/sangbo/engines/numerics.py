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
TWO = np.float32(2)
SIX = np.float32(6)
_EXACT_FLOAT32 = 2**24
_INT32 = 2**31
_EXP_COEFFICIENTS = tuple(
    np.float32(c)
    for c in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
)

_ERF_COEFFICIENTS = tuple(
    np.float32(c) for c in (-1.453152027, 1.421413741, -0.284496736, 0.254829592)
)


def lane_sum(x: Real) -> Real:
    """Sum over the last axis in sixteen lanes that then fold in halves. (…, K) → (…)."""
    short = -x.shape[-1] % LANES
    padded = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, short)]) if short else x
    runs = padded.reshape(*x.shape[:-1], padded.shape[-1] // LANES, LANES)
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


def sigmoid(x: Real) -> Real:
    """The logistic function: 1 / (1 + e^−x)."""
    return ONE / (ONE + exp(-x))


def tanh(x: Real) -> Real:
    """2 / (1 + e^−2x) − 1."""
    return TWO / (ONE + exp(-(x * TWO))) - ONE


def silu(x: Real) -> Real:
    """Sigmoid-weighted unit: x / (1 + e^−x)."""
    return x / (ONE + exp(-x))


def quick_gelu(x: Real) -> Real:
    """GELU with a plain sigmoid: x / (1 + e^−1.702x)."""
    return x / (ONE + exp(-(x * np.float32(1.702))))


def gelu_tanh(x: Real) -> Real:
    """GELU with the usual tanh form: x / (1 + e^−2u), u = √(2/π)·(x + 0.044715·x³)."""
    cubic = ((x * x) * x) * np.float32(0.044715)
    return x / (ONE + exp(-((x + cubic) * np.float32(1.5957691216))))


def gelu(x: Real) -> Real:
    """GELU, x·Φ(x), with Abramowitz and Stegun's formula 7.1.26; Φ is off by 8e-8 at most."""
    z = np.abs(x) * np.float32(0.70710678)
    t = ONE / (ONE + np.float32(0.3275911) * z)
    p = np.full_like(t, np.float32(1.061405429))
    for coefficient in _ERF_COEFFICIENTS:
        p = p * t + coefficient
    tail = ((p * t) * exp(-(z * z))) * HALF
    y: Real = x * np.where(x < 0, tail, ONE - tail)
    return y


def relu(x: Real) -> Real:
    """0 where x < 0, x elsewhere."""
    return leaky_relu(x, np.float32(0))


def leaky_relu(x: Real, slope: np.float32) -> Real:
    """slope·x where x < 0, x elsewhere."""
    y: Real = np.where(x < 0, x * slope if slope else np.float32(0), x)
    return y


def relu6(x: Real) -> Real:
    """0 where x < 0, 6 where x > 6, x elsewhere."""
    y: Real = np.where(x > SIX, SIX, relu(x))
    return y


def hardswish(x: Real) -> Real:
    """Hard swish: x·relu6(x + 3) / 6."""
    y: Real = (x * relu6(x + np.float32(3))) / SIX
    return y


def square_root(x: Real) -> Real:
    """√x, 0 where x < 0."""
    y: Real = np.sqrt(relu(x))
    return y


def softmax(x: Real, chosen: int) -> Real:
    """Softmax over the last axis, the ``chosen`` largest kept; see `sangbo.graph.Softmax`."""
    e = exp(x - x.max(axis=-1, keepdims=True, initial=np.float32(-np.inf)))
    y: Real = e / lane_sum(e)[..., None]
    if not chosen:
        return y
    places = np.argsort(-y, axis=-1, kind="stable")[..., :chosen]
    kept = np.zeros_like(y)
    np.put_along_axis(kept, places, np.take_along_axis(y, places, axis=-1), axis=-1)
    chances: Real = kept / lane_sum(kept)[..., None]
    return chances


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
    """Exact Σ_i levels[…, r, i]·weights[…, o, i] as int32. (…, R, K), (…, O, K) → (…, R, O).

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
    bounds = np.abs(levels.astype(np.int64)).sum(axis=-1) * largest
    small = bounds < _EXACT_FLOAT32
    if small.all() or levels.ndim > 2:
        exact = np.dtype(np.float32 if small.all() else np.float64)
        columns = np.swapaxes(weights, -1, -2).astype(exact)
        return (levels.astype(exact) @ columns).astype(np.int32)
    result = np.empty((levels.shape[0], weights.shape[0]), np.int32)
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
