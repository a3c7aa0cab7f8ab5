"""What a conversion needs to know before it spends its budget: texts, grids, sensitivities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sangbo import chips, codes
from sangbo._version import __version__
from sangbo.convert.allocate import Choice, allocate
from sangbo.convert.budget import Budget
from sangbo.convert.calibrate import from_tokens, self_generated
from sangbo.convert.equalise import equalise, find_seams
from sangbo.convert.provisional import provisional
from sangbo.convert.rewrite import complementary
from sangbo.convert.rounding import refine
from sangbo.convert.sensitivity import Candidates, Prices, measure
from sangbo.convert.settings import Settings
from sangbo.convert.sites import find_sites
from sangbo.convert.weights import kept, quantise, tables
from sangbo.engines import Native, Reference, Segment
from sangbo.engines.base import Index, Real
from sangbo.errors import ConversionError
from sangbo.graph import Graph
from sangbo.progress import Progress, silent
from sangbo.sources import Grid, Source, Tokenizer
from sangbo.tasks.language import whole_reading

UNSEEN = 2
"""Texts that are kept from calibration: what the converted network loses is measured on them."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A network that is ready to be converted within any budget.

    Attributes:
        settings: how.
        balanced: the float graph, equalised where that is possible.
        grids: of the values tensor of every Linear.
        passages: calibration texts as token ids.
        unseen: texts that nothing is fitted to.
        candidates: thresholds of every neuron layer, and what each would do.
        accumulate: joules of one accumulate on the chip; None where it states none.
    """

    settings: Settings
    balanced: Graph
    grids: Mapping[str, Grid]
    passages: Sequence[Index]
    unseen: Sequence[Index]
    candidates: Sequence[Candidates]
    accumulate: float | None

    def choose(self, budget: Budget) -> list[Choice]:
        """A threshold for every neuron layer; see `allocate`."""
        return allocate(self.candidates, budget, self.accumulate)

    def build(self, choices: Sequence[Choice]) -> Graph:
        """The complementary graph with these thresholds."""
        thresholds = {c.site: c.threshold for c in choices}
        return complementary(self.balanced, thresholds, self.grids, {"sangbo": __version__})


def prepare(
    opened: Source, settings: Settings, calibration: str | None, progress: Progress = silent
) -> Prepared:
    """Read, write texts, round weights and measure: all that does not depend on the budget.

    Args:
        opened: the network.
        settings: how.
        calibration: text to calibrate on; without one the network writes its own.
        progress: told what is being done and how far it is.

    Raises:
        ConversionError: where the network cannot be converted as asked.
    """
    original = opened.graph
    _check_language_model(original)
    original.check_finite()
    passages, unseen = texts(opened, settings, calibration, progress)
    held = kept(settings.weight_bits, opened.grids)
    balanced = original
    if not held:
        balanced = equalise(original, largest_values(original, passages, progress))
    grids = quantise(balanced, settings.weight_bits, opened.grids, progress)
    if settings.second_order:
        grids = refine(balanced, grids, held | tables(balanced), passages, progress)
    sites = find_sites(balanced, settings.levels, settings.cache_bits)
    candidates = measure(balanced, sites, passages, prices(settings), progress)
    joules = accumulate_joules(settings)
    return Prepared(settings, balanced, grids, passages, unseen, candidates, joules)


def _check_language_model(original: Graph) -> None:
    if set(original.inputs) != {"tokens", "positions", "selected"}:
        raise ConversionError(
            f"expected a language model with inputs tokens, positions and selected, "
            f"found {sorted(original.inputs)}"
        )
    if not original.synaptic:
        raise ConversionError(f"expected synaptic operations in {original.name}, found none")


def largest_values(
    original: Graph, passages: Sequence[Index], progress: Progress
) -> dict[str, Real]:
    """Largest magnitude per channel of every value that is a seam, over ``passages``."""
    engine = Reference(original)
    names = [seam.value for seam in find_seams(original)]
    largest: dict[str, Real] = {}
    for step, tokens in enumerate(passages):
        progress("measuring ranges", step / len(passages))
        inputs = whole_reading(tokens)
        segment = Segment(engine.cache(len(tokens)), len(tokens))
        values = engine.run(inputs, [segment], keep=names)
        for name in names:
            reach = np.abs(values[name]).max(axis=0)
            largest[name] = np.maximum(largest[name], reach) if name in largest else reach
    return largest


def texts(
    opened: Source, settings: Settings, calibration: str | None, progress: Progress
) -> tuple[list[Index], list[Index]]:
    """Token ids to calibrate on, and `UNSEEN` texts that the network writes to be measured on.

    What is calibrated on are pieces of ``calibration``, or what the network itself writes.
    """
    if calibration is None:
        first, *others, last = written(opened, settings, settings.sequences + UNSEEN, progress)
        return others, [first, last]
    if opened.tokenizer is None:
        raise ConversionError("expected a tokenizer for the calibration text, found none")
    ids = opened.tokenizer.encode(calibration)
    given = from_tokens(ids, sequences=settings.sequences, length=_length(opened, settings))
    return given, written(opened, settings, UNSEEN, progress)


def written(opened: Source, settings: Settings, count: int, progress: Progress) -> list[Index]:
    """Token ids of ``count`` texts that the network itself writes, the first half as in a chat."""
    return self_generated(
        Native(provisional(opened.graph, settings.seed)),
        opened.graph.values["logits"].channels,
        sequences=count,
        length=_length(opened, settings),
        openings=openings(opened.tokenizer, count),
        excluded=control_ids(opened.tokenizer),
        seed=settings.seed,
        progress=progress,
    )


def _length(opened: Source, settings: Settings) -> int:
    context = opened.graph.metadata.get("context_length")
    return min(settings.length, context) if isinstance(context, int) else settings.length


def control_ids(tokenizer: Tokenizer | None) -> set[int]:
    """Token ids that no text which a network writes may hold."""
    if tokenizer is None:
        return set()
    return {i for text in tokenizer.control_tokens for i in tokenizer.encode(text, control=True)}


def openings(tokenizer: Tokenizer | None, sequences: int) -> list[list[int]]:
    """Beginnings of a conversation for half of the texts, where the network knows a template."""
    opening = [] if tokenizer is None or tokenizer.template is None else tokenizer.encode_opening()
    return [opening] * (sequences // 2) if opening else []


def prices(settings: Settings) -> Prices:
    """What levels cost on the chip of ``settings``, in accumulates."""
    chip = chips.load(settings.chip)
    mac, accumulate = chip.energy("mac"), chip.energy("accumulate")
    worth = round(mac / accumulate, 9) if mac and accumulate and chip.dense else np.inf  # 0.3 / 0.1
    return Prices(codes.code(settings.code), worth)


def accumulate_joules(settings: Settings) -> float | None:
    """Energy of one accumulate on the chip of ``settings``; None where it states none."""
    picojoules = chips.load(settings.chip).energy("accumulate")
    return None if picojoules is None else picojoules * 1e-12
