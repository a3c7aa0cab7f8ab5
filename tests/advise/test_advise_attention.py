"""The attention model's gradients against finite differences, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from sangbo.advise.attention import (
    AttentionClassifier,
    AttentionRegressor,
    backward,
    forward,
    initial,
    loss,
)


@pytest.mark.parametrize("classify", [True, False])
def test_gradients_are_those_of_the_loss(classify: bool) -> None:
    random = np.random.RandomState(5)
    p = initial(3, 2, 4, 5, random)
    p = {name: value + 0.1 * random.standard_normal(value.shape) for name, value in p.items()}
    x = random.standard_normal((6, 3))
    target = np.eye(2)[random.randint(2, size=6)] if classify else random.standard_normal((6, 2))
    y, kept = forward(p, x)
    slopes = backward(p, kept, loss(y, target, classify=classify)[1])
    for name, value in p.items():

        def at(flat: np.ndarray, name: str = name) -> float:
            moved = {**p, name: flat.reshape(p[name].shape)}
            return loss(forward(moved, x)[0], target, classify=classify)[0]

        expected = approx_fprime(value.ravel(), at, 1e-6).reshape(value.shape)
        np.testing.assert_allclose(slopes[name], expected, atol=2e-5)


def test_rows_do_not_see_each_other() -> None:
    p = initial(4, 3, 8, 8, np.random.RandomState(0))
    p["U"] = np.random.RandomState(1).standard_normal(p["U"].shape)
    x = np.random.RandomState(2).standard_normal((5, 4))
    together = forward(p, x)[0]
    alone = np.vstack([forward(p, row[None])[0] for row in x])
    np.testing.assert_allclose(together, alone, atol=1e-12)


def test_it_learns_what_one_layer_cannot() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (300, 2))
    y = np.where(x[:, 0] * x[:, 1] > 0, "same", "other")
    model = AttentionClassifier(random_state=0, steps=500).fit(x, y)
    assert model.score(x, y) > 0.93
    assert model.predict_proba(x).sum(axis=1) == pytest.approx(1)
    values = AttentionRegressor(random_state=0, steps=500).fit(x, 100 * x[:, 0] * x[:, 1])
    assert values.score(x, 100 * x[:, 0] * x[:, 1]) > 0.9
