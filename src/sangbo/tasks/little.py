"""A little network that guesses what a big one writes, from what the big one makes of the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sangbo.engines.base import Array, Engine, Index
from sangbo.errors import EngineError
from sangbo.graph import Graph, Select
from sangbo.tasks.drafts import Drafter, Guess, Lookup

LOGITS = "logits"
FEATURES = "features"
"""Input of a little network: the big one's hidden value before each token."""
VOCABULARY = "vocabulary"
"""In a little network's metadata: ids of the tokens that its logits are of."""

CHANCES = "chances"
"""In its metadata: how often guesses are right, by how sure it is of them; (2, `BINS`)."""
BINS = 20


def hidden_of(graph: Graph) -> str:
    """The value of a language model whose chosen rows its head reads.

    Raises:
        EngineError: where ``graph`` does not choose rows for one head.
    """
    found = [o.input for o in graph.operations if isinstance(o, Select)]
    if len(found) != 1:
        raise EngineError(
            f"expected {graph.name} to choose rows for its head once, found {len(found)} times"
        )
    return found[0]


class Little:
    """Guesses by a little network; see `sangbo.distil`.

    Args:
        engine: runs it.
        hidden: the big network's hidden value, which is among its outputs.
        step: what a guess costs, as a share of a run of the big network over one token.
        bytes_each: bytes of weights that a guess reads.
    """

    def __init__(self, engine: Engine[Any], hidden: str, step: float, bytes_each: int) -> None:
        self.step = step
        self.bytes_read = 0
        self._bytes_each = bytes_each
        self._engine, self._hidden = engine, hidden
        self._own = hidden_of(engine.graph)
        self._ids = [int(i) for i in engine.graph.metadata[VOCABULARY]]
        self._chances: list[list[float]] = engine.graph.metadata[CHANCES]
        self._before: Array | None = None  # hidden value after the last token that was heard

    def heard(self, tokens: Sequence[int] | Index, outputs: Mapping[str, Array]) -> None:
        """See `sangbo.tasks.drafts.Drafter.heard`."""
        self._before = outputs[self._hidden][-1:]

    def draft(self, token: int, most: int, least: float) -> list[Guess]:
        """See `sangbo.tasks.drafts.Drafter.draft`."""
        guesses: list[Guess] = []
        before, reached = self._before, 1.0
        while before is not None and len(guesses) < most:
            inputs = {
                "tokens": np.array([token], np.int32),
                "selected": np.zeros(1, np.int32),
                FEATURES: before,
            }
            outputs = self._engine.run(inputs, [])
            self.bytes_read += self._bytes_each
            logits, before = outputs[LOGITS][0], outputs[self._own]
            place = int(logits.argmax())
            sure = float(1 / np.exp(logits - logits[place]).sum())
            chance = self._chances[bool(guesses)][min(int(sure * BINS), BINS - 1)]
            reached *= chance
            if reached < least:
                break
            token = self._ids[place]
            guesses.append(Guess(token, chance))
        return guesses


class First:
    """Guesses by lookup where that is likely enough, and else by another.

    Args:
        lookup: is asked first.
        other: is asked where the lookup's first guess is not right with a chance of ``enough``.
        enough: that chance.
    """

    def __init__(self, lookup: Lookup, other: Drafter, enough: float = 0.6) -> None:
        self._lookup, self._other, self._enough = lookup, other, enough

    @property
    def step(self) -> float:
        """See `sangbo.tasks.drafts.Drafter.step`: the other's."""
        return self._other.step

    @property
    def bytes_read(self) -> int:
        """See `sangbo.tasks.drafts.Drafter.bytes_read`."""
        return self._other.bytes_read

    def heard(self, tokens: Sequence[int] | Index, outputs: Mapping[str, Array]) -> None:
        """See `sangbo.tasks.drafts.Drafter.heard`."""
        self._lookup.heard(tokens, outputs)
        self._other.heard(tokens, outputs)

    def draft(self, token: int, most: int, least: float) -> list[Guess]:
        """See `sangbo.tasks.drafts.Drafter.draft`."""
        found = self._lookup.draft(token, most, least)
        if found and found[0].chance >= self._enough:
            return found
        return self._other.draft(token, most, least)
