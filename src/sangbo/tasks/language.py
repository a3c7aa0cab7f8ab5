"""Autoregressive language models: one sequence on an engine, sampling, and likelihood of texts."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from sangbo.engines.base import Array, Cache, Engine, Index, Real, Segment
from sangbo.engines.reading import Part, Reading
from sangbo.errors import EngineError, SangboError
from sangbo.ledger import Ledger
from sangbo.tasks.likelihood import Categorical

PREFILL_ROWS = 512
"""Rows of a prompt that run at once; bounds the memory of long prompts."""

BLOCK_ROWS = 64
"""Rows that run at once where all values of a network are kept."""

C = TypeVar("C", bound=Cache)
Heard: TypeAlias = Callable[[Sequence[int] | Index, Mapping[str, Array]], None]
"""Called with tokens that were read and all outputs of the run that read them."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn from the logits.

    Attributes:
        temperature: 0 takes the most likely token; otherwise logits are divided by it.
        top_k: keep only this many most likely tokens; 0 keeps all.
        top_p: keep the fewest most likely tokens whose probabilities reach this.
        seed: of the generator; the same seed gives the same text.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and self.temperature >= 0):
            raise SangboError(f"expected a temperature of 0 or more, found {self.temperature}")
        if self.top_k < 0:
            raise SangboError(f"expected a top-k of 0 or more, found {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise SangboError(f"expected a top-p above 0 and up to 1, found {self.top_p}")


class Reader(Generic[C]):
    """One sequence on an engine: remembers what it has read.

    Args:
        engine: runs the graph of a language model (inputs tokens, positions and selected).
        context: most tokens that the sequence may hold.
    """

    def __init__(self, engine: Engine[C], context: int, ledger: Ledger | None = None) -> None:
        self.engine = engine
        self.cache = engine.cache(context)
        self.ledger = ledger

    def read(
        self, tokens: Sequence[int] | Index, *, every: bool = False, heard: Heard | None = None
    ) -> Real:
        """Read ``tokens``; return the logits after the last, or after every one of them.

        Args:
            tokens: at least one.
            every: whether the logits after every token are wanted.
            heard: told of the tokens of each run and of all its outputs.

        Returns:
            (1, vocabulary), or (tokens, vocabulary) with ``every``.
        """
        if not len(tokens):
            raise EngineError("expected at least one token, found none")
        parts = []
        for start in range(0, len(tokens), PREFILL_ROWS):
            block = tokens[start : start + PREFILL_ROWS]
            outputs = self.run(block, every=every)
            parts.append(outputs["logits"])
            if heard is not None:
                heard(block, outputs)
        return np.concatenate(parts) if every else parts[-1]

    def run(self, tokens: Sequence[int] | Index, *, every: bool = False) -> dict[str, Array]:
        """All outputs of one run that reads ``tokens``; see `read`."""
        rows = np.arange(len(tokens), dtype=np.int32)
        inputs = {
            "tokens": np.asarray(tokens, np.int32),
            "positions": rows + np.int32(self.cache.length),
            "selected": rows if every else rows[-1:],
        }
        return self.engine.run(inputs, [Segment(self.cache, len(rows))], ledger=self.ledger)


@dataclass(frozen=True, eq=False)
class Text(Reading):
    """A text that a language model reads from the start; it answers every token."""

    @classmethod
    def of(cls, tokens: Sequence[int] | Index, targets: Index | None = None) -> Self:
        """The reading of ``tokens``, and of the tokens that follow each, where they are known."""
        ids = np.asarray(tokens, np.int32)
        rows = np.arange(len(ids), dtype=np.int32)
        inputs = {"tokens": ids, "positions": rows, "selected": rows}
        return cls(inputs, (Part(len(ids)),), targets)

    @property
    def tokens(self) -> Index:
        """What is read."""
        return self.inputs["tokens"]

    def pieces(self, rows: int = BLOCK_ROWS) -> Iterator[Reading]:
        """Some rows at a time, for who keeps every value: that bounds the memory."""
        for start in range(0, len(self.tokens), rows):
            part = slice(start, start + rows)
            length = len(self.tokens[part])
            inputs = {
                "tokens": self.tokens[part],
                "positions": self.inputs["positions"][part],
                "selected": np.arange(length, dtype=np.int32),
            }
            targets = None if self.targets is None else self.targets[part]
            yield Reading(inputs, (Part(length),), targets)


def whole_reading(tokens: Index) -> dict[str, Index]:
    """Inputs of a language model that reads ``tokens`` from the start and answers every row."""
    return dict(Text.of(tokens).inputs)


def draw(logits: Real, sampling: Sampling, generator: np.random.Generator) -> int:
    """The next token for ``logits`` (vocabulary,)."""
    if sampling.temperature == 0:
        return int(logits.argmax())
    scaled = logits.astype(np.float64) / sampling.temperature
    if 0 < sampling.top_k < len(scaled):
        least = np.partition(scaled, -sampling.top_k)[-sampling.top_k]
        scaled[scaled < least] = -np.inf
    probabilities = np.exp(scaled - scaled.max())
    probabilities /= probabilities.sum()
    if sampling.top_p < 1:
        order = np.argsort(-probabilities, kind="stable")
        before = np.cumsum(probabilities[order]) - probabilities[order]
        probabilities[order[before >= sampling.top_p]] = 0
        probabilities /= probabilities.sum()
    return int(generator.choice(len(probabilities), p=probabilities))


def check_prompt(prompt: Sequence[int], context: int) -> None:
    """Raise `SangboError` where ``prompt`` is empty or fills the context."""
    if not prompt:
        raise SangboError("expected a prompt of at least one token, found an empty one")
    if len(prompt) >= context:
        raise SangboError(
            f"expected a prompt shorter than the context of {context} tokens, found {len(prompt)}"
        )


def generate(
    engine: Engine[C],
    prompt: Sequence[int],
    *,
    context: int,
    max_tokens: int,
    stop: Collection[int] = (),
    sampling: Sampling | None = None,
    ledger: Ledger | None = None,
) -> Iterator[int]:
    """Tokens that follow ``prompt``, one by one, until a stop token, the limit or the context.

    Raises:
        SangboError: where the prompt is empty or fills the context.
    """
    check_prompt(prompt, context)
    sampling = sampling or Sampling()
    generator = np.random.default_rng(sampling.seed)
    sequence = Reader(engine, min(context, len(prompt) + max_tokens), ledger)
    logits = sequence.read(prompt)[0]
    for step in range(max_tokens):
        token = draw(logits, sampling, generator)
        if token in stop:
            return
        yield token
        if step + 1 == max_tokens or sequence.cache.length == sequence.cache.capacity:
            return
        logits = sequence.read([token])[0]


def windows(tokens: Sequence[int] | Index, context: int) -> Iterator[Text]:
    """Cut a text into windows of ``context`` tokens, each with the tokens that follow."""
    ids = np.asarray(tokens, np.int32)
    if len(ids) < 2:
        raise SangboError(f"expected a text of at least two tokens, found {len(ids)}")
    for start in range(0, len(ids) - 1, context):
        stop = min(start + context, len(ids) - 1)
        yield Text.of(ids[start:stop], ids[start + 1 : stop + 1])


def mean_loss(
    engine: Engine[C], read: Sequence[Text], told: Callable[[float], None] = lambda _: None
) -> float:
    """Mean −log p of the tokens that follow in `windows`, nats per token.

    Args:
        engine: of the language model.
        read: windows, each with what follows.
        told: the share that is done.

    Raises:
        SangboError: where a window does not say what follows.
    """
    meaning, total, done = Categorical(), 0.0, 0
    size = sum(window.size for window in read)
    for window in read:
        told(done / size)
        if window.targets is None:
            raise SangboError("expected windows with what follows, found none")
        logits = window.run(engine)["logits"]
        total += float(meaning.loss(logits, window.targets).sum())
        done += window.size
    return total / done


@dataclass(slots=True)
class Mean:
    """A mean over tokens and how well so few of them say it.

    Attributes:
        count: tokens.
        total: Σ of what they gave.
        squares: Σ of its squares.
    """

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        """Add what some tokens gave, (tokens,)."""
        self.count += len(values)
        self.total += float(values.sum())
        self.squares += float(np.square(values).sum())

    @property
    def mean(self) -> float:
        """Σ / count."""
        return self.total / self.count

    @property
    def error(self) -> float:
        """Standard error s / √count, tokens taken as independent; |mean| where there is one."""
        if self.count < 2:
            return abs(self.mean)
        spread = (self.squares - self.total * self.mean) / (self.count - 1)
        return math.sqrt(max(0.0, spread) / self.count)
