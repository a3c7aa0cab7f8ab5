"""Text generation: a causal language model, which writes what it is calibrated on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sangbo.engines.base import Index
from sangbo.engines.reading import Reading
from sangbo.errors import ConversionError
from sangbo.graph import Graph
from sangbo.progress import Progress
from sangbo.sources import Source, Tokenizer
from sangbo.tasks.language import Text
from sangbo.tasks.likelihood import Categorical, Likelihood
from sangbo.tasks.task import BEARS, Amount, Draft
from sangbo.tasks.writing import from_tokens, self_generated

LOGITS = "logits"
SKETCH_TOKENS = 64


class Generate:
    """See `sangbo.tasks.task.Task`."""

    name = "generate"
    writes = True
    bears = BEARS

    def check(self, graph: Graph) -> None:
        """Raise `ConversionError` unless it takes tokens, positions and selected rows."""
        if set(graph.inputs) != {"tokens", "positions", "selected"}:
            raise ConversionError(
                f"expected a language model with inputs tokens, positions and selected, "
                f"found {sorted(graph.inputs)}"
            )

    def output(self, graph: Graph) -> str:
        """The logits."""
        return LOGITS

    def likelihood(self, graph: Graph) -> Likelihood:
        """Of the next token."""
        return Categorical()

    def sketch(self, graph: Graph, seed: int) -> Reading:
        """Random tokens."""
        generator = np.random.default_rng(seed)
        rows = _length(graph, SKETCH_TOKENS)
        return Text.of(generator.integers(0, graph.values[LOGITS].channels, rows, np.int32))

    def written(
        self, source: Source, amount: Amount, count: int, draft: Draft, progress: Progress
    ) -> list[Reading]:
        """Texts that the network draws, the first half as in a chat."""
        return [*map(Text.of, self.texts(source, amount, count, draft, progress))]

    def texts(
        self, source: Source, amount: Amount, count: int, draft: Draft, progress: Progress
    ) -> list[Index]:
        """Token ids of what `written` gives."""
        return self_generated(
            draft(),
            source.graph.values[LOGITS].channels,
            sequences=count,
            length=_length(source.graph, amount.length),
            openings=openings(source.tokenizer, count),
            excluded=control_ids(source.tokenizer),
            seed=amount.seed,
            progress=progress,
        )

    def given(self, source: Source, text: str, amount: Amount) -> list[Reading]:
        """Pieces of a text."""
        if source.tokenizer is None:
            raise ConversionError("expected a tokenizer for the calibration text, found none")
        length = _length(source.graph, amount.length)
        ids = source.tokenizer.encode(text)
        return [*map(Text.of, from_tokens(ids, sequences=amount.sequences, length=length))]


def _length(graph: Graph, length: int) -> int:
    context = graph.metadata.get("context_length")
    return min(length, context) if isinstance(context, int) else length


def control_ids(tokenizer: Tokenizer | None) -> set[int]:
    """Token ids that no text which a network writes may hold."""
    if tokenizer is None:
        return set()
    return {i for text in tokenizer.control_tokens for i in tokenizer.encode(text, control=True)}


def openings(tokenizer: Tokenizer | None, sequences: int) -> Sequence[Sequence[int]]:
    """Beginnings of a conversation for half of the texts, where the network knows a template."""
    opening = [] if tokenizer is None or tokenizer.template is None else tokenizer.encode_opening()
    return [opening] * (sequences // 2) if opening else []
