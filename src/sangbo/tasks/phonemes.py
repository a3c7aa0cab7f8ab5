"""Spelling in, phonemes out."""

from __future__ import annotations

from sangbo.data import pools
from sangbo.engines.reading import Reading
from sangbo.errors import SangboError
from sangbo.ledger import Ledger
from sangbo.progress import Progress
from sangbo.sources import Source
from sangbo.tasks.model import Model
from sangbo.tasks.pairs import MAIN, SOURCE_TEXT, pair_reading, text_source, write
from sangbo.tasks.task import Amount, Draft
from sangbo.tasks.whole import WholeTask


def spelled(model: Model, word: str) -> list[int]:
    """Ids of the letters of a word and of its end; letters that are not known as the unknown one.

    Raises:
        SangboError: where the word has no letter.
    """
    letters = {g: i for i, g in enumerate(model.fact("graphemes", list))}
    if not word.strip():
        raise SangboError("expected a word, found an empty one")
    return [letters.get(c, letters["<unk>"]) for c in word.strip().lower()] + [letters["</s>"]]


def pronounce(model: Model, word: str, *, ledger: Ledger | None = None) -> list[str]:
    """The likeliest phonemes of one word, as ARPAbet with stress."""
    names = model.fact("phonemes", list)
    written = write(
        model,
        text_source(spelled(model, word)),
        start=model.fact("start", list),
        ends=model.fact("end", list),
        max_tokens=model.fact("context_length", int),
        ledger=ledger,
    )
    return [str(names[token]) for token in written]


class Phonemes(WholeTask):
    """See `sangbo.tasks.task.Task`; calibrated on words that nothing is measured on."""

    name = "phonemes"
    inputs = frozenset(SOURCE_TEXT + MAIN)

    def written(
        self, source: Source, amount: Amount, count: int, draft: Draft, progress: Progress
    ) -> list[Reading]:
        """Words, and how the network itself speaks them."""
        model = Model(draft(), source.tokenizer)
        start, names = model.fact("start", list), model.fact("phonemes", list)
        pool = pools.words(progress)[pools.WORDS :]
        pairs = []
        for step, word in enumerate(pools.drawn(pool, count * WORDS, amount.seed)):
            progress("writing calibration words", step / (count * WORDS))
            answer = [names.index(p) for p in pronounce(model, word)]
            letters = text_source(spelled(model, word))
            pairs.append(pair_reading(model, letters, [*start, *answer]))
        return pairs


WORDS = 16
"""Words in the place of one longer text."""
