"""The sensor against its definition, and a few digits moved before it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from sangbo.data import pictures
from sangbo.learning.competition import Groups
from sangbo.learning.events import jumping, learn_events, moved, sense
from sangbo.report.learning import events_figure


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12))
def test_events_follow_the_light(light: list[float]) -> None:
    events = sense(np.array(light)[:, None, None], threshold=0.25)
    logs = np.log(np.array(light) + 0.1)
    for t in range(1, len(light)):
        until = events.times <= t
        level = logs[0] + 0.25 * (events.on[until].sum() - (~events.on[until]).sum())
        assert abs(level - logs[t]) < 0.25 + 1e-9


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_moving_is_bilinear(right: float, down: float) -> None:
    picture = np.zeros((12, 12))
    picture[4:8, 3:7] = np.random.default_rng(1).random((4, 4))
    expected = ndimage.shift(picture, (down, right), order=1, mode="constant", prefilter=False)
    np.testing.assert_allclose(moved(picture, right, down), expected, atol=1e-9)


def test_a_jump_raises_light_ahead_and_lowers_it_behind() -> None:
    picture = np.zeros((28, 28), np.uint8)
    picture[10:18, 10:14] = 255
    first = jumping(picture)[0]  # to the right and down
    on, off = first.inputs[first.inputs < 784], first.inputs[first.inputs >= 784] - 784
    assert (on % 28).mean() > (off % 28).mean() + 2
    assert ((first.times >= 1) & (first.times <= 3)).all()


def test_small_digits_are_told_apart_as_they_move(
    small_digits: pictures.Labelled, tmp_path: Path
) -> None:
    groups = Groups(channels=2, patch=14, stride=7, neurons=24, rate=0.1, memory=200.0)
    found = learn_events(1, samples=200, held_out=100, groups=groups, threads=1)
    assert found.accuracy > 0.5
    early = dict(found.course)[10.0]
    assert early < found.accuracy
    events_figure(found, tmp_path / "events.png")
    assert (tmp_path / "events.png").stat().st_size > 5_000
