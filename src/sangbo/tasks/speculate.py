"""Writing with guesses: a network reads several tokens that somebody guessed in one run.

Reading k tokens takes little longer than reading one, for all weights are read once either way
(Leviathan, Kalman and Matias 2023, arXiv 2211.17192). Every engine gives a row the same bits
whatever rows run beside it, so what is written is what `sangbo.tasks.language.generate` writes,
token for token, greedy or drawn; a wrong guess costs time alone.

With a tolerance it becomes a big and a little network (Kim et al. 2023, arXiv 2302.07863): the
little one writes until it is in doubt (fallback), and the big one keeps what it finds likely
enough and goes back to where it does not (rollback). That changes the text.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np

from sangbo.engines.base import Cache, Engine, Real
from sangbo.ledger import Ledger
from sangbo.tasks.drafts import Drafter
from sangbo.tasks.language import Reader, Sampling, check_prompt, draw
from sangbo.tasks.likelihood import log_softmax

MOST_GUESSES = 3
"""Longest draft: with the token before it a run of four rows, which all kernels take at once."""
ROW = 0.15
"""What a further row adds to a run of one row, as a share of it; see docs/big-little.md."""
STEP = 0.03
"""What a guess of a little network costs beside its weights, as a share of a run of one row."""

C = TypeVar("C", bound=Cache)


@dataclass(slots=True)
class Record:
    """What guesses were worth.

    Attributes:
        tokens: written.
        runs: of the network, after those that read the prompt.
        rows: that these runs read.
        guesses: made.
        kept: guesses that were written.
        lossy: guesses kept that the network itself would not have written.
        cost: runs of one row that runs and guesses are worth, by `ROW` and `Drafter.step`.
    """

    tokens: int = 0
    runs: int = 0
    rows: int = 0
    guesses: int = 0
    kept: int = 0
    lossy: int = 0
    cost: float = 0.0

    def count(self, guesses: int, drafter: Drafter) -> None:
        """A run over a token and so many guesses."""
        self.runs += 1
        self.rows += 1 + guesses
        self.guesses += guesses
        self.cost += 1 + guesses * (ROW + drafter.step)

    @property
    def tokens_per_run(self) -> float:
        """Tokens for each time that all weights are read; about 1 without guesses."""
        return self.tokens / max(1, self.runs)

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON values."""
        return asdict(self) | {"tokens_per_run": self.tokens_per_run}


@dataclass(frozen=True, slots=True)
class Doubt:
    """When the little network gives way to the big one.

    Attributes:
        fallback: it stops writing before the chance that its whole draft is right falls below
            this; None lets that follow from what guesses cost and bring.
        tolerance: the big network keeps a token of at most so many nats, −log p; None keeps only
            what it would have written itself, and so changes nothing.
    """

    fallback: float | None = None
    tolerance: float | None = None


def speculate(
    engine: Engine[C],
    prompt: Sequence[int],
    drafter: Drafter,
    *,
    context: int,
    max_tokens: int,
    stop: Collection[int] = (),
    sampling: Sampling | None = None,
    ledger: Ledger | None = None,
    doubt: Doubt | None = None,
    record: Record | None = None,
) -> Iterator[int]:
    """Tokens that follow ``prompt``; see `sangbo.tasks.language.generate`.

    Args:
        engine: runs the network.
        prompt: its tokens.
        drafter: guesses; a new one for each text.
        context: most tokens that the sequence may hold.
        max_tokens: most that are written.
        stop: tokens that end the text.
        sampling: how tokens are drawn; greedy by default.
        ledger: where runs are counted, wrong guesses with them; nothing is counted without one.
        doubt: which guesses are made and kept.
        record: where to count what guesses were worth.

    Raises:
        SangboError: where the prompt is empty or fills the context.
    """
    check_prompt(prompt, context)
    sampling, doubt, record = sampling or Sampling(), doubt or Doubt(), record or Record()
    generator = np.random.default_rng(sampling.seed)
    reader = Reader(engine, min(context, len(prompt) + max_tokens), ledger)
    token = draw(reader.read(prompt, heard=drafter.heard)[0], sampling, generator)
    left = max_tokens
    while token not in stop and left > 0:
        yield token
        left -= 1
        record.tokens += 1
        most = min(left, reader.cache.capacity - reader.cache.length, MOST_GUESSES + 1) - 1
        if most < 0:
            return
        guesses = drafter.draft(token, most, _least(doubt, drafter, record)) if most else []
        read = [token, *(g.token for g in guesses)]
        before = reader.cache.length
        outputs = reader.run(read, every=True)
        record.count(len(guesses), drafter)
        kept = 0
        for row, guess in zip(outputs["logits"], [*guesses, None], strict=True):
            token = draw(row, sampling, generator)
            if guess is None or not _keeps(row, token, guess.token, doubt):
                break
            if guess.token in stop:
                token = guess.token
                break
            record.lossy += guess.token != token
            kept += 1
            yield guess.token
        left -= kept
        record.kept += kept
        record.tokens += kept
        reader.cache.truncate(before + 1 + kept)
        drafter.heard(read[: 1 + kept], {n: x[: 1 + kept] for n, x in outputs.items()})


def _least(doubt: Doubt, drafter: Drafter, record: Record) -> float:
    """The chance that a further guess must have: what it costs, in tokens that time is worth."""
    if doubt.fallback is not None:
        return doubt.fallback
    rate = (record.tokens + 1) / (record.cost + 1)
    return (ROW + drafter.step) * rate


def _keeps(row: Real, token: int, guess: int, doubt: Doubt) -> bool:
    if doubt.tolerance is None or token == guess:
        return token == guess
    return bool(-log_softmax(row)[guess] <= doubt.tolerance)
