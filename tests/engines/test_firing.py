"""Neurons that fire, against the equation of levels and a neuron stepped in fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sangbo.codes import CODES
from sangbo.engines import numerics
from sangbo.engines.firing import Coding, Train, fire, integrate
from sangbo.errors import EngineError
from sangbo.graph import LARGEST_LEVEL

SPIKING = [name for name, c in CODES.items() if not c.multiplies]
PLACES = ["radix", "csd"]
EDGES = [
    0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, -1.5, 1e-45, -1e-45, 1e-12, -1e-12,
    0.49999997, 0.50000006, -0.49999997,
    -0.50000006, 2.5, 6.5, -6.5, 7.4999995, -7.5000005, 20.0, -20.0,
]  # fmt: skip


def level(x: float, inverse: float, lowest: int, highest: int) -> int:
    """The equation of `sangbo.graph.Neuron`, with its two float32 roundings."""
    u = np.float32(np.float32(x) * np.float32(inverse)) + np.float32(0.5)
    return int(min(max(np.floor(np.float64(u)), lowest), highest))


def stepped(v: Fraction, steps: int) -> int:
    """Settled count of the textbook neuron: exact membrane, unit spikes, soft reset."""
    count = 0
    for _ in range(steps):
        if v >= 1:
            v, count = v - 1, count + 1
        elif v < 0:
            v, count = v + 1, count - 1
    assert 0 <= v < 1
    return count


def driven(x: Any, inverse: float = 1.0) -> Any:
    return numerics.drive(np.asarray(x, np.float32), np.array(inverse, np.float32))


@pytest.mark.parametrize("name", CODES)
@given(
    x=arrays.arrays(
        np.float32,
        st.integers(0, 30),
        elements=st.one_of(st.sampled_from(EDGES), st.floats(-400, 400, width=32)),
    ),
    inverse=st.sampled_from([1.0, 0.37, 3.0]),
    lowest=st.integers(-50, 0),
    highest=st.integers(1, 50),
)
def test_the_settled_count_is_the_level(
    name: str, x: Any, inverse: float, lowest: int, highest: int
) -> None:
    train = fire(driven(x, inverse), lowest, highest, Coding.of(name), "n")
    assert train.levels.tolist() == [level(float(v), inverse, lowest, highest) for v in x]
    sent = np.tensordot(train.worths, train.spikes.astype(np.int64), axes=1)
    assert np.array_equal(sent, train.levels)


@given(x=st.one_of(st.sampled_from(EDGES), st.floats(-60, 60, width=32)))
def test_rate_is_the_neuron_stepped_in_fractions(x: float) -> None:
    v = driven([x])
    train = fire(v, -100, 100, Coding.of("rate"), "n")
    assert train.levels[0] == stepped(Fraction(float(v[0])), 100)


@pytest.mark.parametrize("name", SPIKING)
@given(levels=arrays.arrays(np.int32, (3, 4), elements=st.integers(-300, 300)))
def test_trains_are_the_digits_of_the_codes(name: str, levels: Any) -> None:
    """The neurons know no binary numbers; `Code.digits`, which does, gives the same spikes."""
    planes, worths = CODES[name].digits(levels)
    most = int(np.abs(levels).max(initial=1))
    train = fire(driven(levels), -most, most, Coding.of(name), "n")
    extra = len(train.worths) - len(worths)
    assert np.array_equal(train.spikes[extra:], planes)
    assert np.array_equal(train.worths[extra:], worths)
    assert not train.spikes[:extra].any()


@pytest.mark.parametrize("name", SPIKING)
def test_every_level_of_a_range_fires_its_fewest_spikes_within_its_bound(name: str) -> None:
    levels = np.arange(-1023, 1024)
    for below_half in (np.float32(0), np.float32(-0.5), np.float32(0.4999)):
        x = levels.astype(np.float32) + below_half
        train = fire(driven(x), -1023, 1023, Coding.of(name), "n")
        assert set(np.unique(train.spikes)) <= {-1, 0, 1}
        assert np.array_equal(train.levels, levels)
        assert np.array_equal(np.count_nonzero(train.spikes, axis=0), CODES[name].spikes(levels))


@pytest.mark.parametrize("name", PLACES)
def test_the_largest_levels_of_a_graph(name: str) -> None:
    levels = np.array([LARGEST_LEVEL, -LARGEST_LEVEL, LARGEST_LEVEL - 1, 699_051], np.int32)
    train = fire(driven(levels), -LARGEST_LEVEL, LARGEST_LEVEL, Coding.of(name), "n")
    assert np.array_equal(train.levels, levels)
    assert len(train.worths) == 21


@given(
    name=st.sampled_from(SPIKING),
    steps=st.integers(1, 9),
    sign=st.sampled_from([-1, 1]),
    beyond=st.sampled_from([0, 1]),
)
def test_too_few_steps_are_refused_exactly(name: str, steps: int, sign: int, beyond: int) -> None:
    fits = max(n for n in range(2**9) if CODES[name].steps(n) <= steps)
    drive = driven([0, sign * (fits + beyond)])
    coding = Coding.of(name, steps)
    if not beyond:
        assert fire(drive, -1000, 1000, coding, "n").levels[1] == sign * fits
        return
    message = rf"'n' that {steps} steps of code {name} can send, found {sign * (fits + 1)}, which "
    with pytest.raises(EngineError, match=message):
        fire(drive, -1000, 1000, coding, "n")


@given(levels=arrays.arrays(np.int32, 20, elements=st.integers(-90, 90)), most=st.integers(0, 40))
def test_a_split_sends_large_levels_densely(levels: Any, most: int) -> None:
    for name in SPIKING:
        train = fire(driven(levels), -90, 90, Coding.of(name, largest_spiking=most), "n")
        large = np.abs(levels) > most
        assert train.dense is not None
        assert np.array_equal(train.dense, np.where(large, levels, 0))
        assert not train.spikes[:, large].any()
        assert np.array_equal(train.levels, levels)
        assert len(train.worths) == CODES[name].steps(most)


def test_codings_that_cannot_work_are_refused() -> None:
    with pytest.raises(
        EngineError, match="at least 16 time steps for levels up to 16 in code rate"
    ):
        Coding.of("rate", 15, 16)
    with pytest.raises(EngineError, match="at least one time step, found 0"):
        Coding.of("csd", 0)
    with pytest.raises(EngineError, match="0 or more, found -1"):
        Coding.of("csd", None, -1)
    with pytest.raises(EngineError, match="1048576 steps of 300 neurons in code rate: give fewer"):
        fire(driven(np.zeros(300)), -LARGEST_LEVEL, LARGEST_LEVEL, Coding.of("rate"), "n")


def brute(train: Train, weights: Any) -> Any:
    """Membranes, one spike and one weight after the other, in Python's integers."""
    rows, outputs = train.levels.shape[0], len(weights)
    held = [[0] * outputs for _ in range(rows)]
    for step, worth in enumerate(train.worths.tolist()):
        for row, column in np.argwhere(train.spikes[step]).tolist():
            for output in range(outputs):
                weight = int(weights[output, column])
                held[row][output] += worth * int(train.spikes[step, row, column]) * weight
    return held


@settings(max_examples=30)
@given(
    name=st.sampled_from(list(CODES)),
    most=st.sampled_from([None, 3]),
    levels=arrays.arrays(np.int32, (3, 6), elements=st.integers(-70, 70)),
    weights=arrays.arrays(np.int8, (4, 6), elements=st.integers(-127, 127)),
)
def test_membranes_are_the_sums_of_the_columns_that_spiked(
    name: str, most: int | None, levels: Any, weights: Any
) -> None:
    train = fire(driven(levels), -70, 70, Coding.of(name, largest_spiking=most), "n")
    membranes = np.zeros((len(train.worths) + 1, 3, 4), np.int32)
    held = integrate(train, weights, 127, membranes)
    assert held.dtype == np.int32
    assert np.array_equal(held, levels @ weights.T.astype(np.int32))
    assert membranes[-1].tolist() == brute(train, weights)
    assert not membranes[0].any()


def test_membranes_are_exact_at_the_ends_of_int32() -> None:
    """Sums that float32 cannot hold, and a doubling that leaves int32 and comes back."""
    for level in (LARGEST_LEVEL, 699_051, -699_051):
        levels = np.full((1, 16), level)
        weights = np.array([[127] * 16, [-127] * 16, [1] * 16], np.int8)
        train = fire(driven(levels), -LARGEST_LEVEL, LARGEST_LEVEL, Coding.of("csd"), "n")
        expected = levels @ weights.T.astype(np.int64)
        assert np.array_equal(integrate(train, weights, 127), expected)
    wide = np.full((2, 150_000), 112, np.int8)
    sent = fire(driven(np.ones((1, 150_000))), -1, 1, Coding.of("rate"), "n")
    assert integrate(sent, wide, 127).tolist() == [[16_800_000, 16_800_000]]
