"""What each layer of a converted network loses: its values against the original's, token by token.

For a value x of the original and x̂ of the converted network at the same place, at token t:

    e_t = min(1, ‖x̂_t − x_t‖₂ / ‖x_t‖₂),  the share of the token's value that is lost,

and a layer's error is the mean of e_t over tokens (of images, over positions). Every token counts
alike, so that a few tokens with massive activations do not hide what happens to all others, and 1
means that nothing is left. Channels that equalising has rescaled are scaled back first
(`sangbo.convert.gains`), and centres that were taken out are put back (`sangbo.convert.centre`).
Two such errors are measured for every neuron layer and every synaptic operation:

* *local*: the layer is given the original's own values and answers for itself alone. For a neuron
  layer x̂ = θ·n; for a synaptic operation x̂ is its result from the levels of its inputs, so the
  error holds the rounding of those levels and of its weights.
* *accumulated*: both networks read the same tokens from the start, and the values that reach the
  neuron layer, or leave the operation, are compared. It holds everything upstream.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from sangbo.convert.centre import centres_of
from sangbo.convert.gains import gains
from sangbo.engines import Reading, Reference, fastest
from sangbo.engines.base import Array, Real
from sangbo.engines.forced import forced, found
from sangbo.errors import ConversionError
from sangbo.graph import Graph, Neuron
from sangbo.progress import Progress, silent
from sangbo.tasks import Task, task_of
from sangbo.tasks.language import BLOCK_ROWS, Mean

Kind: TypeAlias = Literal["neuron", "synaptic"]


@dataclass(frozen=True, slots=True)
class LayerError:
    """What one layer loses; both errors are shares within 0…1, as the module says.

    Attributes:
        name: of the levels that a neuron layer sends, or of a synaptic operation's result.
        kind: which of the two.
        local: from its own rounding alone.
        accumulated: with everything upstream.
    """

    name: str
    kind: Kind
    local: float
    accumulated: float

    def to_dict(self) -> dict[str, Any]:
        """The error as JSON values."""
        return {
            "name": self.name,
            "kind": self.kind,
            "local": self.local,
            "accumulated": self.accumulated,
        }


@dataclass(frozen=True, slots=True)
class Measured:
    """What `measure_layers` found.

    Attributes:
        tokens: how many were read.
        kl_divergence: mean divergence of the original's predictions from the converted network's,
            in nats per token.
        kl_error: standard error of that mean.
        layers: every neuron layer and synaptic operation, in the order in which they run.
    """

    tokens: int
    kl_divergence: float
    kl_error: float
    layers: tuple[LayerError, ...]

    def to_dict(self) -> dict[str, Any]:
        """What was measured as JSON values."""
        return {
            "tokens": self.tokens,
            "kl_divergence": self.kl_divergence,
            "kl_error": self.kl_error,
            "layers": [layer.to_dict() for layer in self.layers],
        }

    @classmethod
    def from_dict(cls, document: Any) -> Self:
        """Read what `to_dict` wrote; raises `ConversionError` where it is not that."""
        try:
            layers = tuple(
                LayerError(str(e["name"]), e["kind"], float(e["local"]), float(e["accumulated"]))
                for e in document["layers"]
            )
            mean, spread = float(document["kl_divergence"]), float(document["kl_error"])
            read = cls(int(document["tokens"]), mean, spread, layers)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ConversionError(
                f"expected what a conversion measured in its layers: {error!r}"
            ) from None
        shares = [s for e in layers for s in (e.local, e.accumulated)]
        good = all(0 <= s <= 1 for s in shares) and math.isfinite(mean) and 0 <= spread < math.inf
        if not good or read.tokens < 1 or any(e.kind not in get_args(Kind) for e in layers):
            raise ConversionError("expected errors of layers within 0 to 1, found others")
        return read


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a layer's values are found: the compared value, and the local result's name."""

    name: str
    kind: Kind
    value: str
    local: str


def recorded(conversion: Mapping[str, Any]) -> Measured | None:
    """What a conversion has measured, from its record; None where it has measured nothing."""
    document = conversion.get("measured")
    return None if document is None else Measured.from_dict(document)


def promised(conversion: Mapping[str, Any]) -> Measured | None:
    """What a network is held to, from the record of its conversion.

    That is what was measured, or the divergence that thresholds were allotted where that is more:
    few readings may lose less by chance.
    """
    measured = recorded(conversion)
    if measured is None:
        return None
    try:
        allotted = float(conversion["summary"]["predicted_divergence"])
    except (KeyError, TypeError, ValueError):
        allotted = math.nan
    if not 0 <= allotted < math.inf:
        raise ConversionError("expected the divergence that a conversion allotted, found none")
    return replace(measured, kl_divergence=max(measured.kl_divergence, allotted))


def measure_layers(
    original: Graph,
    converted: Graph,
    readings: Sequence[Reading],
    task: Task | None = None,
    progress: Progress = silent,
) -> Measured:
    """Errors of every layer over ``readings``.

    All values of both networks are held, for one piece of a reading at a time.

    Args:
        original: the float graph.
        converted: the complementary graph made from it.
        readings: what both read.
        task: what the network is for; the one that its graph states by default.
        progress: told the share that is done.

    Raises:
        ConversionError: where the two graphs do not have the same operations.
    """
    task = task or task_of(original)
    output, likelihood = task.output(original), task.likelihood(original)
    gain = gains(original, converted)
    middle = centres_of(original, converted, gain)
    alone = forced(converted, synaptic_only=True)
    places = _places(converted)
    values = list(dict.fromkeys([*alone.inputs, *(p.value for p in places), output]))
    reference = Reference(original)
    whole = fastest(replace(converted, outputs=tuple(values)))
    local = fastest(alone)
    sums, rows = np.zeros((len(places), 2)), np.zeros(len(places), np.int64)
    lost = Mean()
    for step, reading in enumerate(readings):
        caches: list[Any] = [reading.caches(e) for e in (reference, whole, local)]
        for piece in reading.pieces(BLOCK_ROWS):
            progress("measuring layers", step / len(readings))
            segments: list[Any] = [piece.segments(c) for c in caches]
            before = reference.run(piece.inputs, segments[0], keep=values)
            after = whole.run(piece.inputs, segments[1])
            given = {n: _inside(before[n], gain.get(n), middle.get(n)) for n in alone.inputs}
            answers = local.run(given, segments[2])
            for i, place in enumerate(places):
                x, g = before[place.value], gain.get(place.value)
                c = middle.get(place.value)
                own = answers[place.local]
                if place.kind == "neuron":
                    own = _decoded(own, converted, place.local)
                sums[i, 0] += _lost(_outside(own, g, c), x)
                sums[i, 1] += _lost(_outside(after[place.value], g, c), x)
                rows[i] += x.size // x.shape[-1]
            lost.add(likelihood.divergence(before[output], after[output]))
    shares = sums / np.maximum(rows, 1)[:, None]
    layers = tuple(
        LayerError(p.name, p.kind, float(own), float(all_))
        for p, (own, all_) in zip(places, shares, strict=True)
    )
    return Measured(lost.count, lost.mean, lost.error, layers)


def _places(graph: Graph) -> list[_Place]:
    return [
        _Place(o.output, "neuron", o.input, o.output)
        if isinstance(o, Neuron)
        else _Place(o.output, "synaptic", o.output, found(o.output))
        for o in graph.operations
        if isinstance(o, Neuron) or o.synaptic
    ]


def _decoded(levels: Array, graph: Graph, name: str) -> Real:
    """The reals that levels stand for: θ·n, or n·θ_c where the channels have thresholds θ_c."""
    neuron = next(o for o in graph.operations if isinstance(o, Neuron) and o.output == name)
    inverse = graph.tensors[neuron.inverse]
    theta: Array = 1 / inverse if inverse.ndim else graph.tensors[neuron.threshold]
    decoded: Real = levels * theta.astype(np.float32)
    return decoded


def _inside(x: Array, gain: Real | None, centre: Real | None) -> Real:
    """A value of the original as the converted network has it."""
    moved: Real = x if centre is None else x - centre
    return moved if gain is None else np.divide(moved, gain)


def _outside(x: Array, gain: Real | None, centre: Real | None) -> Real:
    """A value of the converted network as the original has it."""
    scaled: Real = x if gain is None else np.multiply(x, gain)
    return scaled if centre is None else scaled + centre


def _lost(found_: Array, expected: Array) -> float:
    """Σ over tokens of min(1, ‖found − expected‖ / ‖expected‖); any error of a zero loses all."""
    expected = expected.reshape(-1, expected.shape[-1])
    error, size = _norms(found_.reshape(expected.shape) - expected), _norms(expected)
    share = np.divide(error, size, out=(error > 0).astype(np.float64), where=size > 0)
    return float(np.minimum(share, 1).sum())


def _norms(x: Array) -> NDArray[np.float64]:
    norms: NDArray[np.float64] = np.sqrt(np.einsum("rc,rc->r", x, x, dtype=np.float64))
    return norms
