"""Translation: a sentence in one language in, one in another out."""

from __future__ import annotations

from collections.abc import Sequence

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

LONGEST = 256
"""Most tokens of a translation."""


def translate(
    model: Model, text: str, *, max_tokens: int = LONGEST, ledger: Ledger | None = None
) -> str:
    """The likeliest translation of ``text``, word by word.

    Raises:
        SangboError: where the text is empty or longer than the network reads, or the network is no
            translator.
    """
    if not text.strip():
        raise SangboError("expected a text to translate, found an empty one")
    tokenizer, context = model.text(), model.fact("context_length", int)
    ids = tokenizer.encode(text)
    if len(ids) > context:
        raise SangboError(f"expected a text of at most {context} tokens, found {len(ids)}")
    tokens = write(
        model,
        text_source(ids),
        start=model.fact("start", list),
        ends=model.fact("end", list),
        suppressed=model.graph.metadata.get("suppressed", []),
        max_tokens=min(max_tokens, context - 1),
        ledger=ledger,
    )
    return tokenizer.decode(list(tokens)).strip()


class Translate(WholeTask):
    """See `sangbo.tasks.task.Task`; calibrated on captions that nothing is measured on."""

    name = "translate"
    inputs = frozenset(SOURCE_TEXT + MAIN)
    bears = 0.0002
    """One other word changes all that follow, and captions, which no calibration text is like, lose
    more than that text does."""

    def written(
        self, source: Source, amount: Amount, count: int, draft: Draft, progress: Progress
    ) -> list[Reading]:
        """Sentences, and what the network itself makes of them."""
        model = Model(draft(), source.tokenizer)
        language = source.graph.metadata.get("languages", ["en"])[0]
        if language == "en":
            pool = pools.sentences(progress)
        else:
            pairs = pools.captions(language, "en", progress)[pools.CAPTIONS :]
            pool = [text for text, _ in pairs]
        return pair_readings(model, pools.drawn(pool, count * TEXTS, amount.seed), progress)


TEXTS = 4
"""Sentences in the place of one longer text."""


def pair_readings(model: Model, texts: Sequence[str], progress: Progress) -> list[Reading]:
    """Readings of each text and of what the network makes of it."""
    tokenizer, start = model.text(), model.fact("start", list)
    pairs = []
    for step, text in enumerate(texts):
        progress("writing calibration texts", step / len(texts))
        ids = tokenizer.encode(text)
        answer = write(
            model, text_source(ids), start=start, ends=model.fact("end", list),
            suppressed=model.graph.metadata.get("suppressed", []), max_tokens=2 * len(ids) + 8,
        )  # fmt: skip
        pairs.append(pair_reading(model, text_source(ids), [*start, *answer]))
    return pairs
