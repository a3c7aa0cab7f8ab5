"""A small attention model for tables, in NumPy, with its own gradients.

Every column becomes a token (Gorishniy et al. 2021, "Revisiting Deep Learning Models for Tabular
Data"), one block of self-attention and one of two dense layers mix them, their mean is read out:

    H = x·W + B                      (rows, columns, width)
    R = H + softmax(Q Kᵀ/√width) V O with Q, K, V = H·(q, k, v)
    Z = R + relu(R·W1 + b1)·W2 + b2
    y = mean over columns of Z · U + c

Trained by Adam on the mean cross-entropy, or on half the mean squared error.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

Array = NDArray[np.floating[Any]]
Parameters = dict[str, Array]

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8


def initial(
    columns: int, outputs: int, width: int, hidden: int, random: np.random.RandomState
) -> Parameters:
    """Parameters drawn with variance 1/fan-in; biases and the read-out begin at 0."""

    def normal(*shape: int) -> Array:
        return np.asarray(random.standard_normal(shape) / np.sqrt(shape[-2]), np.float64)

    return {
        "W": random.standard_normal((columns, width)) / np.sqrt(width),
        "B": random.standard_normal((columns, width)) / np.sqrt(width),
        "q": normal(width, width),
        "k": normal(width, width),
        "v": normal(width, width),
        "O": normal(width, width),
        "W1": normal(width, hidden),
        "b1": np.zeros(hidden),
        "W2": normal(hidden, width),
        "b2": np.zeros(width),
        "U": np.zeros((width, outputs)),
        "c": np.zeros(outputs),
    }


def forward(p: Parameters, x: Array) -> tuple[Array, Parameters]:
    """Outputs (rows, outputs) for ``x`` (rows, columns), and what `backward` needs."""
    h = x[:, :, None] * p["W"] + p["B"]
    q, k, v = h @ p["q"], h @ p["k"], h @ p["v"]
    a = softmax(q @ k.swapaxes(1, 2) / np.sqrt(h.shape[2]), axis=2)
    m = a @ v
    r = h + m @ p["O"]
    g = np.maximum(r @ p["W1"] + p["b1"], 0)
    pooled = (r + g @ p["W2"] + p["b2"]).mean(axis=1)
    kept = {"x": x, "h": h, "q": q, "k": k, "v": v, "a": a, "m": m, "r": r, "g": g}
    return pooled @ p["U"] + p["c"], {**kept, "pooled": pooled}


def backward(p: Parameters, kept: Parameters, dy: Array) -> Parameters:
    """Gradients of every parameter, given that of the outputs ``dy`` (rows, outputs)."""
    h, a, v, r, g = kept["h"], kept["a"], kept["v"], kept["r"], kept["g"]
    columns, width = h.shape[1:]
    dz = np.repeat((dy @ p["U"].T / columns)[:, None, :], columns, axis=1)
    dg = (dz @ p["W2"].T) * (g > 0)
    dr = dz + dg @ p["W1"].T
    dm = dr @ p["O"].T
    da = dm @ v.swapaxes(1, 2)
    ds = a * (da - (da * a).sum(axis=2, keepdims=True)) / np.sqrt(width)
    dq, dk, dv = ds @ kept["k"], ds.swapaxes(1, 2) @ kept["q"], a.swapaxes(1, 2) @ dm
    dh = dr + dq @ p["q"].T + dk @ p["k"].T + dv @ p["v"].T

    def outer(left: Array, right: Array) -> Array:
        return np.asarray(np.tensordot(left, right, axes=((0, 1), (0, 1))))

    return {
        "W": (kept["x"][:, :, None] * dh).sum(axis=0),
        "B": dh.sum(axis=0),
        "q": outer(h, dq),
        "k": outer(h, dk),
        "v": outer(h, dv),
        "O": outer(kept["m"], dr),
        "W1": outer(r, dg),
        "b1": dg.sum(axis=(0, 1)),
        "W2": outer(g, dz),
        "b2": dz.sum(axis=(0, 1)),
        "U": kept["pooled"].T @ dy,
        "c": dy.sum(axis=0),
    }


def loss(y: Array, target: Array, *, classify: bool) -> tuple[float, Array]:
    """The mean loss and its gradient by the outputs.

    Args:
        y: (rows, outputs).
        target: (rows, outputs): one-hot rows, or values.
        classify: cross-entropy; else half the squared error.
    """
    rows = len(y)
    if classify:
        return float(-(target * log_softmax(y, axis=1)).sum() / rows), (
            softmax(y, axis=1) - target
        ) / rows
    return float(0.5 * np.square(y - target).sum() / rows), (y - target) / rows


class _Attention(BaseEstimator):  # type: ignore[misc]
    """Training, shared by the classifier and the regressor.

    Args:
        width: numbers of a token.
        hidden: units between the two dense layers.
        epochs: passes over the rows, at most.
        batch: rows of a step.
        steps: steps of Adam, at most.
        rate: of learning; falls to 0 along a half cosine.
        decay: of weights, decoupled.
        random_state: seed.
    """

    def __init__(
        self,
        width: int = 16,
        hidden: int = 32,
        epochs: int = 60,
        batch: int = 64,
        steps: int = 600,
        rate: float = 0.005,
        decay: float = 1e-3,
        random_state: int | None = None,
    ) -> None:
        self.width = width
        self.hidden = hidden
        self.epochs = epochs
        self.batch = batch
        self.steps = steps
        self.rate = rate
        self.decay = decay
        self.random_state = random_state

    def _train(self, x: Array, target: Array, *, classify: bool) -> None:
        random = check_random_state(self.random_state)
        p = initial(x.shape[1], target.shape[1], self.width, self.hidden, random)
        p = {name: value.astype(np.float32) for name, value in p.items()}
        x, target = x.astype(np.float32), target.astype(np.float32)
        first = {name: np.zeros_like(value) for name, value in p.items()}
        second = {name: np.zeros_like(value) for name, value in p.items()}
        per_epoch = -(-len(x) // self.batch)
        steps = min(self.steps, self.epochs * per_epoch)
        order = np.empty(0, np.int64)
        for step in range(steps):
            if len(order) == 0:
                order = random.permutation(len(x))
            rows, order = order[: self.batch], order[self.batch :]
            y, kept = forward(p, x[rows])
            _, dy = loss(y, target[rows], classify=classify)
            rate = self.rate * 0.5 * (1 + np.cos(np.pi * step / steps))
            for name, slope in backward(p, kept, dy).items():
                first[name] += (1 - _BETA1) * (slope - first[name])
                second[name] += (1 - _BETA2) * (slope * slope - second[name])
                ahead = first[name] / (1 - _BETA1 ** (step + 1))
                scale = np.sqrt(second[name] / (1 - _BETA2 ** (step + 1))) + _EPSILON
                p[name] = np.asarray(
                    p[name] - rate * (ahead / scale + self.decay * p[name]), np.float32
                )
        self.parameters_ = p

    def _outputs(self, x: Array) -> Array:
        check_is_fitted(self)
        x = validate_data(self, x, reset=False, dtype=np.float32)
        parts = [forward(self.parameters_, x[i : i + 512])[0] for i in range(0, len(x), 512)]
        return np.concatenate(parts)


class AttentionClassifier(ClassifierMixin, _Attention):  # type: ignore[misc]
    """The attention model as a classifier; parameters as in this module's base class."""

    def fit(self, x: Array, y: NDArray[Any]) -> Self:
        """Train on ``x`` (rows, columns), roughly standardised, and labels ``y`` (rows,)."""
        x, y = validate_data(self, x, y, dtype=np.float32)
        self.classes_, index = np.unique(y, return_inverse=True)
        self._train(x, np.eye(len(self.classes_))[index], classify=True)
        return self

    def predict_proba(self, x: Array) -> Array:
        """Probabilities (rows, classes)."""
        return np.asarray(softmax(self._outputs(x), axis=1))

    def predict(self, x: Array) -> NDArray[Any]:
        """Labels (rows,)."""
        return np.asarray(self.classes_[self._outputs(x).argmax(axis=1)])


class AttentionRegressor(RegressorMixin, _Attention):  # type: ignore[misc]
    """The attention model as a regressor; it standardises the target itself."""

    def fit(self, x: Array, y: NDArray[Any]) -> Self:
        """Train on ``x`` (rows, columns), roughly standardised, and values ``y`` (rows,)."""
        x, y = validate_data(self, x, y, dtype=np.float32, y_numeric=True)
        self.mean_, self.scale_ = float(y.mean()), float(y.std()) or 1.0
        self._train(x, ((y - self.mean_) / self.scale_)[:, None], classify=False)
        return self

    def predict(self, x: Array) -> Array:
        """Values (rows,)."""
        return np.asarray(self._outputs(x)[:, 0] * self.scale_ + self.mean_, np.float64)
