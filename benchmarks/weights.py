"""Bytes of weights against perplexity: allotted steps beside groups and GGUF's kinds.

    .venv/bin/python benchmarks/weights.py --text FILE --calibrate FILE [--picture FILE.png]

Weights alone are rounded, activations stay real, and one text is read with each. ``own grid kept``
is what `sangbo convert --allotted` does: a matrix keeps the grid of its file where that is cheaper;
``anew`` is with ``--weight-bits 8``. Bytes are those of a folder, scales and tables with them, and
count for the weights that a token reads, the tied table once. Groups are of 32, each with a scale
and a minimum, rounded plainly; GGUF's are what the ``gguf`` package makes of them (it quantises to
no K and no IQ kind).
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path

import gguf
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sangbo import Settings
from sangbo.convert.allot import Matrix, Rate, allot, matrices, multiplier, worths
from sangbo.convert.prepare import WEIGHING, stored_size
from sangbo.convert.weights import per_channel
from sangbo.engines import Reference
from sangbo.engines.base import Real
from sangbo.graph import Graph, Linear
from sangbo.sources import Source, open_source
from sangbo.tasks import task_of
from sangbo.tasks.language import Text, windows
from sangbo.tasks.likelihood import Categorical

CONTEXT = 512
GROUP = 32
BITS = (2.75, 3.0, 3.25, 3.5, 3.75, 4.0, 4.25, 4.5)
KINDS = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")


@dataclass(frozen=True, slots=True)
class Row:
    """One way to hold the weights.

    Attributes:
        way: how.
        bits: per weight that a token reads.
        change: of perplexity, relative.
        error: standard error of it, tokens taken as independent.
        kl_divergence: nats per token.
    """

    way: str
    bits: float
    change: float
    error: float
    kl_divergence: float

    @property
    def relative(self) -> float:
        """Bytes of those of int8."""
        return self.bits / 8


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", default="smollm2-135m-instruct")
    parser.add_argument("--text", type=Path, required=True, help="prose that is read")
    parser.add_argument("--calibrate", type=Path, required=True, help="prose to round by")
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--bits", type=float, action="append")
    parser.add_argument("--only-allotted", action="store_true")
    parser.add_argument("--picture", type=Path, help="PNG of the frontier")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    source = open_source(given.source)
    if source.tokenizer is None:
        raise SystemExit("expected a source with a tokenizer, found none")
    ids = np.asarray(source.tokenizer.encode(given.text.read_text("utf-8")), np.int32)
    texts = [*windows(ids[: given.tokens + 1], CONTEXT)]
    before = [text.run(Reference(source.graph))["logits"] for text in texts]
    ways = allotted(source, given.calibrate.read_text("utf-8"), given.bits or BITS)
    rows = []
    for way, bits, made in ways if given.only_allotted else chain(ways, others(source)):
        changed = replace(source.graph, tensors={**source.graph.tensors, **made})
        rows.append(read(way, bits, changed, texts, before))
        if not given.json:
            print(shown(rows[-1]), flush=True)
    if given.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
    if given.picture is not None:
        draw(rows, given.picture, len(ids[: given.tokens + 1]) - 1)


def shown(row: Row) -> str:
    """One line of a table of markdown."""
    return (
        f"| {row.way} | {row.bits:.2f} | {row.relative:.3f} | {row.change:+.2%} ± {row.error:.2%} "
        f"| {row.kl_divergence:.4f} |"
    )


Way = tuple[str, float, Mapping[str, Real]]


def read(way: str, bits: float, graph: Graph, texts: Sequence[Text], before: list[Real]) -> Row:
    """Read the texts with other weights."""
    engine, meaning = Reference(graph), Categorical()
    lost, moved = [], []
    for text, logits in zip(texts, before, strict=True):
        if text.targets is None:
            raise SystemExit("expected texts with what follows, found none")
        after = text.run(engine)["logits"]
        lost.append(meaning.loss(after, text.targets) - meaning.loss(logits, text.targets))
        moved.append(meaning.divergence(logits, after))
    nats = np.concatenate(lost)
    error = float(nats.std() / math.sqrt(len(nats)))
    change = math.expm1(float(nats.mean()))
    return Row(way, bits, change, error, float(np.concatenate(moved).mean()))


def names_of(graph: Graph) -> list[str]:
    """Values tensors of all Linears, each once."""
    linear = [o for o in graph.operations if isinstance(o, Linear)]
    return [*dict.fromkeys(o.weight.values for o in linear)]


def allotted(source: Source, calibration: str, wanted: Sequence[float]) -> Iterator[Way]:
    """Allotted steps at several mean bits, with the file's grid kept where it pays and without."""
    graph, task = source.graph, task_of(source.graph)
    amount = Settings(sequences=WEIGHING * Settings().sequences)
    readings = task.given(source, calibration, amount)
    worth = worths(graph, readings, lambda *_: None, task)
    found = list(matrices(graph, readings, worth, lambda *_: None))
    held = {name: stored_size(grid, coded=True) for name, grid in source.grids.items()}
    for keeps in (True, False):
        rates = []
        for matrix in found:
            weights = graph.tensors[matrix.name]
            own = held.get(matrix.name) if keeps else None
            bits = math.inf if own is None else 8 * own / weights.size
            rates.append(Rate.of(matrix, weights, bits))
        for bits in wanted:
            yield one(graph, found, rates, bits, held, "own grid kept" if keeps else "anew")


def one(
    graph: Graph,
    found: Sequence[Matrix],
    rates: Sequence[Rate],
    bits: float,
    held: Mapping[str, int],
    how: str,
) -> Way:
    """All weights on allotted steps of about so many bits, or on their own grid."""
    chosen, size, count = multiplier(rates, bits), 0, 0
    made = {}
    for matrix, rate in zip(found, rates, strict=True):
        weights = graph.tensors[matrix.name]
        count += weights.size
        if rate.pays(chosen):
            grid, kept = allot(weights, matrix, chosen)
            made[matrix.name] = grid.reals()
            size += kept.nbytes + grid.scale.nbytes
        else:
            size += held[matrix.name]
    return f"allotted, {how}", 8 * size / count, made


def others(source: Source) -> Iterator[Way]:
    """What the file holds, int8, plain groups, and GGUF's kinds."""
    graph, names = source.graph, names_of(source.graph)
    count = sum(graph.tensors[name].size for name in names)
    for coded in (False, True):
        size = sum(
            stored_size(source.grids[n], coded) if n in source.grids else graph.tensors[n].size
            for n in names
        )
        yield "the file's grids, coded" if coded else "the file's grids", 8 * size / count, {}
    yield "int8 per channel", 8.0, {n: per_channel(graph.tensors[n]).reals() for n in names}
    for bits in (2, 3, 4):
        made = {n: groups(graph.tensors[n], bits) for n in names}
        yield f"plain groups, {bits} bits", bits + 32 / GROUP, made
    for kind in KINDS:
        which = gguf.GGMLQuantizationType[kind]
        block, size = gguf.GGML_QUANT_SIZES[which]
        made = {
            n: gguf.quants.dequantize(gguf.quants.quantize(graph.tensors[n], which), which)
            for n in names
        }
        yield f"GGUF {kind}", 8 * size / block, made


def groups(weights: Real, bits: int) -> Real:
    """Groups of inputs, each with a float16 scale and minimum, rounded plainly."""
    parts = weights.reshape(len(weights), -1, GROUP)
    minimum = parts.min(axis=-1, keepdims=True).astype(np.float16).astype(np.float32)
    most = np.float32(2**bits - 1)
    step = ((parts.max(axis=-1, keepdims=True) - minimum) / most).astype(np.float16)
    scale = np.where(step > 0, step, np.float16(1)).astype(np.float32)
    found: Real = np.clip(np.rint((parts - minimum) / scale), 0, most) * scale + minimum
    return found.reshape(weights.shape)


def draw(rows: Sequence[Row], path: Path, tokens: int) -> None:
    """The frontier as a picture."""
    figure = Figure(figsize=(7.5, 4.8), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for way in dict.fromkeys(row.way for row in rows if row.way.startswith("allotted")):
        some = [row for row in rows if row.way == way]
        axes.plot([r.relative for r in some], [100 * r.change for r in some], marker="o", label=way)
    others = [row for row in rows if not row.way.startswith("allotted") and row.change < 0.6]
    for row in others:
        axes.plot([row.relative], [100 * row.change], "k.")
        beside = row.way.startswith("plain")  # where one of GGUF's kinds is, too
        up = -3 if beside else -11 if row.way.endswith("coded") else 5
        axes.annotate(
            row.way, (row.relative, 100 * row.change), fontsize=8,
            ha="right" if beside else "center", xytext=(-6 if beside else 0, up),
            textcoords="offset points",
        )  # fmt: skip
    axes.axhline(3, color="grey", linestyle=":")
    axes.axvline(0.4, color="grey", linestyle=":")
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(-0.5, 60)
    axes.set_yticks([0, 1, 3, 10, 30], ["0", "1", "3", "10", "30"])
    axes.margins(x=0.08)
    axes.set_xlabel("bytes of weights per token, of int8")
    axes.set_ylabel("perplexity, %")
    axes.set_title(f"Weights alone, {tokens:,} tokens; dotted: 0.40 and +3 %")
    axes.legend()
    figure.savefig(path)


if __name__ == "__main__":
    main()
