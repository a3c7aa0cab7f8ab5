"""Speech in, text out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sangbo.data import sounds
from sangbo.engines.reading import Reading
from sangbo.errors import SangboError
from sangbo.ledger import Ledger
from sangbo.progress import Progress
from sangbo.sources import Source
from sangbo.tasks.model import Model
from sangbo.tasks.pairs import MAIN, pair_reading, write
from sangbo.tasks.sound import RATE, SECONDS, log_mel
from sangbo.tasks.task import Amount, Draft
from sangbo.tasks.whole import WholeTask


def transcribe(
    model: Model,
    samples: NDArray[np.float32],
    *,
    max_tokens: int = 224,
    ledger: Ledger | None = None,
) -> str:
    """The likeliest words of a recording, in pieces of thirty seconds.

    Args:
        model: a Whisper-type network.
        samples: one channel within ±1 at 16,000 samples a second.
        max_tokens: most tokens of a piece.
        ledger: where the run is counted; nothing is counted without one.

    Raises:
        SangboError: where the recording is empty or not finite, or the network does not hear.
    """
    if not len(samples):
        raise SangboError("expected a recording with some samples, found an empty one")
    tokenizer, piece = model.text(), SECONDS * RATE
    start, context = model.fact("start", list), model.fact("context_length", int)
    texts = []
    for begin in range(0, len(samples), piece):
        tokens = write(
            model,
            {"features": log_mel(samples[begin : begin + piece])[None]},
            start=start,
            ends=model.fact("end", list),
            suppressed=model.graph.metadata.get("suppressed", []),
            max_tokens=min(max_tokens, context - len(start)),
            ledger=ledger,
        )
        texts.append(tokenizer.decode(list(tokens)).strip())
    return " ".join(text for text in texts if text)


class Transcribe(WholeTask):
    """See `sangbo.tasks.task.Task`; calibrated on commands that nothing is measured on."""

    name = "transcribe"
    bears = 0.0002
    inputs = frozenset({"features", *MAIN})

    def written(
        self, source: Source, amount: Amount, count: int, draft: Draft, progress: Progress
    ) -> list[Reading]:
        """Recordings, and what the network itself hears."""
        model = Model(draft(), source.tokenizer)
        start = model.fact("start", list)
        clips = sounds.commands(progress)
        order = np.random.default_rng(amount.seed).permutation(len(clips))
        readings = []
        for step, index in enumerate(np.resize(order, min(count, len(clips)))):
            progress("hearing calibration clips", step / count)
            features = {"features": log_mel(clips[index].samples)[None]}
            answer = write(
                model, features, start=start, ends=model.fact("end", list),
                suppressed=model.graph.metadata.get("suppressed", []), max_tokens=48,
            )  # fmt: skip
            readings.append(pair_reading(model, features, [*start, *answer]))
        return readings
