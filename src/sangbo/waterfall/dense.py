"""Where the waterfall begins: the same network dense, in int8 with one scale per output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sangbo.chips.shapes import Shaped
from sangbo.convert.weights import per_channel, stored
from sangbo.engines import Reference
from sangbo.engines.reference.weights import dequantise
from sangbo.errors import SangboError
from sangbo.graph import Embedding, Graph, Linear, Weight
from sangbo.ledger import Ledger
from sangbo.waterfall.step import Costs, Step, Subject

NAME = "dense int8"


def begin(subject: Subject) -> Step:
    """The first step: every weight that a token reads is one byte, every product a MAC.

    The embedding counts once, as the output head that a token reads whole. Its perplexity is that
    of the original with its weights rounded to int8, activations left real.

    Raises:
        SangboError: where the chip has no dense side, or no external memory.
    """
    graph = subject.network.graph
    dense = subject.priced(_int8_ledger(subject.network.ledger, subject.nests))["dense"]
    if dense.energy is None:
        raise SangboError(f"expected {subject.chip.name} to have a dense side, found none")
    costs = Costs.of(dense.energy, subject.chip)
    if not costs.external:
        raise SangboError(
            f"expected {subject.chip.name} to read external memory, found it does not"
        )
    change = None
    if subject.original is not None and subject.windows:
        before = subject.original.graph
        change = subject.change(lambda: Reference(_rounded(before)), NAME)
    return Step(NAME, costs, change, subject.tokens_per_second(lambda: int8(graph), NAME))


def _int8_ledger(ledger: Ledger, nests: Mapping[str, Shaped]) -> Ledger:
    """The ledger if weights were int8 with one scale per output: a byte each, one rescale a sum."""
    operations = dict(ledger.operations)
    for name, shaped in nests.items():
        count, nest = operations[name], shaped.nest
        sums = round(count.pairs.total / nest.inputs)
        operations[name] = replace(
            count, weight_bytes=nest.weight_count, accumulators=sums, rescales=sums
        )
    return replace(ledger, operations=operations)


def int8(graph: Graph) -> Graph:
    """``graph``, the weights of its linear operations int8 with one scale per output."""
    tensors, made = dict(graph.tensors), dict[Weight, Weight]()
    for weight in {o.weight for o in graph.operations if isinstance(o, Linear)}:
        for name in weight.tensors():
            del tensors[name]
        made[weight], kept = stored(weight.values, per_channel(dequantise(weight, graph)))
        tensors |= kept
    operations = tuple(
        replace(o, weight=made.get(o.weight, o.weight)) if isinstance(o, Linear | Embedding) else o
        for o in graph.operations
    )
    return replace(graph, operations=operations, tensors=tensors)


def _rounded(graph: Graph) -> Graph:
    """The float ``graph``, its weights what int8 makes of them."""
    tensors = dict(graph.tensors)
    for operation in graph.operations:
        if isinstance(operation, Linear):
            name = operation.weight.values
            tensors[name] = per_channel(tensors[name]).reals()
    return replace(graph, tensors=tensors)
