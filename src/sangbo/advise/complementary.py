"""The complementary form of a multi-layer perceptron: levels, thresholds, integer weights.

Every layer's input x becomes a level n = clamp(floor(x·(1/θ) + ½), −L, L), its weights 8-bit
integers, its sum int32; nothing else changes. A level is sent as spikes where they are cheaper than
a multiplication, so the split never changes the answer.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from sangbo.codes import code

LEVELS = 127
_TAIL = 99.9
_WEIGHT_LIMIT = 127

Array = NDArray[np.floating[Any]]


class _Complementary(BaseEstimator):  # type: ignore[misc]
    """A converted network; `fit` converts a trained one and learns nothing else.

    Attributes:
        weights_: one (inputs, outputs) int8 array a layer.
        scales_: real value of a weight of 1, one a layer.
        biases_: one (outputs,) float32 array a layer.
        thresholds_: θ of every layer's input, float32.
        levels_: L, one a layer.
        spikes_: additions caused by spikes, mean over the rows calibrated on.
        products_: products left to the dense side, likewise.
    """

    def fit(
        self, x: Array, network: Any, *, break_even: float = 3.0, spike_code: str = "csd"
    ) -> Self:
        """Convert a fitted ``MLPClassifier`` or ``MLPRegressor`` (activation ``relu``).

        Args:
            x: (rows, inputs) to calibrate on: θ is the 99.9th percentile of a layer's |x| / L.
            network: the trained network.
            break_even: a level is sent as spikes where that takes at most so many of them.
            spike_code: how a level becomes spikes.
        """
        self.weights_, self.scales_, self.biases_ = [], [], []
        self.thresholds_, self.levels_ = [], []
        self.spikes_ = self.products_ = 0.0
        value = np.asarray(x, np.float32)
        spikes = code(spike_code).spikes
        layers = list(zip(network.coefs_, network.intercepts_, strict=True))
        for index, (weight, bias) in enumerate(layers):
            reach = float(np.percentile(np.abs(value), _TAIL)) or float(np.abs(value).max()) or 1.0
            scale = float(np.abs(weight).max()) / _WEIGHT_LIMIT or 1.0
            self.levels_.append(LEVELS)
            self.thresholds_.append(float(np.float32(reach / LEVELS)))
            self.scales_.append(scale)
            self.weights_.append(np.rint(weight / scale).astype(np.int8))
            self.biases_.append(np.asarray(bias, np.float32))
            counts = spikes(self.levels(value, index))
            cheap = counts <= break_even
            self.spikes_ += float(counts[cheap].sum()) / len(value) * weight.shape[1]
            self.products_ += float((~cheap).sum()) / len(value) * weight.shape[1]
            value = np.asarray(value @ weight + bias, np.float32)
            if index < len(layers) - 1:
                value = np.maximum(value, 0)
        if hasattr(network, "classes_"):
            self.classes_ = network.classes_
        else:
            self.mean_, self.scale_ = 0.0, 1.0
        return self

    def accumulate(self, x: Array) -> Array:
        """Outputs of the last layer (rows, outputs) for ``x`` (rows, inputs)."""
        check_is_fitted(self, "weights_")
        value = np.asarray(x, np.float32)
        last = len(self.weights_) - 1
        for layer in range(last + 1):
            sums = self.levels(value, layer).astype(np.int32) @ self.weights_[layer].astype(
                np.int32
            )
            scale = np.float32(self.thresholds_[layer] * self.scales_[layer])
            value = sums.astype(np.float32) * scale + self.biases_[layer]
            if layer < last:
                value = np.maximum(value, 0)
        return np.asarray(value)

    def levels(self, x: Array, layer: int) -> NDArray[np.int32]:
        """Levels of a layer's input ``x`` (rows, inputs): float32, two roundings."""
        inverse = np.float32(1) / np.float32(self.thresholds_[layer])
        scaled = np.floor(np.asarray(x, np.float32) * inverse + np.float32(0.5))
        limit = self.levels_[layer]
        return np.asarray(np.clip(scaled, -limit, limit), np.int32)


class ComplementaryClassifier(ClassifierMixin, _Complementary):  # type: ignore[misc]
    """The converted form of an ``MLPClassifier``."""

    def predict_proba(self, x: Array) -> Array:
        """Probabilities (rows, classes)."""
        y = self.accumulate(x)
        if y.shape[1] == 1:
            y = np.hstack([np.zeros_like(y), y])
        return np.asarray(softmax(y, axis=1))

    def predict(self, x: Array) -> NDArray[Any]:
        """Labels (rows,)."""
        return np.asarray(self.classes_[self.predict_proba(x).argmax(axis=1)])


class ComplementaryRegressor(RegressorMixin, _Complementary):  # type: ignore[misc]
    """The converted form of an ``MLPRegressor``."""

    def predict(self, x: Array) -> Array:
        """Values (rows,)."""
        return np.asarray(self.accumulate(x)[:, 0] * self.scale_ + self.mean_, np.float64)
