"""Where a converted network loses and where it spikes: one view of every layer."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sangbo import chips, codes
from sangbo.convert.layers import LayerError, measure_layers, recorded
from sangbo.convert.pipeline import count
from sangbo.errors import SangboError
from sangbo.graph import Attention, Convolution, Graph, Linear, Neuron, Recurrent
from sangbo.ledger import Histogram, Ledger, SynapticCount
from sangbo.network import Network
from sangbo.progress import Progress, silent
from sangbo.sources import Source
from sangbo.tasks.language import windows
from sangbo.verify import CONTEXT, first, given_passages, original_of

BOUNDS = (0, 1, 2, 3, 4, 8, 16, 32, 64, 128)
"""Where each bucket of a histogram begins; the last has no end."""
BUCKETS = ("0", "1", "2", "3", "4–7", "8–15", "16–31", "32–63", "64–127", "≥128")
_NUMBERED = re.compile(r"^(?:.*?\.)?(\d+)\.(.+)$")
_LEVELS = ".levels"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a layer stands: its number in the network's row of like blocks, and its part in one.

    ``layers.3.mlp.gate`` is part ``mlp.gate`` of block 3; what stands outside all blocks has none.
    """

    block: int | None
    part: str


@dataclass(frozen=True, slots=True)
class NeuronView:
    """One neuron layer. Figures are per token or per value, over the text that was counted.

    Attributes:
        name: of its levels, as the ledger has it.
        place: where it stands.
        role: ``sent`` through weights, ``query`` sent to keys, ``cached`` as a key or value (never
            sent: it is what others' spikes address), ``probability`` sent to values.
        threshold: θ; the largest of its channels' θ where each has its own.
        values: levels per token.
        histogram: share of the levels in each of `BUCKETS`.
        mean_level: mean |n|.
        spikes_per_value: spikes per level in the network's code; 0 for ``cached``.
        synaptic_operations: accumulates per token that its spikes would cause, all sent as spikes.
        dense_fraction: share of its nonzero levels that the network's chip sends densely.
        divergence: predicted loss by its rounding, in nats per token; None where the conversion
            stored none.
        error: what was measured; None for probabilities, whose error is that of their attention,
            and where nothing was.
    """

    name: str
    place: Place
    role: str
    threshold: float
    values: float
    histogram: tuple[float, ...]
    mean_level: float
    spikes_per_value: float
    synaptic_operations: float
    dense_fraction: float
    divergence: float | None
    error: LayerError | None

    def to_dict(self) -> dict[str, Any]:
        """The view as JSON values."""
        return {
            "name": self.name,
            "block": self.place.block,
            "part": self.place.part,
            "role": self.role,
            "threshold": self.threshold,
            "values": self.values,
            "histogram": dict(zip(BUCKETS, self.histogram, strict=True)),
            "mean_level": self.mean_level,
            "spikes_per_value": self.spikes_per_value,
            "synaptic_operations": self.synaptic_operations,
            "dense_fraction": self.dense_fraction,
            "predicted_divergence": self.divergence,
            **_errors(self.error),
        }


@dataclass(frozen=True, slots=True)
class SynapticView:
    """One synaptic operation.

    Attributes:
        name: of its result.
        place: where it stands.
        error: what was measured; None where nothing was.
    """

    name: str
    place: Place
    error: LayerError | None

    def to_dict(self) -> dict[str, Any]:
        """The view as JSON values."""
        return {
            "name": self.name,
            "block": self.place.block,
            "part": self.place.part,
            **_errors(self.error),
        }


@dataclass(frozen=True, slots=True)
class Inspection:
    """Every layer of a network, and on what it was seen.

    Attributes:
        network: name.
        code: spike code.
        chip: chip whose prices decide what is sent densely.
        counted: tokens whose levels were counted.
        measured: tokens on which errors were measured; 0 where none are known.
        text: what the tokens were.
        kl_divergence: measured on them, in nats per token; None where none is known.
        neurons: every neuron layer, in order.
        synaptic: every synaptic operation, in order.
    """

    network: str
    code: str
    chip: str
    counted: int
    measured: int
    text: str
    kl_divergence: float | None
    neurons: tuple[NeuronView, ...]
    synaptic: tuple[SynapticView, ...]

    @property
    def predicted(self) -> float | None:
        """Predicted divergence of all neuron layers; None where the conversion stored none."""
        known = [n.divergence for n in self.neurons if n.divergence is not None]
        return sum(known) if known else None

    @property
    def synaptic_operations(self) -> float:
        """Accumulates per token if every level were sent as spikes."""
        return sum(n.synaptic_operations for n in self.neurons)

    def to_dict(self) -> dict[str, Any]:
        """The inspection as JSON values."""
        return {
            "network": self.network,
            "code": self.code,
            "chip": self.chip,
            "text": self.text,
            "counted_tokens": self.counted,
            "measured_tokens": self.measured,
            "kl_divergence": self.kl_divergence,
            "predicted_divergence": self.predicted,
            "synaptic_operations": self.synaptic_operations,
            "neurons": [n.to_dict() for n in self.neurons],
            "synaptic": [s.to_dict() for s in self.synaptic],
        }


def inspect(
    network: Network,
    text: str | None = None,
    *,
    original: Source | None = None,
    tokens: int | None = None,
    progress: Progress = silent,
) -> Inspection:
    """Look at every layer of ``network``.

    Without a text everything is from what the conversion stored: its ledger, its predictions and
    the errors that it measured on its calibration text. With one, levels are counted and errors
    measured anew on that; predictions stay the conversion's.

    Args:
        network: what was converted.
        text: prose to count and measure on.
        original: the network it came from, needed with ``text`` alone; read from where it came if
            not given.
        tokens: most tokens of the text; all by default.
        progress: told how far it is.

    Raises:
        SangboError: where the record of the conversion is malformed, the text is too short, or the
            original cannot be found.
    """
    record = network.conversion
    settings = record.get("settings", {})
    measured = recorded(record)
    ledger = network.ledger if text is None else Ledger()
    about = f"calibration text, {record.get('calibration', {}).get('kind', 'unknown')}"
    if text is not None:
        source = original or original_of(network, progress)
        context = min(CONTEXT, network.context)
        passages = first(given_passages(network, text), tokens)
        readings = [w for p in passages for w in windows(p, context)]
        ledger = count(network.graph, readings, progress)
        measured = measure_layers(source.graph, network.graph, readings, progress=progress)
        about = "given text"
    errors = {} if measured is None else {e.name: e for e in measured.layers}
    code, chip = settings.get("code", "csd"), settings.get("chip", "horowitz-45nm")
    neurons = _neurons(network.graph, ledger, record, errors, code, chip)
    return Inspection(
        network=network.graph.name,
        code=code,
        chip=chip,
        counted=ledger.samples,
        measured=0 if measured is None else measured.tokens,
        text=about,
        kl_divergence=None if measured is None else measured.kl_divergence,
        neurons=neurons,
        synaptic=tuple(
            SynapticView(o.output, place_of(o.output), errors.get(o.output))
            for o in network.graph.synaptic
        ),
    )


def place_of(name: str) -> Place:
    """Where a layer of that name stands."""
    name = name.removesuffix(_LEVELS)
    match = _NUMBERED.match(name)
    return Place(None, name) if match is None else Place(int(match[1]), match[2])


def bucketed(histogram: Histogram) -> tuple[float, ...]:
    """Share of the levels in each of `BUCKETS`; all zero where there are none."""
    shares = np.zeros(len(BOUNDS))
    at = np.searchsorted(BOUNDS, histogram.magnitudes, side="right") - 1
    np.add.at(shares, at, histogram.occurrences)
    return tuple((shares / max(1, histogram.total)).tolist())


def _neurons(
    graph: Graph,
    ledger: Ledger,
    record: Mapping[str, Any],
    errors: Mapping[str, LayerError],
    code: str,
    chip: str,
) -> tuple[NeuronView, ...]:
    predicted = _predicted(record)
    consumers: dict[str, dict[str, SynapticCount]] = {}
    for name, operation in ledger.operations.items():
        consumers.setdefault(operation.source, {})[name] = operation
    spikes_of, prices = codes.code(code), chips.load(chip)
    views = []
    for name, role, theta in _neuron_layers(graph):
        histogram = ledger.neurons.get(name)
        if histogram is None:
            raise SangboError(f"expected the ledger to count neuron layer {name}, found nothing")
        magnitudes, times = histogram.magnitudes, histogram.occurrences
        total = max(1, histogram.total)
        sent = consumers.get(name, {})
        spikes = int((spikes_of.spikes(magnitudes) * times).sum()) if sent else 0
        operations = sum(
            int((spikes_of.spikes(o.pairs.magnitudes) * o.pairs.occurrences).sum())
            for o in sent.values()
        )
        dense = 0.0
        if sent:
            part = Ledger(samples=ledger.samples, neurons={name: histogram}, operations=sent)
            dense = next(
                price.dense_fraction_levels
                for price in chips.price(part, prices, code=code)
                if price.scheme == "complementary"
            )
        views.append(
            NeuronView(
                name=name,
                place=place_of(name),
                role=role,
                threshold=theta,
                values=histogram.total / max(1, ledger.samples),
                histogram=bucketed(histogram),
                mean_level=float((magnitudes * times).sum() / total),
                spikes_per_value=spikes / total,
                synaptic_operations=operations / max(1, ledger.samples),
                dense_fraction=dense,
                divergence=predicted.get(name),
                error=errors.get(name),
            )
        )
    return tuple(views)


def _neuron_layers(graph: Graph) -> list[tuple[str, str, float]]:
    """Name, role and threshold of every neuron layer, probabilities included, in order."""
    roles: dict[str, str] = {}
    for operation in graph.operations:
        if isinstance(operation, Linear | Convolution):
            roles[operation.input] = "sent"
        elif isinstance(operation, Attention):
            roles[operation.query] = "query"
            roles.setdefault(operation.key, "cached")
            roles.setdefault(operation.value, "cached")
    found = []
    for operation in graph.operations:
        if isinstance(operation, Neuron):
            theta = 1 / np.min(graph.tensors[operation.inverse])
            found.append((operation.output, roles.get(operation.output, "sent"), float(theta)))
        elif isinstance(operation, Attention) and operation.threshold is not None:
            theta = graph.tensors[operation.threshold][()]
            found.append((f"{operation.output}.probability", "probability", float(theta)))
        elif isinstance(operation, Recurrent) and operation.threshold is not None:
            theta = graph.tensors[operation.threshold][()]
            found.append((f"{operation.output}.state", "sent", float(theta)))
    return found


def _predicted(record: Mapping[str, Any]) -> dict[str, float]:
    """Predicted divergence of every neuron layer, from the record of a conversion."""
    try:
        found = {str(e["layer"]): float(e["divergence"]) for e in record.get("thresholds", ())}
    except (KeyError, TypeError, ValueError) as error:
        raise SangboError(f"expected predictions of a conversion, found {error!r}") from None
    if not all(math.isfinite(value) for value in found.values()):
        raise SangboError("expected finite predictions of a conversion, found others")
    return found


def _errors(error: LayerError | None) -> dict[str, float | None]:
    if error is None:
        return {"error": None, "accumulated": None}
    return {"error": error.local, "accumulated": error.accumulated}
