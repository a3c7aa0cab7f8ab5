"""Weights as the folder holds them, instead of a byte each; then what codes take off them.

What decoding costs is booked with the external memory that it saves. A chip's arithmetic prices it:

* a weight on allotted steps is a coded symbol and a product with its step;
* a generated weight takes 8 shifts with additions or exclusive ors of 32 bits (an exclusive or is
  booked as an addition, which is dearer), 3 additions of bytes and a product with the coefficient;
* a coded symbol takes 4 bytes of a table in the nearest memory, one 32-bit product and 2 additions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sangbo.chips import Chip
from sangbo.compress import Allotted, Coded, Compressed, Generated
from sangbo.engines import Reference
from sangbo.engines.reference.weights import dequantise
from sangbo.graph import Graph, Linear
from sangbo.waterfall.step import Costs, Step, Subject

STIRS, BYTES = 8, 3
TABLE_BYTES, CODED_ADDITIONS = 4, 2


def held_weights(subject: Subject, before: Step) -> Step | None:
    """The dense network with the weights that the folder holds; None if those are int8, too.

    Generated weights are read as seeds and those on allotted steps as their code; codes of what is
    stored otherwise come with the next step.
    """
    graph, network = subject.network.graph, subject.network
    weights = {w for o in graph.synaptic for w in o.weights()}
    whole = {w for w in weights if w.bits == 8 and graph.tensors[str(w.scale)].shape[1] == 1}
    remade = {n: c for n, c in network.compressed.items() if not isinstance(c, Coded)}
    if subject.prices["dense"].energy is None or (weights == whole and not remade):
        return None
    held = _dequantised(subject)
    change = None
    if held is not None:
        change = subject.change(lambda: Reference(held), "the folder's weights")
    generated = [c.recipe.quarters / 4 for c in remade.values() if isinstance(c, Generated)]
    if generated:
        name = f"generated weights, {min(generated):g} bits"
    elif remade:
        name = "weights on allotted steps"
    else:
        name = f"{min(w.bits for w in weights)}-bit weights"
    return Step(name, _costs(subject, remade), change, before.tokens_per_second)


def coded_weights(subject: Subject, before: Step) -> Step | None:
    """The same weights to the bit, entropy-coded in memory; None where none of them are."""
    compressed = subject.network.compressed
    if not any(isinstance(c, Coded) for c in compressed.values()):
        return None
    found = _costs(subject, compressed)
    return replace(
        before,
        name="coded weights",
        costs=replace(before.costs, reading=found.reading, decoding=found.decoding),
        evidence={},
        notes=(),
    )


def stored_bytes(graph: Graph, compressed: Mapping[str, Compressed]) -> dict[str, int]:
    """Bytes that hold the weights of each synaptic operation, by its name."""
    return {
        operation.output: sum(
            compressed[name].nbytes if name in compressed else graph.tensors[name].nbytes
            for weight in operation.weights()
            for name in weight.tensors()
        )
        for operation in graph.synaptic
        if operation.weights()
    }


def _costs(subject: Subject, compressed: Mapping[str, Compressed]) -> Costs:
    """Of the dense network, its weights read as ``compressed`` and decoded on the chip."""
    network, chip = subject.network, subject.chip
    plain = subject.prices["dense"].energy
    ledger = network.ledger
    operations = dict(ledger.operations)
    for name, size in stored_bytes(network.graph, compressed).items():
        operations[name] = replace(operations[name], weight_bytes=size)
    read = subject.priced(replace(ledger, operations=operations))["dense"].energy
    if plain is None or read is None:  # the first step has asked for a dense side
        return Costs(0.0, 0.0, 0.0)
    used = {n for o in network.graph.synaptic for w in o.weights() for n in w.tensors()}
    decoding = sum(_decoding(c, chip) for name, c in compressed.items() if name in used)
    return replace(Costs.of(plain, chip), reading=Costs.of(read, chip).reading, decoding=decoding)


def _decoding(compressed: Compressed, chip: Chip) -> float:
    """Energy in pJ of decoding a tensor once; what the chip does not state costs nothing."""

    def energy(name: str) -> float:
        found = chip.get("arithmetic", name)
        return 0.0 if found is None else found.value

    if isinstance(compressed, Generated):
        each = STIRS * energy("add_int32") + BYTES * energy("add_int8") + energy("multiply_int8")
    else:
        nearest = chip.memory[0].read if chip.memory else None
        table = 0.0 if nearest is None else TABLE_BYTES * nearest.value
        each = table + energy("multiply_int32") + CODED_ADDITIONS * energy("add_int32")
        if isinstance(compressed, Allotted):
            each += energy("multiply_int8")
    return compressed.symbols * each


def _dequantised(subject: Subject) -> Graph | None:
    """The original with the folder's weights; None if scales moved between them in conversion."""
    if subject.original is None or not subject.windows:
        return None
    before, after = subject.original.graph, subject.network.graph
    tensors = dict(before.tensors)
    for operation in after.operations:
        if isinstance(operation, Linear):
            name = operation.weight.values
            if name not in tensors:
                return None
            tensors[name] = dequantise(operation.weight, after)
    return replace(before, tensors=tensors)
