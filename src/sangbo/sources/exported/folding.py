"""Takes factors and offsets of channels into the weights before them, as batch norms allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sangbo.graph import Affine, Convolution, Linear, Operation
from sangbo.sources.source import Array


def fold(
    operations: Sequence[Operation], tensors: dict[str, Array], outputs: tuple[str, ...]
) -> tuple[tuple[Operation, ...], dict[str, Array]]:
    """The same network without any `Affine` of channels that alone reads a Linear or Convolution.

    W·x + b, then ∘w + c, is (w∘W)·x + (w∘b + c). Weights that several operations share stay.

    Args:
        operations: in order.
        tensors: what they use.
        outputs: names of values that must keep their names.

    Returns:
        The operations, and the tensors that they use.
    """
    readers: dict[str, int] = {}
    uses: dict[str, int] = {}
    for operation in operations:
        for name in operation.inputs():
            readers[name] = readers.get(name, 0) + 1
        for name in (*operation.parameters(), *(w.values for w in operation.weights())):
            uses[name] = uses.get(name, 0) + 1
    tensors = dict(tensors)
    kept: list[Operation] = []
    place: dict[str, int] = {}
    for operation in operations:
        at = place.get(operation.input) if isinstance(operation, Affine) else None
        before = None if at is None else kept[at]
        if (
            isinstance(operation, Affine)
            and isinstance(before, Linear | Convolution)
            and readers[before.output] == 1
            and before.output not in outputs
            and uses[before.weight.values] == 1
            and (before.bias is None or uses[before.bias] == 1)
            and all(tensors[n].ndim == 1 for n in operation.parameters())
            and at == len(kept) - 1
        ):
            kept[at] = _folded(before, operation, tensors)
            place[operation.output] = at
            readers[operation.output] = readers.get(operation.output, 0)
            continue
        place[operation.output] = len(kept)
        kept.append(operation)
    used = {n for o in kept for n in (*o.parameters(), *(t for w in o.weights()
                                                         for t in w.tensors()))}  # fmt: skip
    return tuple(kept), {n: t for n, t in tensors.items() if n in used}


def _folded(
    before: Linear | Convolution, after: Affine, tensors: dict[str, Array]
) -> Linear | Convolution:
    weight = before.weight.values
    matrix = tensors[weight]
    bias = np.zeros(len(matrix)) if before.bias is None else tensors[before.bias]
    if after.weight is not None:
        factor = tensors[after.weight].astype(np.float64)
        tensors[weight] = (matrix * factor[:, None]).astype(np.float32)
        bias = bias * factor
    if after.bias is not None:
        bias = bias + tensors[after.bias]
    name = before.bias or f"{weight}.bias"
    tensors[name] = bias.astype(np.float32)
    return replace(before, output=after.output, bias=name)
