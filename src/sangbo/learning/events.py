"""An event-driven vision sensor, and digits told apart while its events stream in.

A sensor has no frames: each pixel sends an event when the logarithm of its light has risen (on) or
fallen (off) by a threshold since its last one (Lichtsteiner, Posch and Delbruck 2008). Digits are
moved before it in three quick jumps along a triangle, as Orchard et al. (2015) moved a sensor
before digits. Groups of neurons learn what events come together as in `sangbo.learning.digits`;
every spike is evidence as soon as it is there.
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

JUMPS = ((2.0, 1.0), (-2.0, 1.0), (0.0, -2.0))
"""Pixels to the right and down of each jump; together they lead back."""

_JUMP = 3  # ms that a jump takes
_THRESHOLD = 1.2  # of the logarithm of light
_DARK = 0.1  # light of a pixel of 0; one of 255 has 1 more


@dataclass(frozen=True, slots=True)
class Events:
    """What a sensor sent: events in the order of time.

    Attributes:
        times: ms.
        pixels: row times width and column.
        on: whether light rose.
    """

    times: NDArray[np.float64]
    pixels: NDArray[np.intp]
    on: NDArray[np.bool_]


def sense(frames: NDArray[np.floating[Any]], threshold: float = _THRESHOLD) -> Events:
    """Events of a sensor that sees ``frames`` (count, height, width), light of 0 or more, each ms.

    A pixel sends as many events in a ms as its light has crossed thresholds; the first frame is
    what it was used to.
    """
    light = np.log(np.maximum(np.asarray(frames, np.float64), 0) + _DARK)
    last = light[0].copy()
    times, places, signs = [], [], []
    for t, frame in enumerate(light[1:], start=1):
        crossed = np.fix((frame - last) / threshold)
        last += crossed * threshold
        found = np.flatnonzero(crossed)
        count = np.abs(crossed.ravel()[found]).astype(np.intp)
        places.append(np.repeat(found, count))
        signs.append(np.repeat(crossed.ravel()[found] > 0, count))
        times.append(np.full(count.sum(), float(t)))
    return Events(np.concatenate(times), np.concatenate(places), np.concatenate(signs))


def moved(picture: NDArray[np.floating[Any]], right: float, down: float) -> NDArray[np.float64]:
    """``picture`` (height, width) moved by parts of pixels, dark where nothing was."""
    shifted = np.asarray(picture, np.float64)
    for axis, by in ((1, right), (0, down)):
        whole = int(np.floor(by))
        part = by - whole
        shifted = (1 - part) * _rolled(shifted, whole, axis) + part * _rolled(
            shifted, whole + 1, axis
        )
    return shifted


def _rolled(picture: NDArray[np.float64], by: int, axis: int) -> NDArray[np.float64]:
    rolled = np.roll(picture, by, axis)
    edge = [slice(None), slice(None)]
    edge[axis] = slice(0, by) if by > 0 else slice(picture.shape[axis] + by, None)
    if by:
        rolled[tuple(edge)] = 0.0
    return rolled


def jumping(picture: NDArray[np.uint8]) -> list[Volley]:
    """What a sensor sends of each of the `JUMPS` of a digit: inputs are pixels, on before off."""
    light = picture / 255.0
    at = np.zeros(2)
    volleys = []
    for jump in JUMPS:
        way = [at + np.array(jump) * k / _JUMP for k in range(_JUMP + 1)]
        events = sense(np.stack([moved(light, *p) for p in way]))
        inputs = events.pixels + np.where(events.on, 0, light.size)
        # A pixel that sends twice in a ms is heard once: they would arrive in the same step.
        _, once = np.unique(
            np.stack([events.times, inputs.astype(float)]), axis=1, return_index=True
        )
        volleys.append(Volley(inputs[np.sort(once)], events.times[np.sort(once)]))
        at = way[-1]
    return volleys


@dataclass(frozen=True, slots=True)
class Streamed:
    """How digits were told apart while they moved.

    Attributes:
        accuracy: on held-out digits, when all jumps are over.
        course: ms since the first jump began, and accuracy by what had fired until then.
        events: of the sensor for a digit, on average.
        samples: digits that it learned from.
    """

    accuracy: float
    seed: int
    neurons: int
    training_seconds: float
    samples: int
    events: float
    course: list[tuple[float, float]] = field(repr=False)


def learn_events(
    seed: int = 1,
    *,
    samples: int = 3000,
    held_out: int = 500,
    groups: Groups | None = None,
    threads: int | None = None,
    progress: Progress = silent,
) -> Streamed:
    """Learn from the events of ``samples`` moving digits, and tell ``held_out`` others apart.

    Args:
        seed: draws first weights, the order, and which digits are held out.
        samples: digits to learn from.
        held_out: digits that are never shown before the test.
        groups: what competes, with 2 channels; 12×12 pixels of both if None.
        threads: as in `sangbo.dynamics.Network`.
        progress: told how far it is.

    Raises:
        SangboError: there are not so many digits.
    """
    data = pictures.digits(progress)
    train, test = drawn(len(data.labels), samples, held_out, seed)
    groups = Groups(channels=2) if groups is None else groups
    competition = Competition(groups, seed, threads)
    volleys = {}
    for k, i in enumerate([*train, *test]):
        volleys[i] = jumping(data.pictures[i])
        progress("moving digits before the sensor", (k + 1) / (samples + held_out))

    def show(chosen: NDArray[np.intp], learning: bool) -> Answers:
        return competition.show(
            [v for i in chosen for v in volleys[i]], learning=learning, progress=progress
        )

    start = time.perf_counter()
    show(train, True)
    seconds = time.perf_counter() - start
    seen = show(train, False)
    names = Names.of(seen.neurons, data.labels[train[seen.volleys // len(JUMPS)]], groups.size)
    seen = show(test, False)
    when = seen.volleys % len(JUMPS) * groups.volley + seen.times
    course = []
    for until in np.arange(1.0, len(JUMPS) * groups.volley + 1):
        there = when < until
        digits = seen.volleys[there] // len(JUMPS)
        found = decide(names.evidence, digits, seen.neurons[there], held_out)
        course.append((float(until), float((found == data.labels[test]).mean())))
    events = float(np.mean([sum(len(v.inputs) for v in volleys[i]) for i in test]))
    return Streamed(course[-1][1], seed, groups.size, seconds, samples, events, course)
