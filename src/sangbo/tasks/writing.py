"""Calibration text: what the network itself says, or a file that the user gives."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

import numpy as np

from sangbo.engines.base import Cache, Engine, Index, Segment
from sangbo.errors import ConversionError
from sangbo.progress import Progress

C = TypeVar("C", bound=Cache)


def self_generated(
    engine: Engine[C],
    vocabulary: int,
    *,
    sequences: int,
    length: int,
    openings: Sequence[Sequence[int]] = (),
    excluded: Collection[int] = (),
    seed: int = 0,
    progress: Progress,
) -> list[Index]:
    """Texts that the network draws from its own distribution.

    The first texts begin with ``openings`` (the start of a conversation, say) and may hold any
    token; the others begin with a random token.

    Data-free calibration as in LLM-QAT (Liu et al. 2023, arXiv 2305.17888), without its greedy
    beginning. All sequences are read as one batch.

    Args:
        engine: runs the network.
        vocabulary: number of token ids.
        sequences: how many texts.
        length: tokens in each.
        openings: token ids, at most ``sequences`` of them and each shorter than ``length``.
        excluded: ids that are never drawn (control tokens) where no opening came first.
        seed: of the generator.
        progress: told the share that is done.
    """
    generator = np.random.default_rng(seed)
    allowed = np.setdiff1d(np.arange(vocabulary), np.fromiter(excluded, np.int64))
    if not allowed.size:
        raise ConversionError("expected tokens to generate calibration text from, found none")
    barred = np.setdiff1d(np.arange(vocabulary), allowed)
    texts = np.empty((sequences, length), np.int32)
    given = [np.asarray(opening[: length - 1], np.int32) for opening in openings[:sequences]]
    texts[:, 0] = generator.choice(allowed, sequences)
    for text, opening in zip(texts, given, strict=False):
        text[: len(opening)] = opening
    caches = [engine.cache(length) for _ in range(sequences)]
    rows = np.arange(sequences, dtype=np.int32)
    rest = sequences - len(given)
    for step in range(1, length):
        progress("generating calibration text", step / length)
        inputs = {
            "tokens": np.ascontiguousarray(texts[:, step - 1]),
            "positions": np.full(sequences, step - 1, np.int32),
            "selected": rows,
        }
        logits = engine.run(inputs, [Segment(c, 1) for c in caches])["logits"].astype(np.float64)
        logits[len(given) :, barred] = -np.inf
        drawn = (logits + generator.gumbel(size=logits.shape)).argmax(axis=1)
        begun = np.array([step < len(opening) for opening in given] + [False] * rest)
        texts[:, step] = np.where(begun, texts[:, step], drawn)
    return list(texts)


def from_tokens(tokens: Sequence[int], *, sequences: int, length: int) -> list[Index]:
    """Cut a given text into at most ``sequences`` pieces of ``length``, spread evenly over it."""
    ids = np.asarray(tokens, np.int32)
    if len(ids) < 2:
        raise ConversionError(
            f"expected a calibration text of at least two tokens, found {len(ids)}"
        )
    pieces = max(1, min(sequences, len(ids) // length))
    starts = np.linspace(0, max(0, len(ids) - length), pieces).astype(int)
    return [ids[start : start + length] for start in starts]
