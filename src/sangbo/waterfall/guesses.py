"""What is guessed: sums that stop early, by proof or by a margin, and tokens read together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from sangbo.big_little import compare
from sangbo.stopping import TOKENS, Margins, can_stop, stop
from sangbo.waterfall.step import Step, Subject

PREDICTED = Margins(3.0, 5.0)
LEAST_CONTEXT = 512
"""Context of a network that can answer the prompts."""
SHOWN = ("compared", "different", "additions_saved")


def early_sums(subject: Subject, before: Step) -> Step | None:
    """Sums that stop once no level can change; None without a text of `TOKENS`, or digits.

    All of compute is taken to fall by the share of additions that are skipped.
    """
    if not can_stop(subject.network, subject.windows):
        return None
    found = _stopped(subject, Margins())
    return replace(
        before,
        name="sums that stop early",
        costs=replace(before.costs, compute=before.costs.compute * (1 - found["additions_saved"])),
        evidence={"exact_speculation": {key: found[key] for key in SHOWN}},
        notes=("all of compute is taken to fall by the share of additions that are skipped",),
    )


def predicted_sums(subject: Subject, before: Step) -> Step | None:
    """Sums that stop once a change is unlikely, instead of those of `early_sums`."""
    if not can_stop(subject.network, subject.windows):
        return None
    proof, found = _stopped(subject, Margins()), _stopped(subject, PREDICTED)
    share = (1 - found["additions_saved"]) / (1 - proof["additions_saved"])
    change = float(np.expm1(found["nats"] - proof["nats"]))
    whole = before.perplexity_change
    evidence = {key: found[key] for key in SHOWN} | {"perplexity_relative_change": change}
    return replace(
        before,
        name="the same, predicted",
        costs=replace(before.costs, compute=before.costs.compute * share),
        perplexity_change=None if whole is None else (1 + whole) * (1 + change) - 1,
        evidence={"predictive_speculation": evidence},
        notes=(
            f"sums stop at {PREDICTED} (head) standard deviations of what is left; perplexity is "
            f"read on {TOKENS} tokens, with the head's sums whole",
        ),
    )


def big_and_little(subject: Subject, before: Step) -> Step | None:
    """Tokens guessed and read several at a time; None where speed is not wanted.

    External memory is taken to fall as the weights that are read for a token.
    """
    network = subject.network
    if not subject.speed or network.tokenizer is None or network.context < LEAST_CONTEXT:
        return None
    guesses = "lookup" if network.little is None else "both"

    def measure() -> dict[str, Any]:
        return compare(network, guesses, progress=subject.progress).to_dict()

    found = subject.kept.get(f"guesses by {guesses}", measure)
    share = found["weight_bytes_relative"]
    costs = replace(
        before.costs, reading=before.costs.reading * share, decoding=before.costs.decoding * share
    )
    return replace(
        before,
        name=f"guesses by {guesses}",
        costs=costs,
        tokens_per_second=found["tokens_per_second"]["guessed"],
        evidence={"lossless_big_little": found},
        notes=("external memory is taken to fall as the weights that are read for a token",),
    )


def _stopped(subject: Subject, margins: Margins) -> dict[str, Any]:
    def measure() -> dict[str, Any]:
        windows = subject.windows
        return stop(subject.network, windows, margins, progress=subject.progress).to_dict()

    return subject.kept.get(f"sums that stop at {margins}", measure)
