"""Unsupervised plasticity on digits: small here, whole where it is asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sangbo.data import pictures
from sangbo.errors import SangboError
from sangbo.learning.competition import Competition, Groups, Volley
from sangbo.learning.digits import learn_digits
from sangbo.learning.naming import Names, decide
from sangbo.report.learning import digits_figure

SMALL = Groups(patch=14, stride=7, neurons=24, rate=0.1, memory=200.0)


def test_small_digits_are_told_apart(small_digits: pictures.Labelled, tmp_path: Path) -> None:
    found = learn_digits(1, samples=500, held_out=200, groups=SMALL, pieces=2, threads=1)
    assert found.accuracy > 0.6
    assert found.neurons == 9 * 24
    assert [seen for seen, _ in found.course] == [250, 500]
    assert found.to_dict().keys() == {
        "accuracy", "seed", "neurons", "training_seconds", "samples",
    }  # fmt: skip
    digits_figure(found, tmp_path / "digits.png")
    assert (tmp_path / "digits.png").stat().st_size > 10_000


def test_labels_change_nothing_but_names(
    small_digits: pictures.Labelled, monkeypatch: pytest.MonkeyPatch
) -> None:
    def weights() -> np.ndarray:
        options = {"samples": 60, "held_out": 20, "groups": SMALL, "pieces": 1, "threads": 1}
        return learn_digits(3, **options).weights  # type: ignore[arg-type]

    first = weights()
    other = replace(small_digits, labels=small_digits.labels[::-1].copy())
    monkeypatch.setattr(pictures, "digits", lambda progress=None: other)
    np.testing.assert_array_equal(weights(), first)


def test_one_of_a_group_answers_and_learns_what_it_saw() -> None:
    groups = Groups(height=8, width=16, patch=8, stride=8, neurons=6, rate=0.2)
    competition = Competition(groups, seed=2, threads=1)
    pixels = np.arange(128).reshape(8, 16)
    shown = [pixels[:4].ravel(), pixels[:, :4].ravel()]  # above, left: the second in one patch only
    volleys = [Volley.at_once(shown[k % 2]) for k in range(80)]
    answers = competition.show(volleys, learning=True)
    per_volley = np.bincount(answers.volleys[answers.neurons < 6], minlength=80)
    assert per_volley.min() >= 1  # two or three where they match alike to a step
    assert per_volley.mean() < 3
    assert not (answers.neurons[answers.volleys % 2 == 1] >= 6).any()  # nothing on in their patch
    before = competition.weights()
    after = competition.show(volleys[:10], learning=False)
    np.testing.assert_array_equal(competition.weights(), before)
    winners = [set(after.neurons[(after.volleys % 2 == k) & (after.neurons < 6)]) for k in (0, 1)]
    assert winners[0].isdisjoint(winners[1])
    learned = before[0, winners[1].pop(), 0]
    assert learned[:, :4].mean() > learned[:, 4:].mean() + 0.4


def test_names() -> None:
    labels = np.array([0, 1, 1])
    names = Names.of(np.array([0, 1, 1, 2]), labels[[0, 1, 2, 2]], size=4, classes=2)
    np.testing.assert_array_equal(names.counts, [[1, 0], [0, 2], [0, 1], [0, 0]])
    np.testing.assert_allclose(np.exp(names.evidence).sum(1), 1)
    np.testing.assert_array_equal(names.votes, [[1, 0], [0, 1], [0, 1], [0, 0]])
    np.testing.assert_array_equal(
        decide(names.votes, np.array([1, 1, 0]), np.array([0, 1, 2]), 2), [1, 0]
    )


def test_too_many_digits(small_digits: pictures.Labelled) -> None:
    with pytest.raises(SangboError, match="expected at most 1797 digits"):
        learn_digits(1, samples=1700, held_out=100)
