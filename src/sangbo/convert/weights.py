"""Float weights to integers on a grid, and the choice between our grids and a file's own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sangbo.engines.base import Array, Real
from sangbo.errors import ConversionError
from sangbo.graph import Convolution, Embedding, Graph, Linear, Weight
from sangbo.progress import Progress
from sangbo.sources import Grid

GROUP = 32


def per_channel(weights: Real) -> Grid:
    """Int8 with one scale per output: scale = max|w| / 127, q = round(w / scale)."""
    return per_group(weights, weights.shape[1])


def per_group(weights: Real, group: int) -> Grid:
    """The same with one scale for ``group`` inputs of an output."""
    parts = weights.reshape(len(weights), -1, group)
    step = np.abs(parts).max(axis=-1) / np.float32(127)
    scale = np.where(step > 0, step, np.float32(1)).astype(np.float32)
    values = np.clip(np.rint(parts / scale[..., None]), -127, 127).astype(np.int8)
    return Grid(8, group, values.reshape(weights.shape), scale)


def rows_of_kernels(graph: Graph) -> dict[str, int]:
    """Inputs in a row of the kernel of each convolution that looks at a picture, by its weight.

    A picture's pixels are much alike, and what edges differ by is small beside them: a network
    feels what rounding does to these weights more than to any others, and they are few.
    """
    return {
        o.weight.values: graph.tensors[o.weight.values].shape[1] // o.kernel[0]
        for o in graph.operations
        if isinstance(o, Convolution) and o.input in graph.inputs and len(o.kernel) == 2
    }


def four_bit(weights: Real) -> Grid:
    """4 bits in groups of 32 inputs: scale and minimum span each group, q = 0…15.

    Raises:
        ConversionError: where the inputs are not a multiple of 32, or leave float16's range.
    """
    outputs, inputs = weights.shape
    if inputs % GROUP:
        raise ConversionError(
            f"expected a multiple of {GROUP} inputs for 4-bit weights, found {inputs}"
        )
    groups = weights.reshape(outputs, -1, GROUP)
    if np.abs(weights).max() > np.finfo(np.float16).max / 2:
        raise ConversionError("expected weights within the range of float16, found larger ones")
    minimum = groups.min(axis=-1).astype(np.float16)
    base = minimum.astype(np.float32)
    span = (groups.max(axis=-1) - base) / np.float32(15)
    scale = np.where(span > 0, span, np.float32(1)).astype(np.float16)
    scale = np.where(scale > 0, scale, np.float16(1))
    steps = (groups - base[..., None]) / scale[..., None].astype(np.float32)
    values = np.clip(np.rint(steps), 0, 15).astype(np.uint8).reshape(outputs, inputs)
    return Grid(4, GROUP, values[:, 0::2] | (values[:, 1::2] << 4), scale, minimum)


def tables(graph: Graph) -> frozenset[str]:
    """Weights that an Embedding gathers rows from."""
    return frozenset(o.weight.values for o in graph.operations if isinstance(o, Embedding))


def kept(bits: int | None, held: Mapping[str, Grid]) -> frozenset[str]:
    """Weights that keep the grid their file holds: all unless 8 bits per channel are asked for."""
    return frozenset() if bits == 8 else frozenset(held)


def quantise(
    graph: Graph, bits: int | None, held: Mapping[str, Grid], progress: Progress
) -> dict[str, Grid]:
    """A grid for the weight of every synaptic operation of a float graph.

    What is `kept` keeps the grid that its file holds. The others get `per_channel`; but weights of
    Linears `four_bit` if 4 bits are asked for, unless they are a table that is also an embedding,
    and `rows_of_kernels` a scale each.
    """
    rows = rows_of_kernels(graph)
    names = dict.fromkeys(w.values for o in graph.synaptic for w in o.weights())
    linear = {o.weight.values for o in graph.operations if isinstance(o, Linear)}
    grids: dict[str, Grid] = {}
    for step, name in enumerate(names):
        progress("rounding weights", step / len(names))
        if name in kept(bits, held):
            grids[name] = held[name]
        elif bits == 4 and name in linear - tables(graph):
            grids[name] = four_bit(graph.tensors[name])
        else:
            weights: Real = graph.tensors[name]
            grids[name] = per_group(weights, rows.get(name, len(weights.T)))
    return grids


def stored(name: str, grid: Grid) -> tuple[Weight, dict[str, Array]]:
    """The weight called ``name`` and the tensors that hold its grid."""
    tensors = {name: grid.values, f"{name}.scale": grid.scale}
    if grid.minimum is None:
        return Weight(name, grid.bits, grid.group, f"{name}.scale"), tensors
    tensors[f"{name}.minimum"] = grid.minimum
    return Weight(name, grid.bits, grid.group, f"{name}.scale", f"{name}.minimum"), tensors
