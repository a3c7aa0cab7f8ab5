"""The complementary form of a perceptron against the perceptron, and its counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier, MLPRegressor

from sangbo.advise.complementary import ComplementaryClassifier, ComplementaryRegressor
from sangbo.advise.energy import Meter, Operations, break_even, energy_basis, repeated


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_it_says_what_the_network_says() -> None:
    x, y = load_digits(return_X_y=True)
    x = x / 16
    network = MLPClassifier((32,), max_iter=40, random_state=0).fit(x[:1200], y[:1200])
    form = ComplementaryClassifier().fit(x[:1200], network)
    assert (form.predict(x) == network.predict(x)).mean() > 0.985
    assert form.score(x[1200:], y[1200:]) == pytest.approx(
        network.score(x[1200:], y[1200:]), abs=0.02
    )
    assert form.weights_[0].dtype == np.int8
    # An 8-bit form must stay near the probabilities, or its thresholds are wrong.
    assert np.abs(form.predict_proba(x) - network.predict_proba(x)).max() < 0.35


def test_two_classes_and_values() -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((300, 3)).astype(np.float32)
    y = x[:, 0] * 2 - x[:, 1]
    one = MLPClassifier((16,), max_iter=300, random_state=0, solver="lbfgs").fit(x, y > 0)
    form = ComplementaryClassifier().fit(x, one)
    assert (form.predict(x) == one.predict(x)).mean() > 0.97
    values = MLPRegressor(
        hidden_layer_sizes=(16,), max_iter=300, random_state=0, solver="lbfgs"
    ).fit(x, y)
    assert ComplementaryRegressor().fit(x, values).score(x, y) > 0.99


def test_spikes_and_products_are_counted() -> None:
    """One layer; inputs 1, 2 and 127 thresholds: canonical signed digits 1, 1 and 2 (128 − 1)."""
    network = MLPRegressor(hidden_layer_sizes=(1,))
    network.coefs_ = [np.ones((3, 2)), np.ones((2, 1))]
    network.intercepts_ = [np.zeros(2), np.zeros(1)]
    x = np.array([[1.0, 2.0, 127.0]])
    all_spikes = ComplementaryRegressor().fit(x, network, break_even=99)
    reach = np.percentile(np.abs(x), 99.9)
    levels = np.minimum(np.floor(x / (reach / 127) + 0.5), 127)
    assert all_spikes.levels(x, 0).tolist() == levels.tolist() == [[1, 2, 127]]
    second = 2 * 1  # both hidden units send level 127: two digits each, one target
    assert all_spikes.spikes_ == 2 * (1 + 1 + 2) + 2 * second
    assert all_spikes.products_ == 0
    split = ComplementaryRegressor().fit(x, network, break_even=1)
    assert (split.spikes_, split.products_) == (2 * 2, 2 * 1 + 2)
    assert (split.predict(x) == all_spikes.predict(x)).all()


def test_levels_round_half_up_and_are_clamped() -> None:
    form = ComplementaryRegressor()
    form.thresholds_, form.levels_ = [2.0], [3]
    x = np.array([[-9.0, -3.0, -1.0, 0.9, 1.0, 3.0, 9.0]])
    assert form.levels(x, 0).tolist() == [[-3, -1, 0, 0, 1, 2, 3]]


def test_energy_of_operations() -> None:
    """Horowitz 2014: fp32 multiply–add 4.6 pJ, int8 multiply into int32 add 0.3, int32 add 0.1."""
    assert Operations(multiply_adds=1).picojoules == pytest.approx(4.6)
    assert Operations(adds=1).picojoules == pytest.approx(0.9)
    assert Operations(int8_multiply_adds=1).picojoules == pytest.approx(0.3)
    assert Operations(int32_adds=1).picojoules == pytest.approx(0.1)
    assert break_even() == pytest.approx(3)
    assert Operations(1, 1, 1, 1).flop == 6


def test_more_work_takes_more_energy() -> None:
    assert energy_basis() in ("measured", "modelled")
    with Meter() as little:
        sum(range(1_000))
    with Meter() as much:
        sum(range(3_000_000))
    assert much.joules > little.joules >= 0
    joules, seconds = repeated(lambda: sum(range(1000)), seconds=0.005)
    assert 0 < seconds < 0.01
    assert joules >= 0
