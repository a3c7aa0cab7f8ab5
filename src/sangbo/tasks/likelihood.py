"""What a network's output says about the world, so that a change of it can be measured in nats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sangbo.engines.base import Array, Real
from sangbo.errors import SangboError

Nats = NDArray[np.float64]


class Likelihood(Protocol):
    """How probable an output says that an answer is. Each row of an output is one prediction."""

    def predictions(self, output: Real) -> int:
        """How many predictions ``output`` holds."""

    def gradient(self, output: Real, generator: np.random.Generator) -> Real:
        """∂ Σ log p(answer) / ∂ output, the answers drawn from what ``output`` itself says."""

    def information(self, output: Real) -> Real:
        """Mean square of `gradient` over what it may draw: Fisher information of each element."""

    def divergence(self, before: Real, after: Real) -> Nats:
        """Kullback-Leibler divergence of each prediction, ``before`` from ``after``, in nats."""

    def loss(self, output: Real, targets: Array) -> Nats:
        """−log p(target) of each prediction, in nats, up to a constant."""

    def answers(self, output: Real) -> Array:
        """The likeliest answer of each prediction."""

    def agreed(self, before: Real, after: Real) -> int:
        """How many predictions find the same answer likeliest."""

    def close(self, output: Real, nats: float) -> int:
        """How many predictions have two likeliest answers that are no more than ``nats`` apart."""


@dataclass(frozen=True, slots=True)
class Categorical:
    """Logits over the last axis; each row of all other axes is one prediction.

    Attributes:
        doubt: share of the answers that are drawn evenly from all classes, whatever the logits say.
            A network that is sure of each image that it has learnt from shows no gradients there,
            and yet is not so sure of others.
    """

    doubt: float = 0.0

    def predictions(self, output: Real) -> int:
        """How many rows there are."""
        return int(output.size // output.shape[-1])

    def gradient(self, output: Real, generator: np.random.Generator) -> Real:
        """Onehot − softmax, labels drawn from the softmax."""
        logits = output.reshape(-1, output.shape[-1])
        probabilities = softmax(logits)
        reached = np.cumsum(probabilities, axis=-1, dtype=np.float64)
        drawn = generator.random((len(logits), 1)) * reached[:, -1:]
        labels = (reached <= drawn).sum(axis=-1)
        if self.doubt:
            even = generator.random(len(labels)) < self.doubt
            labels = np.where(even, generator.integers(logits.shape[1], size=len(labels)), labels)
        gradient: Real = -probabilities
        gradient[np.arange(len(labels)), labels] += 1
        return gradient.reshape(output.shape)

    def information(self, output: Real) -> Real:
        """p·(1 − p), and what `doubt` adds to it."""
        p = softmax(output)
        drawn = (1 - self.doubt) * p + self.doubt / output.shape[-1]
        found: Real = drawn * (1 - 2 * p) + p * p
        return found

    def divergence(self, before: Real, after: Real) -> Nats:
        """Σ p·(log p − log q) of each row."""
        return divergence(log_softmax(before), log_softmax(after)).reshape(-1)

    def loss(self, output: Real, targets: Array) -> Nats:
        """−log softmax at the target's place. (…, classes), (…) → (rows,)."""
        chances = log_softmax(output).reshape(-1, output.shape[-1])
        if targets.size != len(chances):
            raise SangboError(
                f"expected a target for each of {len(chances)} rows, found {targets.size}"
            )
        return -chances[np.arange(len(chances)), targets.reshape(-1)]

    def answers(self, output: Real) -> Array:
        """The largest logit of each row."""
        likeliest: Array = output.reshape(-1, output.shape[-1]).argmax(axis=-1)
        return likeliest

    def agreed(self, before: Real, after: Real) -> int:
        """Rows with the same largest logit."""
        return int((self.answers(before) == self.answers(after)).sum())

    def close(self, output: Real, nats: float) -> int:
        """Rows whose two largest logits are near."""
        if output.shape[-1] < 2:
            return 0
        likeliest = np.partition(log_softmax(output), -2, axis=-1)[..., -2:]
        return int((likeliest[..., 1] - likeliest[..., 0] <= nats).sum())


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Reals with independent normal errors; each entry of the first axis is one prediction.

    Attributes:
        scale: standard deviation of the whole prediction: an error of length ``scale`` over all
            its elements costs ½ nat.
    """

    scale: float

    def predictions(self, output: Real) -> int:
        """How many entries the first axis has."""
        return len(output)

    def gradient(self, output: Real, generator: np.random.Generator) -> Real:
        """ε / scale with ε normal."""
        drawn = generator.standard_normal(output.shape)
        return (drawn / self.scale).astype(np.float32)

    def information(self, output: Real) -> Real:
        """1 / scale²."""
        return np.full_like(output, 1 / self.scale**2)

    def divergence(self, before: Real, after: Real) -> Nats:
        """‖before − after‖² / (2·scale²)."""
        change = before.astype(np.float64) - after
        squares: Nats = np.square(change).reshape(len(before), -1).sum(axis=1)
        return squares / (2 * self.scale**2)

    def loss(self, output: Real, targets: Array) -> Nats:
        """‖output − target‖² / (2·scale²)."""
        if targets.shape != output.shape:
            raise SangboError(f"expected targets {output.shape}, found {targets.shape}")
        return self.divergence(output, targets)

    def answers(self, output: Real) -> Array:
        """The output itself."""
        return output

    def agreed(self, before: Real, after: Real) -> int:
        """Predictions no further apart than ``scale``."""
        return int((self.divergence(before, after) <= 0.5).sum())

    def close(self, output: Real, nats: float) -> int:
        """None: nearness here is a matter of degree."""
        return 0


def divergence(before: Nats, after: Nats) -> Nats:
    """Kullback-Leibler divergence of each row, in nats: Σ p·(log p − log q).

    Args:
        before: log p, (…, classes).
        after: log q, the same.
    """
    found: Nats = np.einsum("...v,...v->...", np.exp(before), before - after)
    return found


def softmax(logits: Real) -> Real:
    """Probabilities over the last axis, in the precision of ``logits``."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    found: Real = shifted / shifted.sum(axis=-1, keepdims=True)
    return found


def log_softmax(logits: Real) -> Nats:
    """Log-probabilities over the last axis."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    total: Nats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return total
