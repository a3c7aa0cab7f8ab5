"""Sums that stop early, read over a text: what that skips, what it changes, what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sangbo.engines.early import PLACES, Early, Margin
from sangbo.errors import SangboError
from sangbo.network import Network
from sangbo.progress import Progress, silent
from sangbo.tasks.language import Text
from sangbo.tasks.likelihood import Categorical

TOKENS = 192
"""Tokens that are read digit by digit unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Margins:
    """When sums stop, in standard deviations of what is left of them; None for a proof.

    Attributes:
        others: of all but the head's.
        head: of the output head's, where one of very many must not be mistaken.
    """

    others: float | None = None
    head: float | None = None

    def __str__(self) -> str:
        return " / ".join("proof" if z is None else f"{z:g}" for z in (self.others, self.head))


@dataclass(frozen=True, slots=True)
class Stopped:
    """What stopping did on a text.

    Attributes:
        margins: as text.
        tokens: read.
        compared: levels, and likeliest tokens, that were compared with those of whole sums.
        different: of them, those that differ.
        additions_saved: share of all additions.
        head_saved: share of the head's.
        nats: mean −log p of what follows, the head's sums taken whole.
    """

    margins: str
    tokens: int
    compared: int
    different: int
    additions_saved: float
    head_saved: float
    nats: float

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self)


def stop(
    network: Network,
    windows: Sequence[Text],
    margins: Margins,
    tokens: int = TOKENS,
    progress: Progress = silent,
) -> Stopped:
    """Read the beginning of a text digit by digit.

    Args:
        network: a language model whose code has places; see `can_stop`.
        windows: the text, each window with what follows.
        margins: when sums stop.
        tokens: most that are read, up to a whole block.
        progress: told the share that is done.

    Raises:
        SangboError: where the text is shorter, or windows do not say what follows.
    """
    engine = Early(
        network.graph,
        network.code,
        Margin(margins.others),
        head_margin=Margin(margins.head),
        whole_logits=True,
    )
    read, nats, meaning = 0, 0.0, Categorical()
    for window in windows:
        caches = window.caches(engine)
        for piece in window.pieces():
            if read >= tokens:
                break
            if piece.targets is None:
                raise SangboError("expected windows with what follows, found none")
            progress(f"reading digit by digit at {margins}", read / tokens)
            logits = engine.run(piece.inputs, piece.segments(caches))["logits"]
            nats += float(meaning.loss(logits, piece.targets).sum())
            read += piece.size
    if read < tokens:
        raise SangboError(f"expected a text of at least {tokens} tokens, found {read}")
    total, head = engine.saved.total, engine.saved.of("logits")
    return Stopped(
        str(margins),
        read,
        total.levels,
        total.different,
        engine.saved.additions_share,
        head.additions_skipped / max(1, head.additions),
        nats / read,
    )


def can_stop(network: Network, windows: Sequence[Text]) -> bool:
    """Whether the code has places, and the text `TOKENS`."""
    return network.code in PLACES and sum(window.size for window in windows) >= TOKENS
