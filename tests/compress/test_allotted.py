"""Integers on allotted steps: what is coded comes back, and nothing broken does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sangbo.compress import Allotted
from sangbo.errors import GraphError


def made(seed: int, outputs: int = 40, inputs: int = 30, spread: float = 2.0) -> Any:
    rng = np.random.default_rng(seed)
    rows = rng.integers(1, 5, outputs).astype(np.uint8)
    columns = rng.uniform(0, 1, inputs).astype(np.float16)
    wide = spread * np.exp2(rng.integers(-3, 3, (outputs, 1)) + rng.integers(-2, 2, inputs))
    levels = np.clip(np.rint(rng.standard_normal((outputs, inputs)) * wide), -30, 30)
    return levels.astype(np.int8), rows, columns


def by_hand(levels: Any, rows: Any, columns: Any) -> list[list[int]]:
    return [
        [int(q) * max(1, round(int(r) * float(c))) for q, c in zip(row, columns, strict=True)]
        for row, r in zip(levels, rows, strict=True)
    ]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(1, 20), st.floats(0, 20))
def test_what_is_coded_comes_back_on_its_steps(
    seed: int, outputs: int, inputs: int, spread: float
) -> None:
    levels, rows, columns = made(seed, outputs, inputs, spread)
    assert Allotted.of(levels, rows, columns).tensor().tolist() == by_hand(levels, rows, columns)


def test_classes_are_worth_their_tables() -> None:
    """Rows of different spread cost less by tables of their own than by one for all."""
    rng = np.random.default_rng(0)
    wide = np.exp2(np.linspace(-2, 4, 512))[:, None]
    levels = np.rint(rng.standard_normal((512, 512)) * wide).clip(-127, 127).astype(np.int8)
    ones = np.ones(512, np.uint8), np.ones(512, np.float16)
    counts = np.bincount(levels.reshape(-1).astype(int) + 128, minlength=256)
    chances = counts[counts > 0] / levels.size
    entropy = -float(chances @ np.log2(chances)) * levels.size / 8
    ideal = 512 * sum(max(0.0, np.log2(4.13 * w)) for w in wide[:, 0]) / 8
    assert ideal < Allotted.of(levels, *ones).nbytes < 0.9 * entropy


@pytest.mark.parametrize(
    "broken",
    [
        {"rows": np.zeros(40, np.uint8)},
        {"rows": np.ones(39, np.uint8)},
        {"rows": np.full(40, 255, np.uint8), "columns": np.ones(30, np.float16)},
        {"columns": np.full(30, np.nan, np.float16)},
        {"columns": np.full(30, 2, np.float16)},
        {"row_classes": np.zeros(40, np.int8)},
        {"sizes": np.zeros(0, np.uint32)},
        {"sizes": np.full(3, 2**32 - 1, np.uint32)},
        {"code": np.zeros(3, np.uint8)},
    ],
)
def test_broken_parts_are_refused(broken: Any) -> None:
    whole = Allotted.of(*made(1))
    with pytest.raises(GraphError):
        replace(whole, **broken).tensor()


def test_a_cut_code_is_refused() -> None:
    whole = Allotted.of(*made(2))
    sizes = whole.sizes.copy()
    sizes[-1] -= 1
    with pytest.raises(GraphError):
        replace(whole, sizes=sizes, code=whole.code[:-1]).tensor()
