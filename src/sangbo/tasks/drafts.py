"""Who guesses what a network will write next: a table of what was written before, for one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from sangbo.engines.base import Array, Index

LONGEST_MATCH = 4
"""Tokens that are looked up together, at most."""
SHORTEST_MATCH = 2
_LENGTHS = range(LONGEST_MATCH, SHORTEST_MATCH - 1, -1)
PRIOR_WEIGHT = 4.0
"""Guesses that count for the prior of a match's chance: n in n + 2 for n tokens."""


class Guess(NamedTuple):
    """A token that may come next.

    Attributes:
        token: its id.
        chance: how likely it is right, where all guesses before it are.
    """

    token: int
    chance: float


class Drafter(Protocol):
    """Guesses tokens ahead of a network that then reads them all at once."""

    @property
    def step(self) -> float:
        """What a guess costs, as a share of what the network takes to read one token."""

    @property
    def bytes_read(self) -> int:
        """Bytes of weights that guesses have read so far."""

    def heard(self, tokens: Sequence[int] | Index, outputs: Mapping[str, Array]) -> None:
        """Learn that the network has read ``tokens``, which stay, and what it made of them.

        Args:
            tokens: that come after all heard before.
            outputs: what the network's graph gives for their rows.
        """

    def draft(self, token: int, most: int, least: float) -> list[Guess]:
        """What may follow ``token``, which comes after all that was heard.

        Args:
            token: that the network will read next.
            most: longest draft.
            least: a draft ends before the chance that all of it is right falls below this.
        """


class Lookup:
    """Guesses that what followed the last few tokens before follows them again.

    Prompt lookup decoding: the longest match of `SHORTEST_MATCH` to `LONGEST_MATCH` tokens, the
    latest where there are several. How likely it is right is counted over all that was heard,
    apart for each length of match.

    >>> lookup = Lookup()
    >>> lookup.heard([7, 8, 9, 5, 7], {})
    >>> [guess.token for guess in lookup.draft(8, 4, 0.0)]
    [9, 5, 7, 8]
    """

    step = 0.0
    bytes_read = 0

    def __init__(self) -> None:
        self._text: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}
        self._right = {n: PRIOR_WEIGHT * n / (n + 2) for n in _LENGTHS}
        self._made = dict.fromkeys(_LENGTHS, PRIOR_WEIGHT)

    def heard(self, tokens: Sequence[int] | Index, outputs: Mapping[str, Array]) -> None:
        """See `Drafter.heard`."""
        for token in map(int, tokens):
            length, place = self._match(self._text)
            if length:
                self._made[length] += 1
                self._right[length] += self._text[place] == token
            end = len(self._text)
            for n in _LENGTHS:
                if n <= end:
                    self._after[tuple(self._text[end - n :])] = end
            self._text.append(token)

    def draft(self, token: int, most: int, least: float) -> list[Guess]:
        """See `Drafter.draft`."""
        self._text.append(token)
        length, place = self._match(self._text)
        guesses: list[Guess] = []
        if length:
            chance = self._right[length] / self._made[length]
            count = most if chance == 1 or least <= 0 else int(math.log(least) / math.log(chance))
            # A draft that reaches the end of the text goes on with itself.
            period = len(self._text) - place
            after = self._text[place:]
            guesses = [Guess(after[i % period], chance) for i in range(min(count, most))]
        self._text.pop()
        return guesses

    def _match(self, text: Sequence[int]) -> tuple[int, int]:
        """Length of the longest match of the end of ``text``, and what followed it; 0 for none."""
        for n in _LENGTHS:
            if n <= len(text):
                place = self._after.get(tuple(text[len(text) - n :]))
                if place is not None:
                    return n, place
        return 0, 0
