"""Compares a converted network with its original, and its engines with the reference."""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from sangbo._version import __version__
from sangbo.agreement import Contender, agree, contenders
from sangbo.certificate import DEFAULT_ALLOWED, Certificate, Comparison
from sangbo.convert import Settings, written
from sangbo.convert.layers import measure_layers, recorded
from sangbo.engines import Reference, Segment
from sangbo.engines.base import Engine, Index, Real
from sangbo.errors import SangboError
from sangbo.graph import GRAPH_FILE, WEIGHTS_FILE
from sangbo.network import Network
from sangbo.progress import Progress, silent
from sangbo.sources import Source, open_source
from sangbo.sources.source import sha256_of
from sangbo.tasks.language import (
    Mean,
    divergence,
    log_softmax,
    row_blocks,
    whole_reading,
    windows,
)

CONTEXT = 512
"""Tokens of a window, where the network reads that many."""
LAYER_TOKENS = 512
"""Tokens on which the errors of layers are measured."""
ROUNDING_TOKENS = 32
"""Tokens on which the effect of the order of additions is measured."""
ROUNDING_MARGIN = 4.0
"""How many times that effect another machine may differ by."""
WRITTEN, GIVEN = "written by the original", "given"


def verify(
    network: Network,
    text: str | None = None,
    *,
    original: Source | None = None,
    tokens: int | None = None,
    allowed: float = DEFAULT_ALLOWED,
    engines: Mapping[str, Contender] | None = None,
    progress: Progress = silent,
) -> Certificate:
    """Compare ``network`` with its original on ``text``, and its engines with the reference.

    The limits that it must hold: ``allowed`` for the task's metric; and where the conversion has
    recorded what it measured on text that it was not fitted to,
    `sangbo.certificate.divergence_limit` of that divergence and, in every layer,
    `sangbo.certificate.layer_limit` of that error. No value may differ between engines.

    Args:
        network: what was converted.
        text: prose that was not used in calibration; without one the original network writes
            some, from another seed than the calibration's.
        original: the network it came from; read from where it came if not given.
        tokens: most tokens of the text to predict; all by default.
        allowed: largest relative change of perplexity that passes.
        engines: engines that are compared with the reference; all of
            `sangbo.agreement.contenders` by default.
        progress: told how far it is.

    Raises:
        SangboError: where the text is too short, or the original cannot be found.
    """
    source = original or original_of(network, progress)
    about: dict[str, Any]
    if text is None:
        seed = network.conversion.get("settings", {}).get("seed", 0) + 1
        settings = Settings(seed=seed)
        passages = first(written(source, settings, settings.sequences, progress), tokens)
        ids = [p.tolist() for p in passages]
        about = {"kind": WRITTEN, "seed": seed, "ids": ids}
    else:
        passages = first(given_passages(network, text), tokens)
        about = {"kind": GIVEN, "text_sha256": hashlib.sha256(text.encode()).hexdigest()}
    context = min(CONTEXT, network.context)
    chosen = contenders() if engines is None else engines
    return certify(
        network, source, passages, about, context, LAYER_TOKENS, chosen, allowed, progress
    )


def certify(
    network: Network,
    source: Source,
    passages: Sequence[Index],
    about: Mapping[str, Any],
    context: int,
    layer_tokens: int,
    engines: Mapping[str, Contender],
    allowed: float,
    progress: Progress,
) -> Certificate:
    """The certificate of ``network`` on the tokens of ``passages``.

    Args:
        network: the converted network.
        source: its original.
        passages: token ids of each text.
        about: where they are from; goes into the record.
        context: tokens of a window.
        layer_tokens: most tokens on which layers are measured.
        engines: engines that are compared with the reference, by name.
        allowed: largest relative change of perplexity that passes.
        progress: told how far it is.
    """
    reference = Reference(source.graph)
    rounding = measure_rounding(reference, passages[0])
    comparison = compare(reference, network.engine, passages, context, rounding, progress)
    measured = measure_layers(
        source.graph, network.graph, first(passages, layer_tokens), context, progress
    )
    agreements = {
        name: agree(network.graph, engine, first(passages, engine.tokens), context, progress)
        for name, engine in engines.items()
    }
    record = {
        "original": {
            "name": source.graph.name,
            **source.origin,
            "graph_sha256": source.graph.sha256(),
        },
        "expected_original_sha256": network.conversion.get("original_sha256"),
        "converted": {
            "name": network.graph.name,
            "graph_sha256": network.graph.sha256(),
            "files": _file_hashes(network),
            "settings": network.conversion.get("settings", {}),
        },
        "text": {
            **about,
            "tokens": sum(len(p) for p in passages),
            "sha256": hashlib.sha256(b"".join(p.tobytes() for p in passages)).hexdigest(),
        },
        "context": context,
        "versions": {
            "sangbo": __version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "instruction_set": network.engine.isa,
        "machine": f"{platform.system()} {platform.machine()}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return Certificate(
        comparison,
        measured.layers,
        measured.tokens,
        agreements,
        allowed,
        recorded(network.conversion),
        rounding,
        record,
    )


def compare(
    original: Engine[Any],
    converted: Engine[Any],
    passages: Sequence[Index],
    context: int = CONTEXT,
    rounding: float = 0.0,
    progress: Progress = silent,
) -> Comparison:
    """Perplexities, agreement and divergence of two engines on texts, cut into windows.

    Args:
        original: engine of the original network.
        converted: engine of the converted one.
        passages: token ids of each text.
        context: tokens of a window.
        rounding: what `measure_rounding` found, for the share of close calls.
        progress: told the share that is done.

    Raises:
        SangboError: where a network predicts nothing finite.
    """
    losses = np.zeros(2)
    agreed, close, lost = 0, 0, Mean()
    digest = hashlib.sha256()
    total = sum(len(p) - 1 for p in passages)
    for read, following in (w for p in passages for w in windows(p, context)):
        progress("comparing", lost.count / total)
        logits = [_logits(e, read) for e in (original, converted)]
        digest.update(np.ascontiguousarray(logits[1]).data)
        before, after = (log_softmax(x) for x in logits)
        rows = np.arange(len(following))
        losses -= [before[rows, following].sum(), after[rows, following].sum()]
        agreed += int((before.argmax(axis=-1) == after.argmax(axis=-1)).sum())
        likeliest = np.partition(before, -2, axis=-1)[:, -2:]
        close += int((likeliest[:, 1] - likeliest[:, 0] <= 2 * ROUNDING_MARGIN * rounding).sum())
        lost.add(divergence(before, after))
    count = lost.count
    if not (np.isfinite(losses).all() and losses.max() / count < math.log(np.finfo(float).max)):
        raise SangboError(f"expected finite predictions, found losses of {losses / count}")
    old, new = (math.exp(loss / count) for loss in losses)
    return Comparison(
        count, old, new, agreed / count, lost.mean, lost.error, close / count, digest.hexdigest()
    )


def measure_rounding(engine: Engine[Any], tokens: Index) -> float:
    """Largest change of a next token's log-probability, in nats, by the order of additions alone.

    The float network reads a few tokens in one piece and then one by one. Matrix products of one
    row add in another order than those of many, as they also do on another machine.
    """
    read = tokens[: ROUNDING_TOKENS + 1]
    found = []
    for rows in (len(read) - 1, 1):
        cache = engine.cache(len(read))
        runs = [engine.run(i, [Segment(cache, rows)]) for i in row_blocks(read[:-1], rows)]
        found.append(log_softmax(np.concatenate([r["logits"] for r in runs])))
    each = np.arange(len(read) - 1)
    return float(np.abs(found[0][each, read[1:]] - found[1][each, read[1:]]).max())


def first(passages: Iterable[Index], tokens: int | None) -> list[Index]:
    """As much of ``passages`` as predicts at most ``tokens`` tokens."""
    if tokens is None:
        return list(passages)
    kept, left = [], tokens
    for passage in passages:
        if left > 0:
            kept.append(passage[: left + 1])
            left -= len(kept[-1]) - 1
    return kept


def given_passages(network: Network, text: str) -> list[Index]:
    """The tokens of a given text, as one passage."""
    return [np.asarray(network.text_tokenizer().encode(text), np.int32)]


def original_of(network: Network, progress: Progress) -> Source:
    """The network that ``network`` was made from, read from where it came."""
    spec = network.conversion.get("origin", {}).get("spec")
    if not isinstance(spec, str):
        raise SangboError("expected the network to say where its original is, found nothing")
    return open_source(spec, progress)


def _logits(engine: Engine[Any], tokens: Index) -> Real:
    segment = Segment(engine.cache(len(tokens)), len(tokens))
    logits: Real = engine.run(whole_reading(tokens), [segment])["logits"]
    return logits


def _file_hashes(network: Network) -> dict[str, str]:
    if network.folder is None:
        return {}
    return {name: sha256_of(network.folder / name) for name in (GRAPH_FILE, WEIGHTS_FILE)}
