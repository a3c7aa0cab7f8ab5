"""The spiking controller of the pole: its parts here, learning where it is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sangbo.learning.cartpole import Controller, Setting, balance, place_cells
from sangbo.report.learning import cartpole_figure


def test_place_cells_stand_where_the_state_is() -> None:
    middle = place_cells(np.zeros(4))
    assert middle.argmax() == middle.size // 2
    assert 15 <= middle.sum() <= 25
    far = place_cells(np.array([99.0, -99.0, 0.0, 0.0]))
    assert far[: middle.size // 2].sum() < far[middle.size // 2 :].sum()
    assert 15 <= far.sum() <= 25


def test_reward_makes_an_action_likely() -> None:
    controller = Controller(1, Setting(critics=10))
    state = np.zeros(4)
    taken = []
    for _ in range(45):
        controller.look(state)
        taken.append(controller.decide())
        controller.look(np.array([2.0, 2.0, 0.2, 2.0]))
        controller.reward(0.5 if taken[-1] == 1 else -0.5)
        controller.decide()
    assert np.mean(taken[:15]) < 0.8
    assert np.mean(taken[25:]) > 0.8


def test_a_value_is_learned() -> None:
    controller = Controller(1, Setting(actors=2))
    state = np.array([0.5, 0.0, 0.05, 0.5])
    first = controller.look(state)
    controller.decide()
    for _ in range(25):
        before = controller.look(state)
        controller.decide()
        controller.look(np.array([-2.0, -2.0, -0.2, -2.0]))
        controller.reward(-1.0 - before)
        controller.decide()
    values = []
    for _ in range(10):
        values.append(controller.look(state))
        controller.decide()
    assert np.mean(values) == pytest.approx(-1.0, abs=0.4)
    assert np.mean(values) < first - 0.4


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
