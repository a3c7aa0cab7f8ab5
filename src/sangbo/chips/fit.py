"""Whether a network fits a chip: how many cores and chips it takes, and which layer breaks a limit.

A core of a neuromorphic chip holds whole neurons with all their synapses. A layer of K neurons that
each have C inputs takes as many cores as its tightest limit asks for:

    neurons       ⌈K / neurons per core⌉
    synapses      ⌈K / ⌊synaptic memory / (C · bytes of a weight)⌋⌉
    input axons   a core's neurons share C input axons; where C is more than a core may have, each
                  neuron would have to be cut in parts: the layer breaks this limit

Signed levels take two axons where spikes are unsigned (stepped chips). No two layers share a core,
and copies for routing are not counted, so the count is a lower bound.
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
        needed, broken = _cores(layer, chip)
        breaches += broken
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
    broken: list[Breach] = []

    def check(limit: str, needed: float, words: str) -> None:
        allowed = chip.limit(limit)
        if allowed is not None and needed > allowed:
            broken.append(Breach(layer.name, words, needed, allowed))

    axons = layer.fan_in * (2 if chip.execution == "stepped" else 1)
    check("input_axons_per_core", axons, "input axons of a core")
    check("fan_in", layer.fan_in, "synapses of a neuron")
    check("weight_bits", layer.weight_bits, "bits of a weight")
    if chip.spiking and not chip.dense and not layer.weight_bits:
        broken.append(Breach(layer.name, "units for products of two activations", 1, 0))
    cores = 0
    most = chip.limit("neurons_per_core")
    if most:
        cores = ceil(layer.neurons / most)
    memory = chip.limit("synaptic_memory_per_core")
    if memory and layer.weight_bits:
        each = layer.fan_in * layer.weight_bits / 8
        if each > memory:
            broken.append(
                Breach(layer.name, "bytes of synaptic memory for one neuron", each, memory)
            )
        cores = max(cores, ceil(layer.neurons / max(1, memory // each)))
    return cores, broken
