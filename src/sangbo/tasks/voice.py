"""A recording in, the probability that somebody speaks out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sangbo.data import sounds
from sangbo.engines.base import Real, Segment
from sangbo.engines.reading import Part, Reading
from sangbo.errors import SangboError
from sangbo.graph import Graph
from sangbo.ledger import Ledger
from sangbo.progress import Progress
from sangbo.sources import Source
from sangbo.tasks.likelihood import Gaussian, Likelihood
from sangbo.tasks.model import Model
from sangbo.tasks.task import Amount, Draft
from sangbo.tasks.whole import WholeTask


def frames(model: Model, samples: NDArray[np.float32]) -> Real:
    """Windows of the recording, each with what came before it. → (windows, samples, 1).

    A last window that is not full is left out.

    Raises:
        SangboError: where the recording is shorter than one window or not finite.
    """
    facts = model.facts("sound")
    window, before = int(facts["window"]), int(facts["before"])
    if samples.ndim != 1 or len(samples) < window or not np.isfinite(samples).all():
        raise SangboError(
            f"expected one channel of at least {window} finite samples, found {samples.shape}"
        )
    padded = np.concatenate([np.zeros(before, np.float32), samples])
    parts = np.lib.stride_tricks.sliding_window_view(padded, before + window)[::window]
    whole: Real = np.ascontiguousarray(parts, np.float32)[..., None]
    return whole


def detect_voice(
    model: Model, samples: NDArray[np.float32], *, ledger: Ledger | None = None
) -> Real:
    """Probability of speech in each window of the recording, in its order. → (windows,)."""
    given = frames(model, samples)
    segment = Segment(model.engine.cache(len(given)), len(given))
    (name,), (output,) = model.graph.inputs, model.graph.outputs
    answers: Real = model.engine.run({name: given}, [segment], ledger=ledger)[output]
    return answers[:, 0]


class DetectVoice(WholeTask):
    """See `sangbo.tasks.task.Task`; calibrated on commands that nothing is measured on."""

    name = "detect-voice"
    inputs = frozenset({"sound"})

    def likelihood(self, graph: Graph) -> Likelihood:
        """A probability whose error of 0.2 costs ½ nat."""
        return Gaussian(0.2)

    def written(
        self, source: Source, amount: Amount, count: int, draft: Draft, progress: Progress
    ) -> list[Reading]:
        """Commands with faint noise before and after."""
        model, clips = Model(draft()), sounds.commands(progress)
        generator = np.random.default_rng(amount.seed)
        readings = []
        for index in np.resize(generator.permutation(len(clips)), count):
            noise = generator.normal(0, 1e-3, (2, sounds.RATE // 2)).astype(np.float32)
            whole = np.concatenate([noise[0], clips[index].samples, noise[1]])
            given = frames(model, whole)
            readings.append(Reading({"sound": given}, (Part(len(given)),)))
        return readings
