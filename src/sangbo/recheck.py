"""Checks a certificate again: the same hashes and integers exactly, reals within tolerances.

The converted network gives the same bits on every machine, so its logits' hash and every count must
be the same; its perplexity is summed from the same bits in float64, where only the last digits of
exp and log may differ. The original runs in float32 in whatever order the machine's matrix products
add, so what depends on it may differ, by as much as the certificate itself has measured: see
`tolerance`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sangbo.agreement import Contender, contenders
from sangbo.certificate import FORMAT, LARGEST_FILE, SIGNIFICANT, Certificate
from sangbo.engines import Reading
from sangbo.engines.base import Index
from sangbo.errors import CertificateError, SangboError
from sangbo.graph import LARGEST_LEVEL
from sangbo.network import Network
from sangbo.progress import Progress, silent
from sangbo.sources import Source
from sangbo.tasks import Task
from sangbo.verify import (
    GIVEN,
    ROUNDING_MARGIN,
    WRITTEN,
    Data,
    Material,
    Passages,
    certify,
    first,
    given_passages,
    original_of,
)

LARGEST_ROUNDING = 1e-3
"""Most that a certificate may claim for rounding, in nats: above that it justifies anything."""
LARGEST_CLOSE = 0.05
"""Largest share of close calls that a certificate may claim, for the same reason."""
SAME_BITS = 1e-9
"""Relative difference of a float64 figure computed from the same bits by another mathematics
library: its exp and log may differ in the last of 16 digits, summed over all tokens."""
LAYER_TOLERANCE = 1e-4
"""Difference of a layer's error, a share; from one set of BLAS kernels to another it was 7e-6."""
MOST_TOKENS = 2**24
MOST_LEAVES = 2**20
_UNCHECKED = (
    "versions", "instruction_set", "machine", "date", "rounding", "failures", "passed",
)  # fmt: skip
"""What may differ: where and when it was made, and what follows from the rest."""
_LEAVES: Mapping[str, type] = {
    "format": int, "tokens": int, "context": int, "layer_tokens": int, "rounding": float,
    "allowed_relative_change": float, "perplexity/original": float, "perplexity/converted": float,
    "top1_agreement": float, "close_calls": float, "kl_divergence": float, "kl_error": float,
    "logits_sha256": str, "text/kind": str, "text/sha256": str, "text/tokens": int,
    "original/graph_sha256": str, "converted/graph_sha256": str, "passed": bool,
}  # fmt: skip
"""What a certificate must hold, whatever else it holds."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One line of a certificate that is not found again.

    Attributes:
        line: where, as ``perplexity/original``.
        expected: what the certificate says; None where it says nothing.
        found: what was found now; None where nothing was.
        tolerance: how far apart they may be; 0 for what must be the same.
    """

    line: str
    expected: Any
    found: Any
    tolerance: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The difference as JSON values."""
        return {
            "line": self.line,
            "expected": self.expected,
            "found": self.found,
            "tolerance": self.tolerance,
        }

    def __str__(self) -> str:
        within = f" (within {self.tolerance:.2g})" if self.tolerance else ""
        return f"{self.line}: expected {_short(self.expected)}{within}, found {_short(self.found)}"


@dataclass(frozen=True, slots=True)
class Recheck:
    """What checking a certificate again found.

    Attributes:
        certificate: the new one.
        differences: every line that is not as it was.
        elsewhere: lines that differ and may: versions, machine.
        compared: how many lines were compared.
    """

    certificate: Certificate
    differences: tuple[Difference, ...]
    elsewhere: tuple[Difference, ...]
    compared: int

    @property
    def passed(self) -> bool:
        """Whether the certificate was found again, and holds."""
        return not self.differences and self.certificate.passed

    def to_dict(self) -> dict[str, Any]:
        """The new certificate, and what differs from the old, as JSON values."""
        return self.certificate.to_dict() | {
            "against": {
                "compared": self.compared,
                "differences": [d.to_dict() for d in self.differences],
                "elsewhere": [d.to_dict() for d in self.elsewhere],
            },
            "passed": self.passed,
        }

    def __str__(self) -> str:
        lines = [f"{len(self.differences)} of {self.compared} lines differ"]
        lines += [f"  {d}" for d in self.differences]
        if self.elsewhere:
            lines += ["made elsewhere:", *(f"  {d}" for d in self.elsewhere)]
        return "\n".join(lines)


def read_certificate(path: Path) -> dict[str, Any]:
    """The JSON of a certificate, checked to hold what a re-check needs.

    Raises:
        CertificateError: where the file is missing, too large, no JSON, or not a certificate.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise CertificateError(f"expected {path} to be at most {LARGEST_FILE} bytes")
        document = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except OSError as error:
        raise CertificateError(f"expected to read {path}, found: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise CertificateError(f"expected {path} to hold JSON: {error}") from None
    try:
        check_certificate(document)
    except CertificateError as error:
        raise CertificateError(f"{path}: {error}") from None
    return dict(document)


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _refuse(constant: str) -> float:
    raise ValueError(f"found {constant}")


def check_certificate(document: Any) -> None:
    """Raise `CertificateError` unless ``document`` is a certificate that can be checked again."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise CertificateError(f"expected a certificate of format {FORMAT}, found another file")
    leaves = dict(flatten(document))
    for name, kind in _LEAVES.items():
        value = leaves.get(name)
        good = type(value) in (int, float) if kind is float else type(value) is kind
        if not good:
            raise CertificateError(f"expected {name} to be a {kind.__name__}, found {value!r}")
        if isinstance(value, float) and not math.isfinite(value):
            raise CertificateError(f"expected {name} to be finite, found {value}")
    for name in ("tokens", "context", "layer_tokens", "text/tokens"):
        if not 0 < leaves[name] <= MOST_TOKENS:
            raise CertificateError(f"expected {name} of 1 to {MOST_TOKENS}, found {leaves[name]}")
    for name in ("perplexity/original", "perplexity/converted"):
        if not leaves[name] >= 1:
            raise CertificateError(f"expected {name} of 1 or more, found {leaves[name]}")
    if not 0 <= leaves["rounding"] <= LARGEST_ROUNDING:
        raise CertificateError(
            f"expected rounding of 0 to {LARGEST_ROUNDING} nats, found {leaves['rounding']}"
        )
    if not 0 <= leaves["close_calls"] <= LARGEST_CLOSE:
        raise CertificateError(
            f"expected close_calls of 0 to {LARGEST_CLOSE}, found {leaves['close_calls']}"
        )
    if leaves["text/kind"] not in (WRITTEN, GIVEN):
        raise CertificateError(f"expected a text {WRITTEN} or {GIVEN}, found another kind")
    if leaves["text/kind"] == WRITTEN:
        _check_ids(document["text"].get("ids"))
    engines_of(document.get("engines"))


def engines_of(engines: Any) -> dict[str, Contender]:
    """The engines that a certificate compared, in the forms and on as many tokens as it says.

    Raises:
        CertificateError: where it names others, or says it in another way.
    """
    known = contenders()
    if not isinstance(engines, dict) or not engines.keys() <= known.keys():
        raise CertificateError(f"expected engines of {', '.join(known)}, found {engines!r:.80}")
    found = {}
    for name, entry in engines.items():
        most = entry.get("tokens") if isinstance(entry, dict) else None
        if type(most) is not int or not 0 < most <= MOST_TOKENS:
            raise CertificateError(f"expected tokens of engine {name}, found {most!r:.80}")
        given = known[name]
        if "codes" in entry or given.settings:
            given = _codes_of(name, entry)
        found[name] = replace(given, tokens=most)
    return found


def _codes_of(name: str, entry: Mapping[str, Any]) -> Contender:
    """Engine ``name`` with the spike codes and steps of a certificate's entry."""
    codes, steps = entry.get("codes"), entry.get("rate_steps")
    names = [c.get("name") if isinstance(c, dict) else None for c in codes or ()]
    if not isinstance(codes, list) or len(set(map(str, names))) != len(names) or not names:
        raise CertificateError(f"expected codes of engine {name}, each once, found {codes!r:.80}")
    if type(steps) is not int or not 0 < steps <= LARGEST_LEVEL:
        raise CertificateError(f"expected rate_steps of engine {name}, found {steps!r:.80}")
    try:
        return contenders([str(n) for n in names], steps)[name]
    except SangboError as error:
        raise CertificateError(f"engine {name}: {error}") from None


def _check_ids(ids: Any) -> None:
    good = isinstance(ids, list) and ids and all(isinstance(p, list) and len(p) > 1 for p in ids)
    if not good or not all(type(i) is int and 0 <= i < 2**31 for p in ids for i in p):
        raise CertificateError("expected text.ids to be lists of token ids, found something else")


def recheck(
    network: Network,
    document: Mapping[str, Any],
    text: str | Sequence[Reading] | None = None,
    *,
    original: Source | None = None,
    task: Task | None = None,
    progress: Progress = silent,
) -> Recheck:
    """Do again what a certificate says was done, and list every line that is not found again.

    Args:
        network: the converted network.
        document: what `read_certificate` gave.
        text: the text or the readings of the certificate, where it was given them; a text that the
            original has written is in the certificate itself.
        original: the network it came from; read from where it came if not given.
        task: what the network is for; the one that its graph states by default.
        progress: told how far it is.

    Raises:
        CertificateError: where the text is missing or another.
        SangboError: where the original cannot be found.
    """
    check_certificate(document)
    about = dict(document["text"])
    material: Material
    passages: Sequence[Index] = []
    if text is not None and not isinstance(text, str):
        material = Data(Data(text).readings(about["tokens"]))
    elif about["kind"] == WRITTEN:
        passages = [np.asarray(p, np.int32) for p in about["ids"]]
        _check_vocabulary(passages, network)
    elif text is None:
        raise CertificateError(
            f"expected the text whose SHA-256 is {about.get('text_sha256')}, found none: "
            "give it with --text"
        )
    elif (sha := hashlib.sha256(text.encode()).hexdigest()) != about.get("text_sha256"):
        raise CertificateError(
            f"expected the text whose SHA-256 is {about.get('text_sha256')}, found {sha}"
        )
    else:
        passages = given_passages(network, text)
    if passages:
        context = min(document["context"], network.context)
        material = Passages(first(passages, document["tokens"]), context)
    fresh = {n: v for n, v in about.items() if n not in ("tokens", "sha256")}
    certificate = certify(
        network,
        original or original_of(network, progress),
        material,
        fresh,
        document["layer_tokens"],
        engines_of(document["engines"]),
        document["allowed_relative_change"],
        progress,
        task,
    )
    return against(certificate, document)


def against(certificate: Certificate, document: Mapping[str, Any]) -> Recheck:
    """Compare a new certificate with an old one's JSON, line by line."""
    expected, found = (dict(flatten(d)) for d in (document, certificate.to_dict()))
    differences, elsewhere, compared = [], [], 0
    for line in dict.fromkeys((*expected, *found)):
        old, new = expected.get(line), found.get(line)
        if line.split("/")[0] in _UNCHECKED:
            if old != new and line.split("/")[0] in ("versions", "instruction_set", "machine"):
                elsewhere.append(Difference(line, old, new))
            continue
        compared += 1
        allowed = tolerance(line, document)
        if not _same(old, new, allowed):
            differences.append(Difference(line, old, new, allowed))
    return Recheck(certificate, tuple(differences), tuple(elsewhere), compared)


def tolerance(line: str, document: Mapping[str, Any]) -> float:
    """How far apart the old and the new figure of a line may be; 0 for what must be the same.

    With r = `ROUNDING_MARGIN` times the rounding that the certificate has measured, in nats:

    * perplexity of the original, its relative change: r of the perplexity; KL divergence and its
      standard error: r; what is allowed of it: `SIGNIFICANT` r.
    * top-1 agreement: the share of close calls; the close calls: as many as there are, or one.
    * perplexity of the converted network: `SAME_BITS` of it.
    * errors of layers: `LAYER_TOLERANCE`.
    """
    r = ROUNDING_MARGIN * float(document["rounding"])
    before, after = (abs(float(document["perplexity"][n])) for n in ("original", "converted"))
    if line == "perplexity/converted":
        return SAME_BITS * after
    if line == "perplexity/original":
        return r * before
    if line == "perplexity/relative_change":
        return r * after / before
    if line in ("kl_divergence", "kl_error"):
        return r
    if line == "allowed_kl_divergence":
        return SIGNIFICANT * r
    if line in ("top1_agreement", "close_calls"):
        return max(float(document["close_calls"]), 1 / int(document["tokens"]))
    if line.startswith("layers/") and line.endswith(("/local", "/accumulated")):
        return LAYER_TOLERANCE
    return 0.0


def _same(old: Any, new: Any, allowed: float) -> bool:
    if allowed and type(old) in (int, float) and type(new) in (int, float):
        return bool(abs(old - new) <= allowed)
    return type(old) is type(new) and bool(old == new)


def _check_vocabulary(passages: Sequence[Any], network: Network) -> None:
    vocabulary = network.graph.values["logits"].channels
    largest = max(int(p.max()) for p in passages)
    if largest >= vocabulary:
        raise CertificateError(f"expected token ids below {vocabulary}, found {largest}")


def flatten(document: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of JSON values with the path to it; named things in lists go by their name.

    Raises:
        CertificateError: where there are more than `MOST_LEAVES` leaves or deep nesting.
    """
    stack, seen = [(path, document)], 0
    while stack:
        where, value = stack.pop()
        seen += 1
        if seen > MOST_LEAVES:
            raise CertificateError(f"expected at most {MOST_LEAVES} values, found more")
        if isinstance(value, dict):
            inner = [(str(n), v) for n, v in value.items()]
        elif isinstance(value, list):
            inner = [
                (str(v.get("name", i)) if isinstance(v, dict) else str(i), v)
                for i, v in enumerate(value)
            ]
        else:
            yield where, value
            continue
        stack += [(f"{where}/{n}" if where else n, v) for n, v in reversed(inner)]
