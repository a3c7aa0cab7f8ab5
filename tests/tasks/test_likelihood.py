from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sangbo.errors import SangboError
from sangbo.tasks import Categorical, Gaussian, Likelihood

ROWS = 20_000


def drawn(likelihood: Likelihood, output: Any) -> Any:
    """Gradients of many draws for one prediction. → (ROWS, …)."""
    many = np.repeat(output[None], ROWS, axis=0).astype(np.float32)
    return likelihood.gradient(many, np.random.default_rng(0))


@pytest.mark.parametrize("likelihood", [Categorical(), Gaussian(0.7)])
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 99))
def test_squares_of_gradients_predict_the_divergence(likelihood: Likelihood, seed: int) -> None:
    """½·E[(g·δ)²] is the divergence of a small change δ: what a conversion relies on."""
    rng = np.random.default_rng(seed)
    output, change = rng.normal(size=(2, 5))
    change *= 0.02
    slopes = drawn(likelihood, output).astype(np.float64) @ change
    found = likelihood.divergence(output[None], (output + change)[None])
    assert found.shape == (1,)
    assert 0.5 * np.square(slopes).mean() == pytest.approx(found[0], rel=0.1, abs=1e-7)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 99), doubt=st.sampled_from([0.0, 0.02, 0.5, 1.0]))
def test_doubt_draws_some_answers_evenly(seed: int, doubt: float) -> None:
    output = 3 * np.random.default_rng(seed).normal(size=4)
    p = np.exp(output) / np.exp(output).sum()
    mean = drawn(Categorical(doubt), output).mean(axis=0)
    np.testing.assert_allclose(mean, doubt * (1 / 4 - p), atol=0.02)


def test_losses_and_answers_of_logits() -> None:
    output = np.log(np.array([[[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]], np.float32))
    likelihood = Categorical()
    assert likelihood.predictions(output) == 2
    found = likelihood.loss(output, np.array([[1, 2]]))
    np.testing.assert_allclose(found, -np.log([0.25, 0.7]), rtol=1e-6)
    assert likelihood.answers(output).tolist() == [0, 2]
    assert likelihood.agreed(output, output[..., ::-1]) == 0
    assert likelihood.close(output, 0.8) == 1
    with pytest.raises(SangboError, match="target for each of 2 rows, found 3"):
        likelihood.loss(output, np.array([1, 2, 0]))


def test_losses_of_reals() -> None:
    output, target = (np.full((2, 2, 2), x, np.float32) for x in (0, 1))
    likelihood = Gaussian(2.0)
    assert likelihood.predictions(output) == 2
    assert likelihood.loss(output, target).tolist() == [0.5, 0.5]
    assert likelihood.agreed(output, target) == 2
    assert likelihood.agreed(output, target + target) == 0
    with pytest.raises(SangboError, match=r"expected targets \(2, 2, 2\)"):
        likelihood.loss(output, target[0])
