from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sangbo.engines import numerics
from sangbo.errors import EngineError

LEVELS = hnp.arrays(np.int32, st.tuples(st.integers(1, 4), st.integers(1, 20)),
                    elements=st.integers(-(2**20), 2**20))  # fmt: skip


def test_exp_is_accurate_and_ends_cleanly() -> None:
    x = np.linspace(-87, 88, 200_001).astype(np.float32)
    exact = np.exp(x.astype(np.float64))
    assert np.abs(numerics.exp(x) / exact - 1).max() < 2e-7
    edges = np.array([-np.inf, -1e30, -87.5, 0, 100, np.inf], np.float32)
    y = numerics.exp(edges)
    assert y[:3].tolist() == [0, 0, 0]
    assert y[3] == 1
    assert np.isfinite(y[4:]).all()


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 576])
def test_lane_sum_is_the_stated_order(rows: int) -> None:
    x = np.random.default_rng(rows).normal(size=rows).astype(np.float32)
    lanes = [np.float32(0)] * 16
    for i, value in enumerate(x):
        lanes[i % 16] = np.float32(lanes[i % 16] + value)
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = [np.float32(a + b) for a, b in zip(lanes[:half], lanes[half:], strict=True)]
    assert numerics.lane_sum(x) == lanes[0]


@given(LEVELS, st.integers(1, 7), st.integers(0, 2**32 - 1))
def test_integer_product_is_exact(levels: np.ndarray, outputs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 128, (outputs, levels.shape[1])).astype(np.int8)
    exact = levels.astype(object) @ weights.T.astype(object)
    if int(np.abs(levels.astype(np.int64)).sum(axis=1).max()) * 127 >= 2**31:
        with pytest.raises(EngineError, match="32 bits"):
            numerics.integer_product(levels, weights, 127)
    else:
        found = numerics.integer_product(levels, weights, 127)
        assert found.dtype == np.int32
        assert found.tolist() == exact.tolist()


def integrate_and_fire(x: float, theta: float, lowest: int, highest: int) -> int:
    """A signed integrate-and-fire neuron that is given all of x, and settles."""
    v, spikes = x + theta / 2, 0
    while v >= theta and spikes < highest:
        v, spikes = v - theta, spikes + 1
    while v < 0 and spikes > lowest:
        v, spikes = v + theta, spikes - 1
    return spikes


@given(st.integers(-4000, 4000), st.sampled_from([0.25, 0.5, 1.0, 2.0]), st.integers(1, 40))
def test_encode_is_a_neuron_that_settled(sixteenths: int, theta: float, highest: int) -> None:
    x = sixteenths / 16
    found = numerics.encode(
        np.array([x], np.float32), np.array(1 / theta, np.float32), -highest, highest
    )
    assert found.tolist() == [integrate_and_fire(x, theta, -highest, highest)]


def test_nibbles_unpack_even_inputs_from_the_low_half() -> None:
    packed = np.array([[0x21, 0x43]], np.uint8)
    assert numerics.unpack_nibbles(packed).tolist() == [[1, 2, 3, 4]]
