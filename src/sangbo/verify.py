"""Compares a converted network with its original, and its engines with the reference."""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np

from sangbo._version import __version__
from sangbo.agreement import Contender, agree, contenders
from sangbo.certificate import DEFAULT_ALLOWED, Certificate, Comparison
from sangbo.convert import Settings, written
from sangbo.convert.layers import measure_layers, promised
from sangbo.engines import Reading, Reference
from sangbo.engines.base import Engine, Index
from sangbo.errors import SangboError
from sangbo.graph import GRAPH_FILE, WEIGHTS_FILE
from sangbo.network import Network
from sangbo.progress import Progress, silent
from sangbo.sources import Source, open_source
from sangbo.sources.source import sha256_of
from sangbo.tasks import Task, task_of
from sangbo.tasks.language import Mean, Text, windows

CONTEXT = 512
"""Tokens of a window, where the network reads that many."""
LAYER_TOKENS = 512
"""Tokens on which the errors of layers are measured."""
ROUNDING_TOKENS = 32
"""Tokens on which the effect of the order of additions is measured."""
ROUNDING_MARGIN = 4.0
"""How many times that effect another machine may differ by."""
WRITTEN, GIVEN = "written by the original", "given"


class Material(Protocol):
    """What a certificate is made on."""

    @property
    def context(self) -> int:
        """Most rows, or samples, that are read at once."""

    def readings(self, most: int | None = None) -> list[Reading]:
        """As much of it as is at most ``most`` tokens or samples; all by default."""

    def record(self) -> dict[str, Any]:
        """How much it is, and its hash; JSON values."""


@dataclass(frozen=True, slots=True)
class Passages:
    """Texts as token ids, read in windows of ``context`` tokens."""

    ids: Sequence[Index]
    context: int = CONTEXT

    def readings(self, most: int | None = None) -> list[Reading]:
        """Windows that predict at most ``most`` tokens."""
        return [w for p in first(self.ids, most) for w in windows(p, self.context)]

    def record(self) -> dict[str, Any]:
        """Tokens and the hash of their ids."""
        digest = hashlib.sha256(b"".join(p.tobytes() for p in self.ids))
        return {"tokens": sum(len(p) for p in self.ids), "sha256": digest.hexdigest()}


@dataclass(frozen=True, slots=True)
class Data:
    """Readings as they are."""

    given: Sequence[Reading]

    @property
    def context(self) -> int:
        """Size of the largest."""
        return max(reading.size for reading in self.given)

    def readings(self, most: int | None = None) -> list[Reading]:
        """The first of them; samples of one are taken apart where that is needed."""
        kept: list[Reading] = []
        left = sum(r.size for r in self.given) if most is None else most
        for reading in self.given:
            for piece in [reading] if reading.size <= left else reading.pieces(max(1, left)):
                if left <= 0 and kept:
                    break
                kept.append(piece)
                left -= piece.size
        return kept

    def record(self) -> dict[str, Any]:
        """Tokens or samples, and the hash of all inputs and targets."""
        digest = hashlib.sha256()
        for reading in self.given:
            for name in sorted(reading.inputs):
                digest.update(name.encode() + np.ascontiguousarray(reading.inputs[name]).tobytes())
            if reading.targets is not None:
                digest.update(np.ascontiguousarray(reading.targets).tobytes())
        return {"tokens": sum(r.size for r in self.given), "sha256": digest.hexdigest()}


def verify(
    network: Network,
    text: str | Sequence[Reading] | None = None,
    *,
    original: Source | None = None,
    task: Task | None = None,
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
        text: prose or readings that were not used in calibration; without them the original network
            makes some, from another seed than the calibration's.
        original: the network it came from; read from where it came if not given.
        task: what the network is for; the one that its graph states by default.
        tokens: most tokens of the text to predict, or samples; all by default.
        allowed: largest relative change of perplexity that passes.
        engines: engines that are compared with the reference; all of
            `sangbo.agreement.contenders` by default.
        progress: told how far it is.

    Raises:
        SangboError: where the text is too short, or the original cannot be found.
    """
    source = original or original_of(network, progress)
    task = task or task_of(source.graph)
    chosen = contenders() if engines is None else engines
    about: dict[str, Any] = {"kind": GIVEN}
    material: Material
    if isinstance(text, str):
        about["text_sha256"] = hashlib.sha256(text.encode()).hexdigest()
        material = Passages(first(given_passages(network, text), tokens), _window(network))
    elif text is not None:
        material = Data(Data(text).readings(tokens))
    else:
        seed = network.conversion.get("settings", {}).get("seed", 0) + 1
        settings = Settings(seed=seed)
        made = written(source, settings, settings.sequences, progress, task)
        about = {"kind": WRITTEN, "seed": seed}
        material = Data(Data(made).readings(tokens))
        if all(isinstance(reading, Text) for reading in made):
            passages = first([reading.inputs["tokens"] for reading in made], tokens)
            about["ids"] = [p.tolist() for p in passages]
            material = Passages(passages, _window(network))
    return certify(network, source, material, about, LAYER_TOKENS, chosen, allowed, progress, task)


def _window(network: Network) -> int:
    return min(CONTEXT, network.context)


def certify(
    network: Network,
    source: Source,
    material: Material,
    about: Mapping[str, Any],
    layer_tokens: int,
    engines: Mapping[str, Contender],
    allowed: float,
    progress: Progress,
    task: Task | None = None,
) -> Certificate:
    """The certificate of ``network`` on ``material``.

    Args:
        network: the converted network.
        source: its original.
        material: what both read.
        about: where it is from; goes into the record.
        layer_tokens: most tokens or samples on which layers are measured.
        engines: engines that are compared with the reference, by name.
        allowed: largest relative change of perplexity that passes.
        progress: told how far it is.
        task: what the network is for; the one that its graph states by default.
    """
    reference, task = Reference(source.graph), task or task_of(source.graph)
    readings = material.readings()
    rounding = measure_rounding(reference, material.readings(ROUNDING_TOKENS)[0], task)
    comparison = compare(reference, network.engine, readings, rounding, progress, task)
    measured = measure_layers(
        source.graph, network.graph, material.readings(layer_tokens), task, progress
    )
    agreements = {
        name: agree(network.graph, engine, material.readings(engine.tokens), progress)
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
        "task": task.name,
        "text": {**about, **material.record()},
        "context": material.context,
        "versions": {
            "sangbo": __version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "instruction_set": getattr(network.engine, "isa", "none"),
        "machine": f"{platform.system()} {platform.machine()}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return Certificate(
        comparison,
        measured.layers,
        measured.tokens,
        agreements,
        allowed,
        promised(network.conversion),
        rounding,
        record,
    )


def compare(
    original: Engine[Any],
    converted: Engine[Any],
    readings: Sequence[Reading],
    rounding: float = 0.0,
    progress: Progress = silent,
    task: Task | None = None,
) -> Comparison:
    """Perplexities, agreement and divergence of two engines on ``readings``.

    Where a reading states no targets, the answers that the original finds likeliest are taken.

    Args:
        original: engine of the original network.
        converted: engine of the converted one.
        readings: what both read.
        rounding: what `measure_rounding` found, for the share of close calls.
        progress: told the share that is done.
        task: what the network is for; the one that the original's graph states by default.

    Raises:
        SangboError: where a network predicts nothing finite.
    """
    task = task or task_of(original.graph)
    output, likelihood = task.output(original.graph), task.likelihood(original.graph)
    losses = np.zeros(2)
    agreed, close, lost = 0, 0, Mean()
    digest = hashlib.sha256()
    for step, reading in enumerate(readings):
        progress("comparing", step / len(readings))
        before, after = (reading.run(e)[output] for e in (original, converted))
        digest.update(np.ascontiguousarray(after).data)
        targets = likelihood.answers(before) if reading.targets is None else reading.targets
        losses += [likelihood.loss(x, targets).sum() for x in (before, after)]
        agreed += likelihood.agreed(before, after)
        close += likelihood.close(before, 2 * ROUNDING_MARGIN * rounding)
        lost.add(likelihood.divergence(before, after))
    count = lost.count
    if not (np.isfinite(losses).all() and losses.max() / count < math.log(np.finfo(float).max)):
        raise SangboError(f"expected finite predictions, found losses of {losses / count}")
    old, new = (math.exp(loss / count) for loss in losses)
    return Comparison(
        count, old, new, agreed / count, lost.mean, lost.error, close / count, digest.hexdigest()
    )


def measure_rounding(engine: Engine[Any], reading: Reading, task: Task | None = None) -> float:
    """Largest change of an answer's log-probability, in nats, by the order of additions alone.

    The float network reads a few tokens in one piece and then one by one, or samples. Matrix
    products of one row add in another order than those of many, as they also do on another machine.
    """
    task = task or task_of(engine.graph)
    output, likelihood = task.output(engine.graph), task.likelihood(engine.graph)
    whole = reading.run(engine)[output]
    caches = reading.caches(engine)
    parts = [engine.run(p.inputs, p.segments(caches))[output] for p in reading.pieces(1)]
    targets = likelihood.answers(whole) if reading.targets is None else reading.targets
    found = [likelihood.loss(x, targets) for x in (whole, np.concatenate(parts))]
    return float(np.abs(found[0] - found[1]).max())


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


def _file_hashes(network: Network) -> dict[str, str]:
    if network.folder is None:
        return {}
    return {name: sha256_of(network.folder / name) for name in (GRAPH_FILE, WEIGHTS_FILE)}
