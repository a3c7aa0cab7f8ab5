"""Second-order rounding of weights: what rounding one column did wrong, later columns put right.

GPTQ (Frantar et al. 2022, arXiv 2210.17323): columns are rounded one after the other, and each
error is spread over the columns that are still free, so that W·x changes least over the inputs x
that were seen. With H = Σ x·xᵀ and U the upper Cholesky factor of H⁻¹, column i with error e gives
W[:, j] −= e·U[i, j] / U[i, i] for j > i. Columns go in the order of falling H[i, i].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from sangbo.engines import Reference, Segment
from sangbo.engines.base import Index, Real
from sangbo.errors import ConversionError
from sangbo.graph import Graph, Linear
from sangbo.progress import Progress
from sangbo.sources import Grid
from sangbo.tasks.language import whole_reading

DAMPING = 0.01
"""Added to the diagonal of H, as a share of its mean, so that it can be inverted."""
MOST_BYTES = 2**30
"""Memory of the sums of squares that are held at once; a larger network is read several times."""
_BLOCK = 96


def refine(
    graph: Graph,
    grids: Mapping[str, Grid],
    fixed: frozenset[str],
    passages: Sequence[Index],
    progress: Progress,
) -> dict[str, Grid]:
    """The same grids with their integers rounded to second order.

    Args:
        graph: the float graph.
        grids: of the values tensors of its Linears.
        fixed: names of tensors whose integers stay: what a file held, and tables.
        passages: token ids to read.
        progress: told the share that is done.
    """
    readers: dict[str, list[str]] = {}
    for operation in graph.operations:
        if isinstance(operation, Linear) and operation.weight.values not in fixed:
            names = readers.setdefault(operation.input, [])
            if operation.weight.values not in names:
                names.append(operation.weight.values)
    refined = dict(grids)
    for step, (value, squares) in enumerate(sums_of_squares(graph, list(readers), passages)):
        progress("rounding weights to second order", step / len(readers))
        for name in readers[value]:
            refined[name] = second_order(graph.tensors[name], grids[name], squares)
    return refined


def sums_of_squares(
    graph: Graph, values: Sequence[str], passages: Sequence[Index]
) -> Iterator[tuple[str, Real]]:
    """H = Σ x·xᵀ of each value over all rows of ``passages``, (channels, channels) float32."""
    engine = Reference(graph)
    left = list(values)
    while left:
        taken, size = [left.pop(0)], 0
        while left and size + 4 * graph.values[left[0]].channels ** 2 <= MOST_BYTES:
            size += 4 * graph.values[left[0]].channels ** 2
            taken.append(left.pop(0))
        sums = {v: np.zeros((graph.values[v].channels,) * 2, np.float32) for v in taken}
        for tokens in passages:
            segment = Segment(engine.cache(len(tokens)), len(tokens))
            found = engine.run(whole_reading(tokens), [segment], keep=taken)
            for value in taken:
                x = found[value].reshape(-1, graph.values[value].channels)
                sums[value] += x.T @ x
        yield from ((value, sums.pop(value)) for value in taken)


def second_order(weights: Real, grid: Grid, squares: Real) -> Grid:
    """Integers on the scales of ``grid`` such that W·x changes least.

    Args:
        weights: W, (outputs, inputs).
        grid: its scales, minima and bits; its integers are replaced.
        squares: H, (inputs, inputs).

    Raises:
        ConversionError: where H holds NaN or ∞, or cannot be factored.
    """
    outputs, inputs = weights.shape
    lowest, highest = (0, 15) if grid.bits == 4 else (-127, 127)
    scales = np.ascontiguousarray(grid.scale.astype(np.float32).T)
    minima = np.zeros_like(scales)
    if grid.minimum is not None:
        minima = np.ascontiguousarray(grid.minimum.astype(np.float32).T)
    order = np.argsort(-squares.diagonal(), kind="stable")
    upper = _factor(squares[np.ix_(order, order)])
    left = np.ascontiguousarray(weights[:, order].T)
    levels = np.empty((inputs, outputs), np.int8)
    for start in range(0, inputs, _BLOCK):
        stop = min(start + _BLOCK, inputs)
        block = left[start:stop]
        errors = np.empty_like(block)
        for i in range(stop - start):
            at = start + i
            group = order[at] // grid.group
            scale, minimum = scales[group], minima[group]
            rounded = np.clip(np.rint((block[i] - minimum) / scale), lowest, highest)
            levels[order[at]] = rounded
            errors[i] = (block[i] - (rounded * scale + minimum)) / upper[at, at]
            block[i + 1 :] -= upper[at, at + 1 : stop, None] * errors[i]
        left[stop:] -= upper[start:stop, stop:].T @ errors
    values = np.ascontiguousarray(levels.T)
    if grid.bits == 4:
        low, high = values[:, 0::2].astype(np.uint8), values[:, 1::2].astype(np.uint8)
        return replace(grid, values=low | (high << 4))
    return replace(grid, values=values)


def _factor(squares: Real) -> Real:
    """U with UᵀU = (H + damping)⁻¹, upper triangular."""
    damped = squares.astype(np.float64)
    damped[np.diag_indices(len(damped))] += DAMPING * float(damped.diagonal().mean()) + 1e-30
    if not np.isfinite(damped).all():
        raise ConversionError("expected finite inputs to round weights for, found NaN or ∞")
    try:
        factor = np.linalg.cholesky(np.linalg.inv(damped))
    except np.linalg.LinAlgError as error:
        raise ConversionError(f"expected inputs that weights can be rounded for: {error}") from None
    upper: Real = factor.T.astype(np.float32)
    return upper
