"""From plain dense int8 to all inventions, one step after the other: what each is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from sangbo import chips
from sangbo._version import __version__
from sangbo.errors import SangboError
from sangbo.network import Network
from sangbo.progress import Progress, silent
from sangbo.sources import Source
from sangbo.tasks.language import Text, windows
from sangbo.verify import CONTEXT, original_of
from sangbo.waterfall.core import switching_core
from sangbo.waterfall.dense import begin
from sangbo.waterfall.guesses import big_and_little, early_sums, predicted_sums
from sangbo.waterfall.kept import FILE, Kept, read
from sangbo.waterfall.step import Costs, Invention, Step, Subject
from sangbo.waterfall.weights import coded_weights, held_weights

__all__ = [
    "INVENTIONS",
    "Costs",
    "Invention",
    "Step",
    "Subject",
    "Waterfall",
    "of_folder",
    "waterfall",
]

INVENTIONS: tuple[Invention, ...] = (
    held_weights,
    coded_weights,
    switching_core,
    early_sums,
    predicted_sums,
    big_and_little,
)
"""In the order in which they are added. Each is left out where a folder does not have it."""

EVIDENCE = ("exact_speculation", "predictive_speculation", "lossless_big_little")
"""Keys of ``sangbo waterfall --json`` that are there whether a step has such evidence or not."""

TOKENS = 2048
"""Tokens that are read unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Waterfall:
    """All steps, dense int8 first.

    Attributes:
        network: its name.
        chip: its name.
        tokens: of the text that was read.
        steps: each with all inventions up to it.
    """

    network: str
    chip: str
    tokens: int
    steps: Sequence[Step]

    def to_dict(self) -> dict[str, Any]:
        """What ``sangbo waterfall --json`` prints."""
        evidence: dict[str, Any] = dict.fromkeys(EVIDENCE)
        for step in self.steps:
            evidence |= step.evidence
        dense = self.steps[0].costs
        return {"steps": [step.to_dict(dense) for step in self.steps]} | evidence

    def stored(self) -> dict[str, Any]:
        """What a folder keeps of it, for `of_folder`."""
        return {"tokens": self.tokens, "steps": [asdict(step) for step in self.steps]}


def waterfall(
    network: Network,
    chip: chips.Chip,
    text: str | None = None,
    *,
    original: Source | None = None,
    tokens: int = TOKENS,
    speed: bool = True,
    again: bool = False,
    progress: Progress = silent,
) -> Waterfall:
    """Add one invention after the other and price, read and time the network after each.

    Args:
        network: a converted language model.
        chip: prices it; it has a dense and a spiking side and external memory.
        text: prose to measure perplexities on; without it none is measured.
        original: what the network was converted from; read from where it came if not given.
        tokens: most tokens of the text.
        speed: whether to time this machine.
        again: measure again what the network's folder keeps of an earlier waterfall.
        progress: told how far it is.

    Raises:
        SangboError: where the text is too short, the original cannot be found, or the chip lacks
            what is compared.
    """
    if network.tokenizer is None:
        raise SangboError(f"expected a language model, found {network.graph.name}")
    texts: list[Text] = []
    if text is not None:
        ids = np.asarray(network.text_tokenizer().encode(text), np.int32)[: tokens + 1]
        texts = [*windows(ids, min(CONTEXT, network.context))]
        original = original or original_of(network, progress)
    about = {
        "version": __version__,
        "graph_sha256": network.graph.sha256(),
        "text_sha256": sha256(b"".join(w.tokens.tobytes() for w in texts)).hexdigest(),
    }
    path = None if network.folder is None else network.folder / FILE
    kept = Kept(path, about, again)
    subject = Subject(network, chip, original, texts, speed, progress, kept)
    steps = [begin(subject)]
    for invention in INVENTIONS:
        step = invention(subject, steps[-1])
        if step is not None:
            steps.append(step)
    count = sum(len(window.tokens) for window in texts)
    found = Waterfall(network.graph.name, chip.name, count, steps)
    kept.show(chip.name, found.stored())
    return found


def of_folder(network: Network, chip: str) -> Waterfall | None:
    """The waterfall that the network's folder keeps for ``chip``; None where it keeps none.

    Raises:
        SangboError: where what it keeps is broken.
    """
    if network.folder is None:
        return None
    path = network.folder / FILE
    found = read(path)
    if chip not in found.get("shown", {}):
        return None
    if found["about"].get("graph_sha256") != network.graph.sha256():
        return None  # of what stood there before
    try:
        shown = found["shown"][chip]
        steps = [
            Step(**{**entry, "costs": Costs(**entry["costs"]), "notes": tuple(entry["notes"])})
            for entry in shown["steps"]
        ]
        return Waterfall(network.graph.name, chip, int(shown["tokens"]), steps)
    except (KeyError, TypeError, ValueError) as error:
        raise SangboError(f"expected {path} to hold steps of a waterfall: {error!r}") from None
