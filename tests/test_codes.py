"""Spike codes against their definitions, a textbook algorithm and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sangbo.codes import CODES, LARGEST_MAGNITUDE, LARGEST_PLANES, code
from sangbo.errors import CodeError
from sangbo.graph import LARGEST_LEVEL

BINARY = ["radix", "csd"]
small = arrays.arrays(
    np.int32, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0), elements=st.integers(-40, 40)
)
large = arrays.arrays(
    np.int32, st.integers(0, 20), elements=st.integers(-LARGEST_LEVEL, LARGEST_LEVEL)
)


def non_adjacent_form(n: int) -> list[int]:
    """Digits of n, lowest first, as in Hankerson, Menezes & Vanstone 2004, algorithm 3.30."""
    digits = []
    while n:
        digit = 2 - n % 4 if n % 2 else 0
        digits.append(digit)
        n = (n - digit) // 2
    return digits


def check_digits(name: str, levels: np.ndarray) -> None:
    planes, worths = CODES[name].digits(levels)
    assert planes.shape == (CODES[name].steps(int(np.abs(levels).max(initial=0))), *levels.shape)
    assert planes.dtype == (np.int32 if name == "graded" else np.int8)
    assert worths.dtype == np.int64
    total = np.tensordot(worths, planes.astype(np.int64), axes=1)
    np.testing.assert_array_equal(total, levels)
    spikes = CODES[name].spikes(np.abs(levels))
    assert spikes.dtype == np.int64
    np.testing.assert_array_equal(spikes, np.count_nonzero(planes, axis=0))
    if not CODES[name].multiplies:
        assert set(np.unique(planes)) <= {-1, 0, 1}


@pytest.mark.parametrize("name", CODES)
@given(levels=small)
def test_digits_sum_to_the_level_and_are_the_spikes(name: str, levels: np.ndarray) -> None:
    check_digits(name, levels)


@pytest.mark.parametrize("name", [*BINARY, "graded"])
@given(levels=large)
def test_large_levels_too(name: str, levels: np.ndarray) -> None:
    check_digits(name, levels)


@pytest.mark.parametrize("name", [*BINARY, "graded"])
def test_the_ends_of_int32(name: str) -> None:
    check_digits(name, np.array([LARGEST_MAGNITUDE, -LARGEST_MAGNITUDE, 0]))


def test_rate_writes_the_largest_level_of_a_graph() -> None:
    check_digits("rate", np.array(-LARGEST_LEVEL))


@given(st.integers(1, LARGEST_LEVEL))
def test_definitions(n: int) -> None:
    level = np.array([n])
    assert CODES["rate"].spikes(level)[0] == CODES["rate"].steps(n) == n
    assert CODES["radix"].spikes(level)[0] == bin(n).count("1")
    assert CODES["radix"].steps(n) == len(bin(n)) - 2
    assert CODES["graded"].spikes(level)[0] == CODES["graded"].steps(n) == 1
    digits = non_adjacent_form(n)
    assert CODES["csd"].digits(level)[0][::-1, 0].tolist() == digits
    assert CODES["csd"].steps(n) == len(digits)


@given(st.integers(0, 2**12))
def test_steps_are_enough_for_every_smaller_level(highest: int) -> None:
    levels = np.arange(highest + 1)
    for name in BINARY:
        assert len(CODES[name].digits(levels)[1]) == CODES[name].steps(highest)


def test_csd_has_the_fewest_signed_powers_of_two() -> None:
    highest = 2**11
    powers = [s * 2**k for k in range(14) for s in (1, -1)]
    fewest, reached = {0: 0}, {0}
    for terms in range(1, 8):
        reached = {n + p for n in reached for p in powers if abs(n + p) <= 2**13} - fewest.keys()
        fewest |= dict.fromkeys(reached, terms)
    expected = [fewest[n] for n in range(highest + 1)]
    assert CODES["csd"].spikes(np.arange(highest + 1)).tolist() == expected


@pytest.mark.parametrize(
    ("draw", "bits", "expected"),
    [
        ("normal", 8, {"rate": 30.3, "radix": 2.79, "csd": 2.37}),
        ("laplace", 8, {"rate": 17.7, "radix": 2.32, "csd": 2.04}),
        ("laplace", 4, {"rate": 0.93, "radix": 0.66, "csd": 0.66}),
    ],
)
def test_published_spikes_per_value(draw: str, bits: int, expected: dict[str, float]) -> None:
    # The project's own table, scaled so that the 99.9th percentile is the largest level; that
    # percentile of a few thousand values is uncertain by some percent, and so is what it scales.
    values = getattr(np.random.default_rng(1), draw)(size=400_000)
    highest = 2 ** (bits - 1) - 1
    scale = highest / np.quantile(np.abs(values), 0.999)
    levels = np.clip(np.rint(values * scale), -highest, highest).astype(np.int32)
    for name, spikes in expected.items():
        assert CODES[name].spikes(levels).mean() == pytest.approx(spikes, rel=0.06), name


def test_refusals() -> None:
    with pytest.raises(CodeError, match=r"expected one of the codes rate, .*found 'morse'"):
        code("morse")
    assert code("csd") is CODES["csd"]
    for name in CODES:
        for call in (CODES[name].spikes, CODES[name].digits):
            with pytest.raises(CodeError, match="expected integer levels, found float64"):
                call(np.zeros(3))  # type: ignore[arg-type]
            with pytest.raises(CodeError, match="expected levels within"):
                call(np.array([-(2**31)]))
        with pytest.raises(CodeError, match="expected a magnitude"):
            CODES[name].steps(-1)
    with pytest.raises(CodeError, match=f"at most {LARGEST_PLANES} digits, found 2147483647 steps"):
        CODES["rate"].digits(np.array([LARGEST_MAGNITUDE]))
