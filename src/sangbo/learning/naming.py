"""What neurons that learned without labels stand for, asked of them afterwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sangbo.errors import SangboError

Indices = NDArray[np.intp]


def drawn(count: int, samples: int, held_out: int, seed: int) -> tuple[Indices, Indices]:
    """Which of ``count`` digits are learned from, and which others are held out.

    Raises:
        SangboError: there are not so many.
    """
    if not 0 < samples <= count - held_out or held_out < 1:
        raise SangboError(
            f"expected at most {count} digits to learn and to hold out, found "
            f"{samples} and {held_out}"
        )
    order = np.random.default_rng(seed).permutation(count)
    return order[held_out : held_out + samples], order[:held_out]


@dataclass(frozen=True, slots=True)
class Names:
    """How often each neuron fired at examples of each class, shape (neurons, classes).

    This is all that labels are used for. A spike says log((n + ½)/(N + ½·classes)) of each class,
    with n of the neuron's N spikes at examples of that class: its share, as evidence.
    """

    counts: NDArray[np.int64]

    @classmethod
    def of(cls, neurons: Indices, labels: NDArray[np.int64], size: int, classes: int = 10) -> Names:
        """From spikes of ``neurons``, and the label of the example at which each was."""
        counts = np.zeros((size, classes), np.int64)
        np.add.at(counts, (neurons, labels), 1)
        return cls(counts)

    @property
    def evidence(self) -> NDArray[np.float64]:
        """What one spike says of each class, shape (neurons, classes)."""
        counts = self.counts + 0.5
        evidence: NDArray[np.float64] = np.log(counts / counts.sum(1, keepdims=True))
        return evidence

    @property
    def votes(self) -> NDArray[np.float64]:
        """A neuron's one name: 1 for the class at which it fired most, shape (neurons, classes)."""
        names = np.eye(self.counts.shape[1])[self.counts.argmax(1)]
        return np.where(self.counts.any(1, keepdims=True), names, 0.0)


def decide(
    said: NDArray[np.float64], examples: Indices, neurons: Indices, count: int
) -> NDArray[np.intp]:
    """The class of each of ``count`` examples: the one for which most is ``said`` by spikes."""
    sums = np.zeros((count, said.shape[1]))
    np.add.at(sums, examples, said[neurons])
    chosen: NDArray[np.intp] = sums.argmax(1)
    return chosen
