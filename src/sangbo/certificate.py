"""The certificate: what was compared, what is allowed, what was found; as an object and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sangbo.agreement import Agreement
from sangbo.convert.layers import Kind, LayerError, Measured
from sangbo.files import write_file

FORMAT = 1
CERTIFICATE_FILE = "certificate.json"
LARGEST_FILE = 64 * 2**20
MOST_NAMED = 5
"""Layers that are named where a certificate does not hold."""

DEFAULT_ALLOWED = 0.02
"""Largest relative change of perplexity that passes, unless told otherwise."""
DIVERGENCE_MARGIN = 1.5
"""How many times the mean divergence passes that the conversion measured, for texts differ."""
SIGNIFICANT = 3.0
"""Standard errors by which it must be exceeded, for both means are over few tokens."""
LAYER_MARGIN: Mapping[Kind, float] = MappingProxyType({"neuron": 2.0, "synaptic": 3.0})
"""How many times the local error passes that the conversion measured in a layer. From one text to
another those of neuron layers move by a fifth, those of attention by two thirds."""

LEAST_LIMIT = 1e-4
"""Local error that always passes: what was measured as nothing may come to a rounding elsewhere."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one text showed, over all tokens that were predicted.

    Attributes:
        tokens: how many.
        original: perplexity of the original network.
        converted: perplexity of the converted one.
        top1_agreement: share of tokens where both find the same token likeliest.
        kl_divergence: mean Kullback–Leibler divergence, original from converted, in nats.
        kl_error: standard error of that mean.
        close_calls: share of tokens whose two likeliest tokens are so near in the original that
            rounding could swap them.
        logits_sha256: of the converted network's logits, in order; the same on every machine.
    """

    tokens: int
    original: float
    converted: float
    top1_agreement: float
    kl_divergence: float
    kl_error: float = 0.0
    close_calls: float = 0.0
    logits_sha256: str = ""

    @property
    def relative_change(self) -> float:
        """Change of perplexity, as a share of the original's."""
        return self.converted / self.original - 1


@dataclass(frozen=True, slots=True)
class Limit:
    """What may be found at most, and what was found."""

    what: str
    allowed: float
    found: float

    @property
    def holds(self) -> bool:
        """Whether what was found is allowed; nothing that is not a number is."""
        return self.found <= self.allowed

    def to_dict(self) -> dict[str, Any]:
        """The limit as JSON values."""
        return {
            "what": self.what,
            "allowed": self.allowed,
            "found": self.found,
            "holds": self.holds,
        }

    def __str__(self) -> str:
        return f"{self.what}: expected at most {self.allowed:.4g}, found {self.found:.4g}"


@dataclass(frozen=True, slots=True)
class Certificate:
    """The signed-off comparison of original and converted network.

    Attributes:
        comparison: what the text showed.
        layers: error of every neuron layer and synaptic operation.
        layer_tokens: tokens on which they were measured.
        engines: agreement of each other engine with the reference, by its name.
        allowed: largest relative change of perplexity that passes.
        recorded: what the conversion promised; None where it measured nothing, and then there are
            no limits of its own.
        rounding: largest change of a token's log-probability, in nats, when the original adds up
            in another order; the measure of what another machine may find.
        record: versions, machine, hashes and settings; JSON values.
    """

    comparison: Comparison
    layers: Sequence[LayerError]
    layer_tokens: int
    engines: Mapping[str, Agreement]
    allowed: float
    recorded: Measured | None
    rounding: float
    record: Mapping[str, Any]

    @property
    def limits(self) -> list[Limit]:
        """Every limit, those of layers in the order of the network."""
        limits = [Limit("relative change of perplexity", self.allowed, self._change)]
        if self.recorded is None:
            return limits
        allowed = divergence_limit(self.recorded, self.comparison.kl_error)
        limits.append(Limit("KL divergence", allowed, self.comparison.kl_divergence))
        before = {layer.name: layer.local for layer in self.recorded.layers}
        limits += [
            Limit(layer.name, layer_limit(before[layer.name], layer.kind), layer.local)
            for layer in self.layers
            if layer.name in before
        ]
        return limits

    @property
    def _change(self) -> float:
        return self.comparison.relative_change

    @property
    def passed(self) -> bool:
        """Whether every limit holds, no engine differs and the original is the one converted."""
        return not self.failures()

    def failures(self) -> list[str]:
        """Why the certificate does not hold, the first engine's difference and worst layers named.

        Layers over their limits come with the furthest first. Where the whole network lost too much
        and no layer is over its limit, those that lose most are named.
        """
        lines = []
        expected = self.record["expected_original_sha256"]
        if expected not in (None, self.record["original"]["graph_sha256"]):
            lines.append(
                f"expected the original with SHA-256 {expected}, "
                f"found {self.record['original']['graph_sha256']}"
            )
        for name, agreement in self.engines.items():
            if agreement.different:
                lines.append(
                    f"engine {name}: expected no value to differ from the reference's, found "
                    f"{agreement.different} of {agreement.compared}, first at {agreement.first}"
                )
        names = {layer.name for layer in self.layers}
        broken = [limit for limit in self.limits if not limit.holds]
        lines += [str(limit) for limit in broken if limit.what not in names]
        over = sorted((b for b in broken if b.what in names), key=_excess, reverse=True)
        lines += [f"layer {limit}" for limit in over[:MOST_NAMED]]
        if len(over) > MOST_NAMED:
            lines.append(f"and {len(over) - MOST_NAMED} more layers over their limits")
        if broken and not over:
            worst = sorted(self.layers, key=lambda e: -e.local)[:MOST_NAMED]
            lines.append(
                "layers that lose most: "
                + ", ".join(f"{layer.name} ({layer.local:.2%})" for layer in worst)
            )
        return lines

    def to_dict(self) -> dict[str, Any]:
        """The certificate as JSON values."""
        c = self.comparison
        limits = {limit.what: limit.allowed for limit in self.limits}
        return {
            "format": FORMAT,
            **self.record,
            "tokens": c.tokens,
            "perplexity": {
                "original": c.original,
                "converted": c.converted,
                "relative_change": c.relative_change,
            },
            "allowed_relative_change": self.allowed,
            "top1_agreement": c.top1_agreement,
            "close_calls": c.close_calls,
            "kl_divergence": c.kl_divergence,
            "kl_error": c.kl_error,
            "allowed_kl_divergence": limits.get("KL divergence"),
            "logits_sha256": c.logits_sha256,
            "layer_tokens": self.layer_tokens,
            "layers": [
                layer.to_dict() | {"allowed": limits.get(layer.name)} for layer in self.layers
            ],
            "engines": {n: a.to_dict() for n, a in self.engines.items()},
            "rounding": self.rounding,
            "failures": self.failures(),
            "passed": self.passed,
        }

    def to_markdown(self) -> str:
        """The certificate as a table."""
        c = self.comparison
        worst = max(self.layers, key=lambda e: e.local)
        rows = [
            ("tokens compared", f"{c.tokens}"),
            ("perplexity, original", f"{c.original:.3f}"),
            ("perplexity, converted", f"{c.converted:.3f}"),
            ("change", f"{c.relative_change:+.2%} (allowed {self.allowed:+.2%})"),
            ("top-1 agreement", f"{c.top1_agreement:.2%}"),
            (
                "KL divergence",
                f"{c.kl_divergence:.4f} ± {c.kl_error:.4f} nats{self._allowed_divergence()}",
            ),
            ("layer that loses most", f"{worst.name} ({worst.local:.2%} by itself)"),
            ("layers over their limits", self._over()),
            *(
                (
                    f"{' '.join([name, *(f.name for f in a.forms if f.name)])} against reference",
                    f"{a.different} of {a.compared} values differ ({a.accumulators} accumulators)",
                )
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

    def _allowed_divergence(self) -> str:
        return "".join(
            f" (allowed {limit.allowed:.4f})"
            for limit in self.limits
            if limit.what == "KL divergence"
        )

    def _over(self) -> str:
        names = {layer.name for layer in self.layers}
        limits = [limit for limit in self.limits if limit.what in names]
        if not limits:
            return "none was recorded at conversion"
        return f"{sum(not limit.holds for limit in limits)} of {len(limits)}"

    def __str__(self) -> str:
        return self.to_markdown()


def divergence_limit(recorded: Measured, error: float) -> float:
    """Largest mean divergence that passes where the conversion measured another.

    The hypothesis that the true mean is at most `DIVERGENCE_MARGIN` m₀ is rejected where the
    measured one is more than `SIGNIFICANT` standard errors of the difference above that.

    Args:
        recorded: m₀ ± e₀, on text that the conversion was not fitted to.
        error: e, standard error of the mean that is to be compared with it.
    """
    margin = DIVERGENCE_MARGIN
    return margin * recorded.kl_divergence + SIGNIFICANT * math.hypot(
        error, margin * recorded.kl_error
    )


def layer_limit(recorded: float, kind: Kind) -> float:
    """Largest local error that passes where the conversion measured ``recorded``.

    `LAYER_MARGIN` times as much; or half of what is left to lose, where that is less, so that a
    layer which lost much already cannot lose all; but never below `LEAST_LIMIT`.
    """
    return max(LEAST_LIMIT, min(LAYER_MARGIN[kind] * recorded, (1 + recorded) / 2))


def _excess(limit: Limit) -> float:
    return limit.found / limit.allowed if limit.allowed else math.inf


def write_certificate(certificate: Certificate, path: Path) -> Path:
    """Write ``certificate`` to ``path`` in one step; what stood there stays if that fails."""
    text = json.dumps(certificate.to_dict(), indent=1, allow_nan=False) + "\n"
    write_file(path, text.encode())
    return path
