"""What a language model loses at which price: the measured frontier of conversions.

    .venv/bin/python benchmarks/frontier.py --text FILE [--picture FILE.png]

Prepares a conversion once, builds it at several mean numbers of spikes per value, and reads the
same text with the original and with all of them. Nothing of the text is used in conversion. Spikes
per value are counted in the three ways of `sangbo.convert.spikes`. Beside each stands what is left
for the spiking side when the values of most spikes go dense, `DENSE` of all values at most.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sangbo import Settings, codes
from sangbo.convert.allocate import point
from sangbo.convert.budget import DEFAULT, Budget
from sangbo.convert.prepare import prepare
from sangbo.convert.spikes import found
from sangbo.engines import Native, Reference, Segment
from sangbo.engines.base import Index, Real
from sangbo.ledger import Ledger
from sangbo.sources import open_source
from sangbo.tasks.language import whole_reading

SPIKES = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6)
CONTEXT = 512
DENSE = 0.05
WAYS = ("into_weights", "as_sent", "by_targets")


@dataclass(slots=True)
class Row:
    """One conversion: what was chosen by prediction, and what the text showed.

    Attributes:
        budget: as `sangbo convert` takes it.
        predicted: relative rise of perplexity by encoding.
        change: of perplexity, found.
        kl_divergence: nats per token.
        top1_agreement: share of tokens.
        spikes: csd spikes per value in each of the `WAYS`, no level dense.
        beside: the same where `DENSE` of the values are dense: spikes left.
    """

    budget: str
    predicted: float
    change: float = 0.0
    kl_divergence: float = 0.0
    top1_agreement: float = 0.0
    spikes: dict[str, float] = field(default_factory=dict)
    beside: dict[str, float] = field(default_factory=dict)


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
    parser.add_argument("--picture", type=Path, help="PNG of the frontier")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    source = open_source(given.source)
    if source.tokenizer is None:
        raise SystemExit("expected a source with a tokenizer, found none")
    ids = np.asarray(source.tokenizer.encode(given.text.read_text()), np.int32)[: given.tokens + 1]
    settings = Settings(weight_bits=given.weight_bits)
    prepared = prepare(source, settings, None, told)
    rows, engines = [], []
    for text in given.budget or [
        *(f"spikes={s},dense={DENSE:.0%}" for s in SPIKES),
        str(DEFAULT),
    ]:
        choices = prepared.choose(Budget.parse(text))
        rows.append(Row(text, point(choices, prepared.prices).perplexity))
        engines.append(Native(prepared.build(choices)))
    read(rows, engines, Reference(source.graph), ids)
    if given.picture is not None:
        draw(rows, len(ids) - 1, given.picture)
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
        segment = Segment(original.cache(len(window)), len(window))
        before = log_probabilities(original.run(inputs, [segment])["logits"])
        probabilities = np.exp(before)
        likelihood[-1] += before[at, labels].sum(dtype=np.float64)
        for i, (row, engine) in enumerate(zip(rows, engines, strict=True)):
            segment = Segment(engine.cache(len(window)), len(window))
            after = log_probabilities(engine.run(inputs, [segment], ledger=ledgers[i])["logits"])
            likelihood[i] += after[at, labels].sum(dtype=np.float64)
            row.top1_agreement += float((before.argmax(1) == after.argmax(1)).sum() / count)
            lost = np.einsum("tv,tv->t", probabilities, before - after)
            row.kl_divergence += float(lost.sum(dtype=np.float64) / count)
    for i, row in enumerate(rows):
        row.change = math.expm1((likelihood[-1] - likelihood[i]) / count)
        tally(row, ledgers[i], engines[i])


def log_probabilities(logits: Real) -> Real:
    """`sangbo.tasks.language.log_softmax` in float32, which is enough here and much faster."""
    shifted: Real = logits - logits.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


def tally(row: Row, ledger: Ledger, engine: Native) -> None:
    """Count spikes per value in all `WAYS`."""
    csd = codes.code("csd")
    row.spikes = found(engine.graph, ledger, csd).to_dict()
    row.beside = found(engine.graph, ledger, csd, DENSE).to_dict()


def markdown(rows: Sequence[Row], tokens: int) -> str:
    """The table that people read."""
    ways = " | ".join(way.replace("_", " ") for way in WAYS)
    lines = [
        f"{tokens} tokens, windows of {CONTEXT}; csd spikes per value, and in brackets those left "
        f"where {DENSE:.0%} of the values at most are dense",
        "",
        f"| budget | predicted | perplexity | KL (nats) | top-1 | {ways} |",
        f"|---|---:|---:|---:|---:|{'---:|' * len(WAYS)}",
    ]
    for r in rows:
        counts = " | ".join(f"{r.spikes[w]:.2f} ({r.beside[w]:.2f})" for w in WAYS)
        lines.append(
            f"| {r.budget} | +{r.predicted:.2%} | {r.change:+.2%} | {r.kl_divergence:.4f} "
            f"| {r.top1_agreement:.1%} | {counts} |"
        )
    return "\n".join(lines)


def draw(rows: Sequence[Row], tokens: int, path: Path) -> None:
    """Rise of perplexity against spikes per value, in all `WAYS`."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    change = [100 * r.change for r in rows]
    for way, colour in zip(WAYS, ("#b71c1c", "#1565c0", "#2e7d32"), strict=True):
        name = way.replace("_", " ")
        axes.plot([r.spikes[way] for r in rows], change, "o-", color=colour, label=name)
        left = [r.beside[way] for r in rows]
        axes.plot(left, change, "o:", color=colour, mfc="white", label=f"{name}, {DENSE:.0%} dense")
    axes.axhline(2, color="#607d8b", linewidth=0.8)
    axes.axvline(1.2, color="#607d8b", linewidth=0.8)
    axes.set(
        yscale="log", xlabel="csd spikes per value", ylabel="rise of perplexity, %",
        title=f"What fewer spikes cost ({tokens} tokens that no conversion has seen)",
    )  # fmt: skip
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend()
    FigureCanvasAgg(figure).print_png(str(path))


if __name__ == "__main__":
    main()
