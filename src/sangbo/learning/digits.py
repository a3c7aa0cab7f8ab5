"""Unsupervised plasticity on handwritten digits.

`sangbo simulate digits`. Groups of neurons compete for patches of 9,000 digits of MNIST, each shown
once; then weights and thresholds stay, the same digits are shown again, and each neuron is named by
the digits at which it fires. 1,000 digits that were never shown are told apart by what fires.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sangbo.data import pictures
from sangbo.learning.competition import Answers, Competition, Groups, Volley
from sangbo.learning.naming import Names, decide, drawn
from sangbo.progress import Progress, silent

HELD_OUT = 1000
_ON = 64  # of 255: a pixel that is on
_STEP = 0.05  # ms


@dataclass(frozen=True, slots=True)
class Digits:
    """What was learned.

    Attributes:
        accuracy: on held-out digits, by evidence (`Names`).
        by_names: the same where each neuron has one name, and spikes are counted.
        course: while it learned: digits seen so far, and how many of one half of the last piece the
            names from its other half tell apart.
        samples: digits that it learned from, each shown once.
        training_seconds: of learning, without naming and testing.
        weights: 0 to 1, shape (groups, neurons, channels, patch, patch).
    """

    accuracy: float
    by_names: float
    seed: int
    neurons: int
    training_seconds: float
    samples: int
    course: list[tuple[int, float]] = field(repr=False)
    weights: NDArray[np.float32] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """What ``sangbo simulate digits --json`` prints."""
        return {
            "accuracy": self.accuracy,
            "seed": self.seed,
            "neurons": self.neurons,
            "training_seconds": self.training_seconds,
            "samples": self.samples,
        }


def learn_digits(
    seed: int = 1,
    *,
    samples: int = 9000,
    held_out: int = HELD_OUT,
    groups: Groups | None = None,
    pieces: int = 6,
    threads: int | None = None,
    progress: Progress = silent,
) -> Digits:
    """Learn ``samples`` digits in an order drawn with ``seed``, and tell ``held_out`` others apart.

    Args:
        seed: draws first weights, the order, and which digits are held out.
        samples: digits to learn from, up to 10,000 less those held out.
        held_out: digits that are never shown before the test.
        groups: what competes; `Groups` with steps of 0.05 ms if None.
        pieces: of learning; each gives a point of the course.
        threads: as in `sangbo.dynamics.Network`.
        progress: told how far it is.

    Raises:
        SangboError: there are not so many digits.
    """
    data = pictures.digits(progress)
    train, test = drawn(len(data.labels), samples, held_out, seed)
    volleys = [
        Volley.at_once(np.flatnonzero(p > _ON)) for p in data.pictures.reshape(len(data.labels), -1)
    ]
    groups = Groups(step=_STEP) if groups is None else groups
    competition = Competition(groups, seed, threads)
    seconds = 0.0
    course: list[tuple[int, float]] = []
    for piece in np.array_split(train, pieces):
        start = time.perf_counter()
        seen = competition.show([volleys[i] for i in piece], learning=True, progress=progress)
        seconds += time.perf_counter() - start
        before = course[-1][0] if course else 0
        right = _halves(seen, data.labels[piece], groups.size)
        course.append((before + len(piece), right))
    seen = competition.show([volleys[i] for i in train], learning=False, progress=progress)
    names = Names.of(seen.neurons, data.labels[train[seen.volleys]], groups.size)
    seen = competition.show([volleys[i] for i in test], learning=False, progress=progress)
    found = [
        float((decide(said, seen.volleys, seen.neurons, held_out) == data.labels[test]).mean())
        for said in (names.evidence, names.votes)
    ]
    return Digits(
        found[0], found[1], seed, groups.size, seconds, samples, course, competition.weights()
    )


def _halves(seen: Answers, labels: NDArray[np.int64], size: int) -> float:
    """How many of one half of a piece the names from the other half tell apart.

    It looks at what fired while learning went on, and changes nothing.
    """
    first = seen.volleys % 2 == 0
    names = Names.of(seen.neurons[first], labels[seen.volleys[first]], size)
    found = decide(names.evidence, seen.volleys[~first], seen.neurons[~first], len(labels))
    return float((found[1::2] == labels[1::2]).mean())
