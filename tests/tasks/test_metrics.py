"""Metrics on cases that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sangbo.errors import SangboError
from sangbo.tasks import metrics


def test_error_rates_count_edits() -> None:
    answers = [["the", "cat", "sat"], ["a", "dog"]]
    truths = [["the", "cat", "sat", "down"], ["the", "dog"]]
    assert metrics.error_rate(answers, truths) == pytest.approx(2 / 6)
    assert metrics.nearest("abc", ["xyz", "abd"]) == "abd"
    assert metrics.exact_match(["a", "b"], ["a", "c"]) == 0.5


def test_area_under_the_curve_counts_pairs() -> None:
    scores = np.array([0.1, 0.4, 0.4, 0.9])
    truths = np.array([False, True, False, True])
    # pairs: 0.4>0.1, 0.4=0.4 (half), 0.9>0.1, 0.9>0.4
    assert metrics.auc(scores, truths) == pytest.approx(3.5 / 4)
    with pytest.raises(SangboError, match="one kind"):
        metrics.auc(scores, np.ones(4, bool))


def test_correlations() -> None:
    x = np.array([1.0, 2, 3, 4])
    assert metrics.pearson(x, 2 * x + 1) == pytest.approx(1)
    assert metrics.spearman(x, np.exp(x)) == pytest.approx(1)
    assert metrics.spearman(x, -x) == pytest.approx(-1)


def test_top_classes() -> None:
    scores = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]])
    assert metrics.top(scores, np.array([1, 1])) == 0.5
    assert metrics.top(scores, np.array([1, 1]), 2) == 1.0


def test_translations() -> None:
    assert metrics.chrf(["um gato"], ["um gato"]) == pytest.approx(100)
    assert metrics.bleu(["um gato preto na casa"], ["um gato preto na casa"]) == pytest.approx(100)
    with pytest.raises(SangboError, match="found 1 and 2"):
        metrics.chrf(["a"], ["a", "b"])
