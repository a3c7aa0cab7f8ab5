"""Puts right in the mean what rounding did wrong: biases of convolutions.

After a rectifier many values lie just above 0 and become the level 0, so that their errors have one
sign. Sensitivities count errors as independent, but a convolution adds them up over channels, and
what follows adds them up over positions. The mean error of each output channel, given the
original's own inputs, is measured and added to its bias (Nagel et al. 2019, arXiv 1906.04721,
§4.2). It holds the rounding of the weights too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sangbo.engines import Reading, Reference, fastest
from sangbo.engines.base import Array
from sangbo.engines.forced import forced, found
from sangbo.graph import Convolution, Graph
from sangbo.progress import Progress


def corrected(
    original: Graph, converted: Graph, readings: Sequence[Reading], progress: Progress
) -> Graph:
    """``converted`` with the mean error of each channel of its convolutions in their biases.

    Args:
        original: the float graph that it was made of, equalised where it was.
        converted: the complementary graph.
        readings: what both read.
        progress: told the share that is done.
    """
    changed = [o for o in converted.operations if isinstance(o, Convolution)]
    if not changed:
        return converted
    alone = forced(converted, synaptic_only=True)
    engines: list[Any] = [Reference(original), fastest(alone)]
    reference, local = engines
    keep = [*alone.inputs, *(o.output for o in changed)]
    sums = {o.output: np.zeros(converted.values[o.output].channels) for o in changed}
    rows = dict.fromkeys(sums, 0)
    for step, reading in enumerate(readings):
        progress("correcting biases", step / len(readings))
        caches: list[Any] = [reading.caches(e) for e in engines]
        for piece in reading.pieces(1):
            before = reference.run(piece.inputs, piece.segments(caches[0]), keep=keep)
            own = local.run({n: before[n] for n in alone.inputs}, piece.segments(caches[1]))
            for name, total in sums.items():
                error = (before[name] - own[found(name)]).reshape(-1, len(total))
                total += error.sum(axis=0, dtype=np.float64)
                rows[name] += len(error)
    tensors: dict[str, Array] = dict(converted.tensors)
    operations = list(converted.operations)
    for place, operation in enumerate(operations):
        if not isinstance(operation, Convolution):
            continue
        name = f"{operation.output}.corrected_bias"
        old = 0 if operation.bias is None else tensors[operation.bias].astype(np.float64)
        more = sums[operation.output] / max(1, rows[operation.output])
        tensors[name] = (old + more).astype(np.float32)
        operations[place] = replace(operation, bias=name)
    return replace(converted, operations=tuple(operations), tensors=tensors)
