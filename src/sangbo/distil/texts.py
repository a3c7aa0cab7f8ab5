"""What a little network learns from: texts that the big one writes, and what it makes of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sangbo.engines import Native, Segment
from sangbo.engines.base import Array, Index
from sangbo.network import Network
from sangbo.progress import Progress
from sangbo.tasks.generate import LOGITS
from sangbo.tasks.little import hidden_of

LENGTH = 384
"""Longest text."""
BATCH = 32
"""Conversations that go on at once."""
LONGEST_QUESTION = 48
LARGEST_HALF = 65504.0


@dataclass(frozen=True, slots=True)
class Heard:
    """One text as the big network read it.

    Attributes:
        tokens: (n,) its token ids.
        hidden: (n, channels) what the big network's head reads of each, float16.
        next: (n,) the token that it finds likeliest to follow each.
    """

    tokens: Index
    hidden: Array
    next: Index


class _Talk:
    """A conversation as it goes: the user's words are drawn, the reply is the likeliest."""

    def __init__(
        self, engine: Native, length: int, opening: Sequence[int], reply: Sequence[int]
    ) -> None:
        self.cache = engine.cache(length)
        self.pending, self._reply = list(opening), list(reply)
        self._replying = not reply
        self._rows: list[tuple[Array, ...]] = []
        self._drawn = 0

    def take(
        self, hidden: Array, logits: Array, generator: np.random.Generator, ends: Collection[int]
    ) -> Heard | None:
        """Learn what the pending tokens gave, and choose the next; the text where it ends."""
        chosen = logits.argmax(-1)
        half = np.clip(hidden, -LARGEST_HALF, LARGEST_HALF).astype(np.float16)
        self._rows.append((np.array(self.pending, np.int32), half, chosen.astype(np.int32)))
        if self._replying:
            token = int(chosen[-1])
            self.pending = [token]
            over = token in ends
        else:
            token = drawn(logits[-1], generator)
            self._drawn += 1
            self._replying = token in ends or self._drawn == LONGEST_QUESTION
            self.pending = self._reply if self._replying else [token]
            over = False
        if not over and self.cache.length + len(self.pending) <= self.cache.capacity:
            return None
        return self.heard()

    def heard(self) -> Heard:
        """What was read so far."""
        return Heard(*map(np.concatenate, zip(*self._rows, strict=True)))


def drawn(logits: Array, generator: np.random.Generator) -> int:
    """A token of the softmax of ``logits``, (tokens,), by Gumbel's trick.

    The noise is float64: of float32 numbers one in 2²³ is 0, whose token would win whatever it is.
    """
    return int((logits - np.log(generator.standard_exponential(logits.shape[-1]))).argmax())


def listen(network: Network, tokens: int, seed: int, progress: Progress) -> list[Heard]:
    """Texts of about ``tokens`` tokens in all that ``network`` writes, and what it makes of them.

    A user's message is drawn from the network's own distribution and answered greedily, as the
    little network will be used; many conversations are read as one batch.

    Args:
        network: the big one.
        tokens: that are read.
        seed: of what is drawn.
        progress: told how far it is.

    Raises:
        ConversionError: where it is no language model.
    """
    hidden = hidden_of(network.graph)
    engine = Native(replace(network.graph, outputs=(LOGITS, hidden)))
    generator = np.random.default_rng(seed)
    opening, reply, ends = _turns(network)
    length = min(LENGTH, network.context)
    talks = [_Talk(engine, length, opening, reply) for _ in range(BATCH)]
    heard: list[Heard] = []
    read = 0
    while read < tokens:
        progress("listening to the big network", read / tokens)
        counts = [len(talk.pending) for talk in talks]
        rows = np.arange(sum(counts), dtype=np.int32)
        places = [t.cache.length + np.arange(n) for t, n in zip(talks, counts, strict=True)]
        inputs = {
            "tokens": np.array([i for t in talks for i in t.pending], np.int32),
            "positions": np.concatenate(places).astype(np.int32),
            "selected": rows,
        }
        segments = [Segment(t.cache, n) for t, n in zip(talks, counts, strict=True)]
        outputs = engine.run(inputs, segments)
        read += len(rows)
        for number, stop in enumerate(np.cumsum(counts)):
            some = slice(stop - counts[number], stop)
            done = talks[number].take(outputs[hidden][some], outputs[LOGITS][some], generator, ends)
            if done is not None:
                heard.append(done)
                talks[number] = _Talk(engine, length, opening, reply)
    return heard + [t.heard() for t in talks if t.cache.length > 1]


def _turns(network: Network) -> tuple[list[int], list[int], Collection[int]]:
    """What stands before a user's words, what between them and the reply, and what ends both."""
    tokenizer = network.text_tokenizer()
    if tokenizer.template is None:
        return tokenizer.encode("\n"), [], tokenizer.ends
    mark = "\u2042"
    text = tokenizer.render([{"role": "user", "content": mark}], reply=True)
    before, _, after = text.partition(mark)
    opening, reply = (
        tokenizer.encode(part, control=True, affixes=False) for part in (before, after)
    )
    return opening, reply, tokenizer.ends
