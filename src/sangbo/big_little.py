"""Writing with guesses beside writing without: whether the text is the same, and how much faster.

A little network, or a table of what was written before, guesses; the network itself reads the
guesses in one run and keeps those that it would have written; see `sangbo.tasks.speculate`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import zip_longest
from typing import Any

from sangbo.engines import Engine, Native
from sangbo.errors import SangboError
from sangbo.network import Network
from sangbo.progress import Progress, silent
from sangbo.tasks.language import Reader, generate
from sangbo.tasks.likelihood import log_softmax
from sangbo.tasks.speculate import Doubt, Record, speculate

TOKENS = 256
"""Longest text written for a prompt."""


@dataclass(frozen=True, slots=True)
class Written:
    """One text, and how it came about.

    Attributes:
        tokens: of the text, without the prompt.
        seconds: from its first token to its last.
    """

    tokens: tuple[int, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Compared:
    """Texts written with and without guesses, one of each for every prompt.

    Attributes:
        guesses: who made them.
        plain: texts without.
        guessed: texts with.
        record: what guesses were worth.
        run_bytes: bytes of weights that a run of the network reads.
        guess_bytes: bytes of weights that all guesses have read.
        nats: mean −log p of a token by the network itself, without guesses and with; None where
            nothing may differ.
    """

    guesses: str
    plain: tuple[Written, ...]
    guessed: tuple[Written, ...]
    record: Record
    run_bytes: int
    guess_bytes: int
    nats: tuple[float, float] | None = None

    @property
    def tokens(self) -> int:
        """Tokens written without guesses."""
        return sum(len(text.tokens) for text in self.plain)

    @property
    def different(self) -> int:
        """Places at which a text with guesses is another, or longer or shorter."""
        pairs = zip(self.plain, self.guessed, strict=True)
        return sum(a != b for p, g in pairs for a, b in zip_longest(p.tokens, g.tokens))

    @property
    def tokens_per_second(self) -> tuple[float, float]:
        """Tokens after the first by the seconds after it: without guesses, and with."""
        return _speed(self.plain), _speed(self.guessed)

    @property
    def speedup(self) -> float:
        """With guesses relative to without."""
        plain, guessed = self.tokens_per_second
        return guessed / plain if plain else 0.0

    @property
    def weight_bytes_relative(self) -> float:
        """Bytes of weights read for a token, those of guesses with them, relative to without."""
        read = self.record.runs * self.run_bytes + self.guess_bytes
        return read / max(1, self.record.tokens * self.run_bytes)

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON values."""
        plain, guessed = self.tokens_per_second
        r = self.record
        return {
            "by": self.guesses,
            "prompts": len(self.plain),
            "tokens": self.tokens,
            "different": self.different,
            "tokens_per_second": {"plain": plain, "guessed": guessed},
            "speedup": self.speedup,
            "weight_bytes_relative": self.weight_bytes_relative,
            "kept_share_of_tokens": r.kept / max(1, r.tokens),
            "lossy_share_of_tokens": r.lossy / max(1, r.tokens),
            "nats": None if self.nats is None else {"plain": self.nats[0], "guessed": self.nats[1]},
            **r.to_dict(),
        }

    def __str__(self) -> str:
        plain, guessed = self.tokens_per_second
        return (
            f"{self.tokens} tokens on {len(self.plain)} prompts, {self.different} differ with "
            f"guesses by {self.guesses}; {guessed:.1f} tokens/s with them, {plain:.1f} without: "
            f"{self.speedup:.2f}×; {self.record.tokens_per_run:.2f} tokens for each reading of "
            f"the weights, {self.weight_bytes_relative:.2f}× the bytes"
        )


def prompts() -> list[str]:
    """The prompts that guesses are measured on unless others are given."""
    text = resources.files("sangbo.data").joinpath("prompts.txt").read_text(encoding="utf-8")
    return text.splitlines()


def compare(
    network: Network,
    guesses: str,
    given: Sequence[str] | None = None,
    *,
    max_tokens: int = TOKENS,
    doubt: Doubt | None = None,
    engine: Engine[Any] | None = None,
    counting: bool = False,
    progress: Progress = silent,
) -> Compared:
    """Write a greedy answer to every prompt with guesses and without, in turn.

    Args:
        network: that writes.
        guesses: who guesses; see `Network.drafter`.
        given: the prompts; `prompts` by default.
        max_tokens: longest answer.
        doubt: which guesses are made and kept; by default nothing changes the text.
        engine: runs the network; its fastest by default.
        counting: whether every level is counted meanwhile.
        progress: told how far it is.

    Raises:
        SangboError: where there are no prompts, or the network cannot read or guess them.
    """
    texts = prompts() if given is None else list(given)
    if not texts:
        raise SangboError("expected prompts, found none")
    engine, record = engine or network.engine, Record()
    options: Any = {
        "context": network.context,
        "max_tokens": max_tokens,
        "stop": network.text_tokenizer().ends,
        "ledger": engine.ledger() if counting else None,
    }
    lossy = doubt is not None and doubt.tolerance is not None
    plain, guessed, nats, read = [], [], [0.0, 0.0], 0
    for place, text in enumerate(texts):
        progress("writing with guesses and without", place / len(texts))
        ids = network.encode_prompt(text)
        plain.append(_timed(generate(engine, ids, **options)))
        drafter = network.drafter(guesses)
        guessed.append(
            _timed(speculate(engine, ids, drafter, **options, doubt=doubt, record=record))
        )
        read += drafter.bytes_read
        for side, written in enumerate((plain[-1], guessed[-1]) if lossy else ()):
            nats[side] += _nats(engine, ids, written.tokens)
    counts = [max(1, sum(len(w.tokens) for w in side)) for side in (plain, guessed)]
    return Compared(
        guesses,
        tuple(plain),
        tuple(guessed),
        record,
        engine.packed_bytes if isinstance(engine, Native) else network.graph.weight_bytes,
        read,
        (nats[0] / counts[0], nats[1] / counts[1]) if lossy else None,
    )


def _timed(tokens: Iterator[int]) -> Written:
    first = next(tokens, None)
    start = time.perf_counter()
    rest = [*tokens]
    return Written(tuple(rest if first is None else [first, *rest]), time.perf_counter() - start)


def _speed(texts: Sequence[Written]) -> float:
    seconds = sum(text.seconds for text in texts)
    return sum(max(0, len(text.tokens) - 1) for text in texts) / seconds if seconds else 0.0


def _nats(engine: Engine[Any], ids: Sequence[int], tokens: Sequence[int]) -> float:
    """Σ −log p of ``tokens`` after ``ids``."""
    if not tokens:
        return 0.0
    rows = Reader(engine, len(ids) + len(tokens)).read([*ids, *tokens[:-1]], every=True)[
        len(ids) - 1 :
    ]
    return -math.fsum(log_softmax(row)[token] for row, token in zip(rows, tokens, strict=True))
