"""What is guessed: sums that stop early, by proof, and tokens that are read several at a time."""

from __future__ import annotations

from dataclasses import replace

from sangbo.big_little import compare
from sangbo.engines.early import PLACES, Early
from sangbo.waterfall.step import Step, Subject

EARLY_TOKENS = 192
"""Tokens that are read digit by digit."""
LEAST_CONTEXT = 512
"""Context of a network that can answer the prompts."""


def early_sums(subject: Subject, before: Step) -> Step | None:
    """Sums that stop once no level can change; None without a text of `EARLY_TOKENS`, or digits.

    All of compute is taken to fall by the share of additions that are skipped.
    """
    pieces = [p for window in subject.windows for p in window.pieces()]
    if sum(p.size for p in pieces) < EARLY_TOKENS or subject.network.code not in PLACES:
        return None
    engine, read = Early(subject.network.graph, subject.network.code), 0
    for window in subject.windows:
        caches = window.caches(engine)
        for piece in window.pieces():
            if read < EARLY_TOKENS:
                subject.progress("reading digit by digit", read / EARLY_TOKENS)
                engine.run(piece.inputs, piece.segments(caches))
                read += piece.size
    total, share = engine.saved.total, engine.saved.additions_share
    return replace(
        before,
        name="sums that stop early",
        costs=replace(before.costs, compute=before.costs.compute * (1 - share)),
        evidence={
            "exact_speculation": {
                "compared": total.levels,
                "different": total.different,
                "additions_saved": share,
            }
        },
        notes=("all of compute is taken to fall by the share of additions that are skipped",),
    )


def big_and_little(subject: Subject, before: Step) -> Step | None:
    """Tokens guessed and read several at a time; None where speed is not wanted.

    External memory is taken to fall as the weights that are read for a token.
    """
    network = subject.network
    if not subject.speed or network.tokenizer is None or network.context < LEAST_CONTEXT:
        return None
    found = compare(
        network, "lookup" if network.little is None else "both", progress=subject.progress
    )
    external = before.costs.external * found.weight_bytes_relative
    return replace(
        before,
        name=f"guesses by {found.guesses}",
        costs=replace(before.costs, external=external),
        tokens_per_second=found.tokens_per_second[1],
        evidence={"lossless_big_little": found.to_dict()},
        notes=("external memory is taken to fall as the weights that are read for a token",),
    )
