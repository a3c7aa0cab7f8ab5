"""The spiking controller of the pole: its parts here, learning where it is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sangbo.learning.cartpole import Controller, Setting, balance, place_cells
from sangbo.report.learning import cartpole_figure

AWAY = np.array([2.0, 2.0, 0.2, 2.0])


def test_place_cells_stand_where_the_state_is() -> None:
    middle = place_cells(np.zeros(4))
    assert middle.argmax() == middle.size // 2
    far = place_cells(np.array([99.0, -99.0, 0.0, 0.0]))
    assert far[: middle.size // 2].sum() < far[middle.size // 2 :].sum()
    rng = np.random.default_rng(1)
    for state in rng.normal(0, [1, 1, 0.1, 1], (50, 4)):
        assert place_cells(state).sum() == 20


def test_reward_makes_an_action_likely() -> None:
    controller = Controller(1, Setting(critics=10))
    controller.look(np.zeros(4))
    wanted = 1 - controller.decide()
    taken = []
    for _ in range(25):
        controller.rest()
        controller.look(np.zeros(4))
        taken.append(controller.decide())
        controller.look(AWAY)
        controller.reward(0.5 if taken[-1] == wanted else -0.5)
    assert np.mean(np.array(taken[10:]) == wanted) > 0.9


def test_a_value_is_learned() -> None:
    controller = Controller(1, Setting(actors=2))
    state = np.array([0.5, 0.0, 0.05, 0.5])
    assert controller.look(state) == pytest.approx(0.0, abs=0.05)  # the clock alone
    for _ in range(15):
        controller.rest()
        before = controller.look(state)
        controller.decide()
        controller.look(AWAY)
        controller.reward(-1.0 - before)
    controller.rest()
    assert controller.look(state) == pytest.approx(-1.0, abs=0.1)
    controller.rest()
    assert controller.look(AWAY) == pytest.approx(0.0, abs=0.05)


def test_dopamine_blames_the_last_decision_and_not_the_next() -> None:
    controller = Controller(1, Setting())
    last, now = np.zeros(4), np.array([0.0, 1.5, 0.0, -1.5])
    controller.look(last)
    controller.decide()
    controller.look(now)
    controller.reward(-1.0)
    controller.rest()
    seen, next_seen = np.flatnonzero(place_cells(last)), np.flatnonzero(place_cells(now))
    assert not np.intersect1d(seen, next_seen).size
    for projection in controller.learning:
        found = projection.connections()
        assert found["weight"][np.isin(found["source"], seen)].min() < -0.01
        assert not found["weight"][np.isin(found["source"], next_seen)].any()
        assert np.abs(found["eligibility"]).max() < 0.1  # of 3, after the rest


def test_a_few_episodes(tmp_path: Path) -> None:
    found = balance(1, episodes=2, test_episodes=2)
    again = balance(1, episodes=2, test_episodes=2)
    assert (found.course, found.returns) == (again.course, again.returns)
    assert found.samples == sum(found.course)
    assert found.to_dict().keys() == {
        "mean_return", "seed", "neurons", "training_seconds", "samples",
    }  # fmt: skip
    cartpole_figure(found, tmp_path / "cartpole.png")
    assert (tmp_path / "cartpole.png").stat().st_size > 5_000
