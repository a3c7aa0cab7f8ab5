"""Texts in, vectors out: near where the texts mean the like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sangbo.data import pools
from sangbo.engines.base import Array, Real, Segment
from sangbo.engines.reading import Part, Reading
from sangbo.errors import ConversionError, SangboError
from sangbo.graph import Graph, Norm
from sangbo.ledger import Ledger
from sangbo.progress import Progress, silent
from sangbo.sources import Source
from sangbo.tasks.likelihood import Gaussian, Likelihood
from sangbo.tasks.model import Model
from sangbo.tasks.task import Amount, Draft
from sangbo.tasks.whole import WholeTask

LONGEST = 256
"""Tokens of a text that are read; what MiniLM's authors trained with."""


def encoded(model: Model, text: str) -> list[int]:
    """Token ids of a text with the network's own first and last, cut to what is read."""
    limit = min(LONGEST, model.fact("context_length", int))
    ids = model.text().encode(text)
    return ids if len(ids) <= limit else [*ids[: limit - 1], ids[-1]]


def reading(model: Model, tokens: Sequence[int]) -> dict[str, Array]:
    """Inputs of a run that reads ``tokens``."""
    ids = np.asarray(tokens, np.int32)
    rows = np.arange(len(ids), dtype=np.int32)
    own = {"tokens": ids, "positions": rows, "types": np.zeros_like(rows), "selected": rows}
    return {n: own[n] for n in model.graph.inputs}


def embed(
    model: Model,
    texts: Sequence[str],
    *,
    ledger: Ledger | None = None,
    progress: Progress = silent,
) -> Real:
    """Mean of the hidden vectors of each text, of length 1. → (texts, channels).

    Raises:
        SangboError: where a text is empty, or the network is no encoder.
    """
    if "tokens" not in model.graph.inputs or len(model.graph.outputs) != 1:
        raise SangboError(f"expected an encoder of texts, found {model.graph.name}")
    found = []
    for step, text in enumerate(texts):
        progress("embedding", step / len(texts))
        if not text.strip():
            raise SangboError("expected texts with some words, found an empty one")
        ids = encoded(model, text)
        segment = Segment(model.engine.cache(len(ids)), len(ids))
        outputs = model.engine.run(reading(model, ids), [segment], ledger=ledger)
        mean = outputs[model.graph.outputs[0]].astype(np.float64).mean(axis=0)
        found.append(mean / max(float(np.linalg.norm(mean)), 1e-12))
    vectors: Real = np.array(found, np.float32)
    return vectors


class Embed(WholeTask):
    """See `sangbo.tasks.task.Task`; calibrated on sentences that nothing is measured on."""

    name = "embed"
    inputs = frozenset({"tokens", "positions", "types", "selected"})

    def likelihood(self, graph: Graph) -> Likelihood:
        """Vectors whose error of `NOISE` of their length costs ½ nat."""
        last = next(o for o in graph.operations if o.output == self.output(graph))
        if not isinstance(last, Norm):
            raise ConversionError(
                f"expected {graph.name} to end with a norm, found {type(last).__name__}"
            )
        return Gaussian(NOISE * float(np.linalg.norm(graph.tensors[last.weight])))

    def written(
        self, source: Source, amount: Amount, count: int, draft: Draft, progress: Progress
    ) -> list[Reading]:
        """Sentences."""
        model = Model(draft(), source.tokenizer)
        chosen = pools.drawn(pools.sentences(progress), count * SENTENCES, amount.seed)
        each = [encoded(model, text) for text in chosen]
        return [Reading(reading(model, ids), (Part(len(ids)),)) for ids in each]


NOISE = 0.3
SENTENCES = 8
"""Sentences in the place of one longer text."""
