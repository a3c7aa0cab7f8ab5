"""What a language model loses at which price: the measured frontier of conversions.

    .venv/bin/python benchmarks/frontier.py --text FILE

Prepares a conversion once, builds it at several mean numbers of spikes per value, and reads the
same text with the original and with all of them. Nothing of the text is used in conversion.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sangbo import Settings, codes
from sangbo.convert.allocate import point
from sangbo.convert.budget import Budget
from sangbo.convert.prepare import prepare
from sangbo.engines import Native, Reference, Segment
from sangbo.engines.base import Index
from sangbo.ledger import Histogram, Ledger
from sangbo.sources import open_source
from sangbo.tasks.language import log_softmax, whole_reading

SPIKES = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6)
CONTEXT = 512


@dataclass(slots=True)
class Row:
    """One conversion: what was chosen by prediction, and what the text showed."""

    budget: str
    predicted: float
    change: float = 0.0
    kl_divergence: float = 0.0
    top1_agreement: float = 0.0
    spikes_per_value: float = 0.0
    spikes_per_sent: float = 0.0
    dense: float = 0.0
    above_15: float = 0.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", default="smollm2-135m-instruct")
    parser.add_argument(
        "--text", type=Path, required=True, help="prose that no conversion has seen"
    )
    parser.add_argument("--tokens", type=int, default=16384)
    parser.add_argument("--weight-bits", type=int, choices=(4, 8))
    parser.add_argument("--budget", action="append", help="instead of 0.8 … 1.6 spikes")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    source = open_source(given.source)
    if source.tokenizer is None:
        raise SystemExit("expected a source with a tokenizer, found none")
    ids = np.asarray(source.tokenizer.encode(given.text.read_text()), np.int32)[: given.tokens + 1]
    settings = Settings(weight_bits=given.weight_bits)
    prepared = prepare(source, settings, None, told)
    rows, engines = [], []
    for text in given.budget or [f"spikes={s}" for s in SPIKES]:
        choices = prepared.choose(Budget.parse(text))
        rows.append(Row(text, point(choices, None).perplexity))
        engines.append(Native(prepared.build(choices, told)))
    read(rows, engines, Reference(source.graph), ids)
    print(json.dumps([asdict(row) for row in rows]) if given.json else markdown(rows, len(ids) - 1))


def told(what: str, share: float) -> None:
    """Progress on standard error, one line at a time."""
    print(f"\r{what}: {share:.0%}    ", end="", file=sys.stderr)


def read(rows: Sequence[Row], engines: Sequence[Native], original: Reference, ids: Index) -> None:
    """Read ``ids`` in windows with the original and every engine, and fill ``rows``."""
    count = len(ids) - 1
    ledgers = [engine.ledger() for engine in engines]
    likelihood = np.zeros(len(rows) + 1)
    for start in range(0, count, CONTEXT):
        told("reading", start / count)
        window, labels = ids[start : start + CONTEXT], ids[start + 1 : start + CONTEXT + 1]
        window = window[: len(labels)]
        at = np.arange(len(labels))
        inputs = whole_reading(window)
        before = log_softmax(
            original.run(inputs, [Segment(original.cache(len(window)), len(window))])["logits"]
        )
        likelihood[-1] += before[at, labels].sum(dtype=np.float64)
        for i, (row, engine) in enumerate(zip(rows, engines, strict=True)):
            segment = Segment(engine.cache(len(window)), len(window))
            after = log_softmax(engine.run(inputs, [segment], ledger=ledgers[i])["logits"])
            likelihood[i] += after[at, labels].sum(dtype=np.float64)
            row.kl_divergence += float((np.exp(before) * (before - after)).sum() / count)
            row.top1_agreement += float((before.argmax(1) == after.argmax(1)).sum() / count)
    for i, row in enumerate(rows):
        row.change = math.expm1((likelihood[-1] - likelihood[i]) / count)
        tally(row, ledgers[i])


def tally(row: Row, ledger: Ledger) -> None:
    """Spikes per value, weighted by targets and as sent, and the shares of large levels."""
    csd = codes.code("csd")
    sources = {operation.source for operation in ledger.operations.values()}
    sent = [ledger.neurons[name] for name in sources]
    targets = [operation.pairs for operation in ledger.operations.values()]

    def mean(histograms: Sequence[Histogram], worth: str) -> float:
        total = weighed = 0
        for histogram in histograms:
            spikes = csd.spikes(histogram.magnitudes)
            weight = {
                "spikes": spikes, "dense": spikes > 3, "large": histogram.magnitudes > 15,
            }[worth]  # fmt: skip
            total += int(histogram.occurrences.sum())
            weighed += int((weight * histogram.occurrences).sum())
        return weighed / total

    row.spikes_per_value = mean(targets, "spikes")
    row.spikes_per_sent = mean(sent, "spikes")
    row.dense = mean(targets, "dense")
    row.above_15 = mean(targets, "large")


def markdown(rows: Sequence[Row], tokens: int) -> str:
    """The table that people read."""
    lines = [
        f"{tokens} tokens, windows of {CONTEXT}; spikes in csd, dense: more than 3 spikes",
        "",
        "| budget | predicted | perplexity | KL (nats) | top-1 | spikes per value, by targets "
        "| as sent | dense | above 15 |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r.budget} | +{r.predicted:.2%} | {r.change:+.2%} | {r.kl_divergence:.4f} "
        f"| {r.top1_agreement:.1%} | {r.spikes_per_value:.2f} | {r.spikes_per_sent:.2f} "
        f"| {r.dense:.1%} | {r.above_15:.1%} |"
        for r in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
