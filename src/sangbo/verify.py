"""The certificate: original against converted network, and engine against engine."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from sangbo._version import __version__
from sangbo.convert import Settings, texts
from sangbo.engines import Reference, Segment
from sangbo.engines.base import Engine, Index, Real
from sangbo.errors import SangboError
from sangbo.graph import Graph
from sangbo.network import Network
from sangbo.progress import Progress, silent
from sangbo.sources import Source, open_source
from sangbo.tasks.language import log_softmax, whole_reading, windows

CERTIFICATE_FILE = "certificate.json"
CONTEXT = 512
"""Tokens of a window, where the network reads that many."""
ENGINE_TOKENS = 1024
"""Tokens on which the engines are compared with the reference, which is slow."""
DEFAULT_ALLOWED = 0.02
"""Largest relative change of perplexity that passes, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one text showed, over all tokens that were predicted.

    Attributes:
        tokens: how many.
        original: perplexity of the original network.
        converted: perplexity of the converted one.
        top1_agreement: share of tokens where both find the same token likeliest.
        kl_divergence: mean Kullback–Leibler divergence, original from converted, in nats.
    """

    tokens: int
    original: float
    converted: float
    top1_agreement: float
    kl_divergence: float

    @property
    def relative_change(self) -> float:
        """Change of perplexity, as a share of the original's."""
        return self.converted / self.original - 1


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many values two engines gave, and how many differ in any bit."""

    compared: int
    different: int


@dataclass(frozen=True, slots=True)
class Certificate:
    """The signed-off comparison of original and converted network.

    Attributes:
        comparison: what the text showed.
        engines: agreement of each other engine with the reference, by its name.
        allowed: largest relative change of perplexity that passes.
        record: versions, hashes and settings, JSON values.
    """

    comparison: Comparison
    engines: Mapping[str, Agreement]
    allowed: float
    record: Mapping[str, Any]

    @property
    def passed(self) -> bool:
        """Whether the change is within what is allowed and no engine differs anywhere."""
        change = self.comparison.relative_change
        return change <= self.allowed and not any(a.different for a in self.engines.values())

    def to_dict(self) -> dict[str, Any]:
        """The certificate as JSON values."""
        c = self.comparison
        return {
            "original": self.record["original"],
            "converted": self.record["converted"],
            "text": self.record["text"],
            "versions": self.record["versions"],
            "instruction_set": self.record["instruction_set"],
            "date": self.record["date"],
            "tokens": c.tokens,
            "context": self.record["context"],
            "perplexity": {
                "original": c.original,
                "converted": c.converted,
                "relative_change": c.relative_change,
            },
            "allowed_relative_change": self.allowed,
            "top1_agreement": c.top1_agreement,
            "kl_divergence": c.kl_divergence,
            "engines": {
                n: {"compared": a.compared, "different": a.different}
                for n, a in self.engines.items()
            },
            "passed": self.passed,
        }

    def to_markdown(self) -> str:
        """The certificate as a table."""
        c = self.comparison
        rows = [
            ("tokens compared", f"{c.tokens}"),
            ("perplexity, original", f"{c.original:.3f}"),
            ("perplexity, converted", f"{c.converted:.3f}"),
            ("change", f"{c.relative_change:+.2%} (allowed {self.allowed:+.2%})"),
            ("top-1 agreement", f"{c.top1_agreement:.2%}"),
            ("KL divergence", f"{c.kl_divergence:.4f} nats"),
            *(
                (f"{name} against reference", f"{a.different} of {a.compared} values differ")
                for name, a in self.engines.items()
            ),
            ("verdict", "holds" if self.passed else "DOES NOT HOLD"),
        ]
        width = max(len(name) for name, _ in rows)
        values = max(len(value) for _, value in rows)
        lines = [f"| {name:<{width}} | {value:<{values}} |" for name, value in rows]
        return "\n".join(
            [
                f"| {'':<{width}} | {'':<{values}} |",
                f"|{'-' * (width + 2)}|{'-' * (values + 2)}|",
                *lines,
            ]
        )

    def __str__(self) -> str:
        return self.to_markdown()


def verify(
    network: Network,
    text: str | None = None,
    *,
    original: Source | None = None,
    tokens: int | None = None,
    allowed: float = DEFAULT_ALLOWED,
    progress: Progress = silent,
) -> Certificate:
    """Compare ``network`` with its original on ``text``, and its engines with the reference.

    Args:
        network: what was converted.
        text: prose that was not used in calibration; without one the original network writes
            some, from another seed than the calibration's.
        original: the network it came from; read from where it came if not given.
        tokens: most tokens of the text to predict; all by default.
        allowed: largest relative change of perplexity that passes.
        progress: told how far it is.

    Raises:
        SangboError: where the text is too short, or the original cannot be found.
    """
    source = original or _original(network, progress)
    if text is None:
        seed = network.conversion.get("settings", {}).get("seed", 0) + 1
        passages = texts(source, Settings(seed=seed), None, progress)
    else:
        passages = [np.asarray(network.text_tokenizer().encode(text), np.int32)]
    passages = _first(passages, tokens)
    context = min(CONTEXT, network.context)
    engine = network.engine
    comparison = compare(Reference(source.graph), engine, passages, context, progress)
    sample = _first(passages, ENGINE_TOKENS)
    agreement = agree(Reference(network.graph), engine, sample, context, progress)
    record = {
        "context": context,
        "original": {"name": source.graph.name, **source.origin},
        "converted": {
            "name": network.graph.name,
            "sha256": graph_hash(network.graph),
            "settings": network.conversion.get("settings", {}),
        },
        "text": {
            "kind": "written by the original" if text is None else "given",
            "tokens": sum(len(p) for p in passages),
            "sha256": hashlib.sha256(b"".join(p.tobytes() for p in passages)).hexdigest(),
        },
        "instruction_set": engine.isa,
        "versions": {
            "sangbo": __version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return Certificate(comparison, {"native": agreement}, allowed, record)


def _first(passages: Sequence[Index], tokens: int | None) -> list[Index]:
    """As much of ``passages`` as predicts at most ``tokens`` tokens."""
    if tokens is None:
        return list(passages)
    kept, left = [], tokens
    for passage in passages:
        if left > 0:
            kept.append(passage[: left + 1])
            left -= len(kept[-1]) - 1
    return kept


def compare(
    original: Engine[Any],
    converted: Engine[Any],
    passages: Sequence[Index],
    context: int = CONTEXT,
    progress: Progress = silent,
) -> Comparison:
    """Perplexities, agreement and divergence of two engines on texts, cut into windows."""
    losses = np.zeros(2)
    agreed, divergence, count = 0, 0.0, 0
    total = sum(len(p) - 1 for p in passages)
    for read, following in (w for p in passages for w in windows(p, context)):
        progress("comparing", count / total)
        first, second = (log_softmax(_logits(e, read)) for e in (original, converted))
        rows = np.arange(len(following))
        losses -= [first[rows, following].sum(), second[rows, following].sum()]
        agreed += int((first.argmax(axis=-1) == second.argmax(axis=-1)).sum())
        divergence += float((np.exp(first) * (first - second)).sum())
        count += len(following)
    before, after = (math.exp(loss / count) for loss in losses)
    return Comparison(count, before, after, agreed / count, divergence / count)


def agree(
    reference: Engine[Any],
    other: Engine[Any],
    passages: Sequence[Index],
    context: int,
    progress: Progress = silent,
) -> Agreement:
    """How many logits two engines give on texts, and how many differ in any bit."""
    compared = different = 0
    pieces = [read for p in passages for read, _ in windows(p, context)]
    for step, read in enumerate(pieces):
        progress("comparing engines", step / len(pieces))
        first, second = (_logits(e, read).view(np.uint32) for e in (reference, other))
        compared += first.size
        different += int((first != second).sum())
    return Agreement(compared, different)


def _logits(engine: Engine[Any], tokens: Index) -> Real:
    segment = Segment(engine.cache(len(tokens)), len(tokens))
    logits: Real = engine.run(whole_reading(tokens), [segment])["logits"]
    return logits


def graph_hash(graph: Graph) -> str:
    """SHA-256 over operations and tensors, the same for the same network wherever it lies."""
    digest = hashlib.sha256()
    for operation in graph.operations:
        digest.update(repr(operation).encode())
    for name in sorted(graph.tensors):
        tensor = np.ascontiguousarray(graph.tensors[name])
        digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
        digest.update(tensor.data)
    return digest.hexdigest()


def write_certificate(certificate: Certificate, folder: Path) -> Path:
    """Write ``certificate.json`` into ``folder`` in one step."""
    path = folder / CERTIFICATE_FILE
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text(json.dumps(certificate.to_dict(), indent=1) + "\n", encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise SangboError(f"expected to write {path}: {error}") from None
    return path


def _original(network: Network, progress: Progress) -> Source:
    spec = network.conversion.get("origin", {}).get("spec")
    if not isinstance(spec, str):
        raise SangboError("expected the network to say where its original is, found nothing")
    return open_source(spec, progress)
