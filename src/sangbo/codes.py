"""How a level becomes spikes in time: how many, which, worth what, over how many steps.

A code writes a level as ``n = Σ_d worth_d · digit_d`` with every digit in −1, 0, 1 (but `graded`,
whose one digit is the integer itself). Each nonzero digit is one spike. Levels are int32, so
magnitudes go up to `LARGEST_MAGNITUDE`, and everything here is exact up to that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sangbo.errors import CodeError

Levels: TypeAlias = NDArray[np.integer[Any]]
Counts: TypeAlias = NDArray[np.int64]
Planes: TypeAlias = NDArray[np.int8] | NDArray[np.int32]

LARGEST_MAGNITUDE = 2**31 - 1
"""Levels are int32."""

LARGEST_PLANES = 2**28
"""Most digits that one call of ``digits`` may return: 256 MiB of int8."""


@dataclass(frozen=True, slots=True)
class Code:
    """A spike code. A new code is one entry in `CODES`.

    Attributes:
        name: what people call it.
        equation: what it does to a level, in one line.
        multiplies: whether the receiver must multiply, so that a spike is priced as a MAC.
        spikes: magnitudes (any shape, signs are ignored) → int64 spikes of each, same shape.
        steps: largest magnitude M → time steps T that every |n| ≤ M fits in; 0 for M = 0.
        digits: levels (any shape) → ``(planes, worths)``: planes (D, *shape), int8 (int32 for
            `graded`), worths (D,) int64, with ``Σ_d worths[d]·planes[d] == levels`` and
            D = steps(max|n|). They are in the order of time, so the highest place comes first.
        schedule: time steps T → ``(bounds, worths)``, both (T,) int64: what a neuron does to emit
            these digits. In step t it fires iff at least ``bounds[t]`` whole thresholds are left
            in it, and the spike takes ``worths[t]`` of them away (all of them for `graded`).

    The first three raise `CodeError` for levels that are not integers or leave int32, and
    ``digits`` also where it would return more than `LARGEST_PLANES` digits.
    """

    name: str
    equation: str
    multiplies: bool
    spikes: Callable[[Levels], Counts]
    steps: Callable[[int], int]
    digits: Callable[[Levels], tuple[Planes, Counts]]
    schedule: Callable[[int], tuple[Counts, Counts]]


def code(name: str) -> Code:
    """The code called ``name``; raises `CodeError` naming those that exist."""
    if name not in CODES:
        raise CodeError(f"expected one of the codes {', '.join(CODES)}, found {name!r}")
    return CODES[name]


def _magnitudes(levels: Levels) -> Counts:
    """|n| as int64, checked."""
    if levels.dtype.kind not in "iu":
        raise CodeError(f"expected integer levels, found {levels.dtype}")
    if levels.size and (levels.max() > LARGEST_MAGNITUDE or levels.min() < -LARGEST_MAGNITUDE):
        raise CodeError(
            f"expected levels within ±{LARGEST_MAGNITUDE}, found {levels.min()} to {levels.max()}"
        )
    return np.abs(levels.astype(np.int64))


def _highest(highest: int) -> int:
    if not 0 <= highest <= LARGEST_MAGNITUDE:
        raise CodeError(f"expected a magnitude of 0 to {LARGEST_MAGNITUDE}, found {highest}")
    return highest


def _room(magnitudes: Counts, steps: Callable[[int], int]) -> int:
    """Planes that ``magnitudes`` need, once it is sure that they fit."""
    planes = steps(int(magnitudes.max(initial=0)))
    if planes * magnitudes.size > LARGEST_PLANES:
        raise CodeError(
            f"expected at most {LARGEST_PLANES} digits, found {planes} steps of "
            f"{magnitudes.size} levels"
        )
    return planes


def _popcount(bits: Counts) -> Counts:
    counts: Counts = np.bitwise_count(bits).astype(np.int64)
    return counts


def _bit_planes(bits: Counts, planes: int) -> NDArray[np.int8]:
    """The bits of every entry, the highest first."""
    result = np.empty((planes, *bits.shape), np.int8)
    for plane in range(planes):
        result[plane] = (bits >> (planes - 1 - plane)) & 1
    return result


def _signs(levels: Levels) -> NDArray[np.int8]:
    return np.sign(levels).astype(np.int8)


def _powers(planes: int) -> Counts:
    return np.left_shift(np.int64(1), np.arange(planes, dtype=np.int64)[::-1])


def _rate_spikes(magnitudes: Levels) -> Counts:
    return _magnitudes(magnitudes)


def _rate_steps(highest: int) -> int:
    return _highest(highest)


def _rate_digits(levels: Levels) -> tuple[Planes, Counts]:
    magnitudes = _magnitudes(levels)
    planes = _room(magnitudes, _rate_steps)
    step = np.arange(planes).reshape(-1, *(1,) * levels.ndim)
    return (step < magnitudes).astype(np.int8) * _signs(levels), np.ones(planes, np.int64)


def _ones(steps: int) -> tuple[Counts, Counts]:
    return np.ones(steps, np.int64), np.ones(steps, np.int64)


def _radix_spikes(magnitudes: Levels) -> Counts:
    return _popcount(_magnitudes(magnitudes))


def _radix_steps(highest: int) -> int:
    return _highest(highest).bit_length()


def _radix_digits(levels: Levels) -> tuple[Planes, Counts]:
    magnitudes = _magnitudes(levels)
    planes = _room(magnitudes, _radix_steps)
    return _bit_planes(magnitudes, planes) * _signs(levels), _powers(planes)


def _radix_schedule(steps: int) -> tuple[Counts, Counts]:
    return _powers(steps), _powers(steps)


def _csd_spikes(magnitudes: Levels) -> Counts:
    found = _magnitudes(magnitudes)
    return _popcount(found ^ (3 * found))


def _csd_steps(highest: int) -> int:
    return max((3 * _highest(highest)).bit_length() - 1, 0)


def _csd_digits(levels: Levels) -> tuple[Planes, Counts]:
    magnitudes = _magnitudes(levels)
    planes = _room(magnitudes, _csd_steps)
    # Subtracting n from 3n without borrowing leaves 2n in digits −1, 0, 1, no two of them adjacent
    # (Prodinger 2000, "On binary representations of integers with digits −1, 0, 1").
    triple = 3 * magnitudes
    raised = _bit_planes((triple & ~magnitudes) >> 1, planes)
    lowered = _bit_planes((magnitudes & ~triple) >> 1, planes)
    return (raised - lowered) * _signs(levels), _powers(planes)


def _csd_schedule(steps: int) -> tuple[Counts, Counts]:
    # The places below 2^d hold non-adjacent forms up to ⌊2^(d+1)/3⌋ (Prodinger 2000): a neuron
    # with more than that left spikes at place d, and what then is left fits the places below d−1.
    worths = _powers(steps)
    return 2 * worths // 3 + 1, worths


def _graded_spikes(magnitudes: Levels) -> Counts:
    return np.minimum(_magnitudes(magnitudes), 1)


def _graded_steps(highest: int) -> int:
    return min(_highest(highest), 1)


def _graded_digits(levels: Levels) -> tuple[Planes, Counts]:
    planes = _room(_magnitudes(levels), _graded_steps)
    return levels.astype(np.int32)[np.newaxis][:planes], np.ones(planes, np.int64)


CODES: dict[str, Code] = {
    c.name: c
    for c in (
        Code(
            "rate",
            "|n| spikes of worth sign(n): n = Σ_{t<T} sign(n)·[t < |n|], T = max|n|",
            False,
            _rate_spikes,
            _rate_steps,
            _rate_digits,
            _ones,
        ),
        Code(
            "radix",
            "the bits of |n|: n = Σ_d 2^d·sign(n)·bit_d(|n|); popcount(|n|) spikes",
            False,
            _radix_spikes,
            _radix_steps,
            _radix_digits,
            _radix_schedule,
        ),
        Code(
            "csd",
            "the non-adjacent form: n = Σ_d 2^d·c_d, c_d in −1, 0, 1 and c_d·c_{d+1} = 0; "
            "popcount(|n| xor 3|n|) spikes, the fewest that signed binary digits allow",
            False,
            _csd_spikes,
            _csd_steps,
            _csd_digits,
            _csd_schedule,
        ),
        Code(
            "graded",
            "one spike that carries n; its receiver multiplies",
            True,
            _graded_spikes,
            _graded_steps,
            _graded_digits,
            _ones,
        ),
    )
}
"""Every code by name."""
