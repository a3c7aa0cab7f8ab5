"""Whether a network fits a chip: how many cores and chips it takes, and which layer breaks a limit.

A core of a neuromorphic chip holds whole neurons with all their synapses. A layer of K neurons that
each have C inputs takes as many cores as its tightest limit asks for:

    neurons       ⌈K / neurons per core⌉
    synapses      ⌈K / ⌊synaptic memory / (C · bytes of a weight)⌋⌉
    input axons   a core's neurons share C input axons; where C is more than a core may have, each
                  neuron would have to be cut in parts: the layer breaks this limit

Signed levels take two axons where spikes are unsigned (stepped chips). No two layers share a core,
and copies for routing are not counted, so the count is a lower bound. Where every synapse is known,
`sangbo.chips.placement` places neuron by neuron, within the same limits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import Any

from sangbo.chips.chip import Chip
from sangbo.chips.nests import Nest
from sangbo.chips.shapes import nests_of
from sangbo.graph import Graph


@dataclass(frozen=True, slots=True)
class Layer:
    """What a layer asks of a chip.

    Attributes:
        name: of the operation.
        neurons: outputs.
        fan_in: inputs of each.
        weight_bits: of a stored weight; 0 for products of activations.
    """

    name: str
    neurons: int
    fan_in: int
    weight_bits: int


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that a layer breaks."""

    layer: str
    limit: str
    needed: float
    allowed: float

    def __str__(self) -> str:
        if not self.allowed:
            return f"{self.layer} needs {self.limit}, of which there are none"
        return f"{self.layer} needs {self.needed:g} {self.limit}, {self.allowed:g} are allowed"


WORDS = {
    "neurons_per_core": "compartments of a core",
    "input_axons_per_core": "input axons of a core",
    "output_axons_per_core": "output axons of a core",
    "fan_in": "synapses of a neuron",
    "weight_bits": "bits of a weight",
    "delay_bits": "bits of a delay",
    "synaptic_memory_per_core": "bytes of synaptic memory for one neuron",
}
"""What the limits of one core or neuron are called where something breaks them."""


def broken(chip: Chip, limit: str, layer: str, needed: float) -> list[Breach]:
    """The breach of ``limit`` (a key of `WORDS`) by ``layer``, if the chip states it and it is."""
    allowed = chip.limit(limit)
    if allowed is None or needed <= allowed:
        return []
    return [Breach(layer, WORDS[limit], needed, allowed)]


@dataclass(frozen=True, slots=True)
class Fit:
    """How a network fits a chip.

    Attributes:
        chip: its name.
        cores: of each layer, by its name; empty where the chip states no cores.
        chips: chips in all; None where nothing that would tell is stated.
        reason: what asks for that many.
        breaches: limits that no number of chips mends.
    """

    chip: str
    cores: dict[str, int]
    chips: int | None
    reason: str
    breaches: tuple[Breach, ...]

    def to_dict(self) -> dict[str, Any]:
        """The fit as JSON values."""
        return {
            "chip": self.chip,
            "cores": dict(self.cores),
            "chips": self.chips,
            "reason": self.reason,
            "breaches": [
                {"layer": b.layer, "limit": b.limit, "needed": b.needed, "allowed": b.allowed}
                for b in self.breaches
            ],
        }

    def __str__(self) -> str:
        if self.chips is None:
            return f"{self.chip}: states no limits of size"
        broken = f"; {len(self.breaches)} limits broken" if self.breaches else ""
        total = f" ({sum(self.cores.values())} cores)" if self.cores else ""
        return f"{self.chip}: {self.chips} chips{total}, for their {self.reason}{broken}"


def layers_of(graph: Graph) -> list[Layer]:
    """Every synaptic operation of a graph, by the largest of its loop nests."""
    found = []
    for operation in graph.synaptic:
        bits = max((w.bits for w in operation.weights()), default=0)
        layers = layers_of_nests(nests_of(operation, graph), bits)
        if layers:
            neurons, fan_in = (max(getattr(n, k) for n in layers) for k in ("neurons", "fan_in"))
            found.append(Layer(operation.output, neurons, fan_in, layers[0].weight_bits))
    return found


def layers_of_nests(nests: Iterable[Nest], weight_bits: int = 8) -> list[Layer]:
    """Every nest as a layer: a neuron for each output, each with its whole kernel of inputs."""
    return [
        Layer(
            n.name,
            n.output_count if n.cached else n.output_count // n.batch,
            n.inputs * n.kernel_rows * n.kernel_columns,
            0 if n.cached else weight_bits,
        )
        for n in nests
    ]


def fit(layers: Iterable[Layer], chip: Chip) -> Fit:
    """How ``layers`` fit ``chip``; every limit that it states is checked, and no other."""
    cores: dict[str, int] = {}
    breaches: list[Breach] = []
    neurons = synapses = stored = 0.0
    asks: dict[str, float] = {}
    for layer in layers:
        neurons += layer.neurons
        synapses += layer.neurons * layer.fan_in
        stored += layer.neurons * layer.fan_in * layer.weight_bits / 8
        needed, found = _cores(layer, chip)
        breaches += found
        if needed:
            cores[layer.name] = needed
    per_chip = chip.limit("cores")
    if cores and per_chip:
        asks["cores"] = sum(cores.values()) / per_chip
    for key, amount in (("neurons", neurons), ("synapses", synapses)):
        allowed = chip.limit(key)
        if allowed:
            asks[key] = amount / allowed
    reason = max(asks, key=lambda key: asks[key], default="")
    chips = max(1, ceil(asks[reason])) if reason else None
    return Fit(chip.name, cores, chips, reason, tuple(breaches))


def _cores(layer: Layer, chip: Chip) -> tuple[int, list[Breach]]:
    """Cores of one layer, 0 where nothing about a core is stated; and the limits it breaks."""
    axons = layer.fan_in * (2 if chip.execution == "stepped" else 1)
    breaches = [
        *broken(chip, "input_axons_per_core", layer.name, axons),
        *broken(chip, "fan_in", layer.name, layer.fan_in),
        *broken(chip, "weight_bits", layer.name, layer.weight_bits),
    ]
    if chip.spiking and not chip.dense and not layer.weight_bits:
        breaches.append(Breach(layer.name, "units for products of two activations", 1, 0))
    cores = 0
    most = chip.limit("neurons_per_core")
    if most:
        cores = ceil(layer.neurons / most)
    memory = chip.limit("synaptic_memory_per_core")
    if memory and layer.weight_bits:
        each = layer.fan_in * layer.weight_bits / 8
        breaches += broken(chip, "synaptic_memory_per_core", layer.name, each)
        cores = max(cores, ceil(layer.neurons / max(1, memory // each)))
    return cores, breaches
