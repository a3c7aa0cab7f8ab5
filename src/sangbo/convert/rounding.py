"""New weights, rounded to second order: what rounding one column did wrong, later ones put right.

As GPTQ does (Frantar et al. 2022, arXiv 2210.17323): columns one after the other, each error
spread over the columns that are still free. With H = E[x·xᵀ] and U the upper Cholesky factor of
H⁻¹, column i with error e gives W[:, j] −= e·U[i, j] / U[i, i], j > i. Columns go in the order of
falling H[i, i].

A convolution is such a matrix for each group of its channels, and x what an output sees.

Two things keep H from saying what only the calibration text says. Every row x counts alike,
x / ‖x‖: a few tokens with massive activations (Sun et al. 2024, arXiv 2402.17762) would otherwise
be all of it. And what n rows say about how p channels go together is believed by n / (n + p): the
correlations are shrunk by that much (as Ledoit and Wolf 2004 do).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sangbo.engines import Reading, Reference
from sangbo.engines.base import Array, Real
from sangbo.engines.reference.convolution import columns, parts, sources
from sangbo.errors import ConversionError
from sangbo.graph import Convolution, Graph, Linear, Window
from sangbo.progress import Progress
from sangbo.sources import Grid

DAMPING = 0.01
"""Added to the diagonal of H, as a share of its mean: what no token has shown."""
MOST_CHANNELS = 6144
"""Inputs of a weight beyond which it keeps its plain rounding: the factor takes their cube."""
MOST_BYTES = 2**30
"""Memory of the sums of squares that are held at once; a larger network is read several times."""
MOST_PLACES = 1024
"""About how many outputs of a convolution are looked at in a reading."""
FEW = 64
"""Inputs of a weight up to which several scales are tried for each output, …"""
SCALES = np.linspace(1, 1.25, 64, dtype=np.float32)
"""… these multiples of the one that just clips nothing."""
_BLOCK = 32


def refine(
    graph: Graph,
    grids: Mapping[str, Grid],
    fixed: frozenset[str],
    readings: Sequence[Reading],
    progress: Progress,
) -> dict[str, Grid]:
    """The same grids, rounded to second order; of small kernels with other scales.

    Args:
        graph: the float graph.
        grids: of the values tensors of its Linears and convolutions.
        fixed: names of tensors that stay: what a file held, and tables. Weights of cells stay too.
        readings: what to read.
        progress: told the share that is done.
    """
    readers: dict[Reader, list[str]] = {}
    for operation in graph.operations:
        if not isinstance(operation, Linear | Convolution) or operation.weight.values in fixed:
            continue
        reader = Reader.of(operation, graph)
        if reader.inputs <= MOST_CHANNELS:
            names = readers.setdefault(reader, [])
            if operation.weight.values not in names:
                names.append(operation.weight.values)
    refined = dict(grids)
    for step, (reader, squares) in enumerate(_squares(graph, list(readers), readings)):
        progress("rounding to second order", step / len(readers))
        plain = [shrunk(own, round(float(own.trace()))) for own in squares]
        factors = [Factor.of(own) for own in plain]
        for name in readers[reader]:
            weights, grid = graph.tensors[name], grids[name]
            some = np.array_split(np.arange(len(weights)), len(factors))  # rows of each group
            rounded = [
                best_scales(weights[own], grid.take(own), factor, group)
                for own, factor, group in zip(some, factors, plain, strict=True)
            ]
            refined[name] = replace(
                grid,
                values=np.concatenate([part.values for part in rounded]),
                scale=np.concatenate([part.scale for part in rounded]),
            )
    return refined


@dataclass(frozen=True, slots=True)
class Reader:
    """What weights read of a value: its rows, or what each output of a convolution sees of it.

    Attributes:
        value: the value.
        inputs: numbers in a row.
        groups: of channels that are read apart.
        windows: of the axes of space; none for rows as they are.
    """

    value: str
    inputs: int
    groups: int = 1
    windows: tuple[Window, ...] = ()

    @classmethod
    def of(cls, operation: Linear | Convolution, graph: Graph) -> Self:
        """What ``operation`` reads."""
        inputs = graph.tensors[operation.weight.values].shape[1]
        if isinstance(operation, Linear):
            return cls(operation.input, inputs)
        sliding = operation.windows(graph.values[operation.input])
        return cls(operation.input, inputs, operation.groups, sliding)

    def rows(self, x: Array) -> Real:
        """Some of what is read of ``x``: (groups, rows, inputs)."""
        x = x.astype(np.float32, copy=False)
        if not self.windows:
            return x.reshape(1, -1, self.inputs)
        seen = sources(self.windows)
        places = len(seen) * len(x)
        return parts(columns(x, seen[:: max(1, places // MOST_PLACES)]), self.groups)


def measured(
    graph: Graph, wanted: Sequence[str], readings: Sequence[Reading]
) -> Iterator[tuple[str, Real]]:
    """Σ x·xᵀ / ‖x‖² of each wanted value over the rows of ``readings``, some values at a time."""
    rows = [Reader(value, graph.values[value].channels) for value in wanted]
    for reader, squares in _squares(graph, rows, readings):
        yield reader.value, squares[0]


def _squares(
    graph: Graph, wanted: Sequence[Reader], readings: Sequence[Reading]
) -> Iterator[tuple[Reader, Real]]:
    """The same of what each reads, (groups, inputs, inputs)."""
    engine = Reference(graph)
    left = list(wanted)
    while left:
        taken = [left.pop(0)]
        size = 0
        while left and size + 4 * left[0].groups * left[0].inputs ** 2 <= MOST_BYTES:
            size += 4 * left[0].groups * left[0].inputs ** 2
            taken.append(left.pop(0))
        sums = {r: np.zeros((r.groups, r.inputs, r.inputs), np.float32) for r in taken}
        for reading in readings:
            found = {**reading.inputs, **reading.run(engine, keep=[r.value for r in taken])}
            for reader in taken:
                x = reader.rows(found[reader.value])
                power = np.einsum("grc,grc->gr", x, x)
                unit = x / np.sqrt(np.where(power > 0, power, np.float32(1)))[..., None]
                sums[reader] += unit.transpose(0, 2, 1) @ unit
        yield from ((reader, sums.pop(reader)) for reader in taken)


def shrunk(squares: Real, rows: int) -> NDArray[np.float64]:
    """H of a sum of squares over ``rows``, its correlations believed by rows / (rows + channels).

    Raises:
        ConversionError: where something is NaN or ∞.
    """
    if not np.isfinite(squares).all():
        raise ConversionError("expected finite inputs to round weights for, found NaN or ∞")
    channels = len(squares)
    found = squares.astype(np.float64) * (rows / (rows + channels))
    power = squares.diagonal().astype(np.float64)
    found[np.diag_indices(channels)] = power + DAMPING * power.mean() + 1e-30
    return found


@dataclass(frozen=True, slots=True)
class Factor:
    """How the error of one column is spread over the later ones.

    Attributes:
        order: columns by falling H[i, i].
        upper: U of H⁻¹ = UᵀU, upper triangular, in that order.
    """

    order: NDArray[np.intp]
    upper: Real

    @classmethod
    def of(cls, squares: NDArray[np.float64]) -> Self:
        """Factor H, (inputs, inputs); raises `ConversionError` unless it is positive definite."""
        order = np.argsort(-squares.diagonal(), kind="stable")
        try:
            lower = np.linalg.cholesky(np.linalg.inv(squares[np.ix_(order, order)]))
        except np.linalg.LinAlgError as error:
            raise ConversionError(
                f"expected inputs that weights can be rounded for: {error}"
            ) from None
        return cls(order, lower.T.astype(np.float32))


def second_order(weights: Real, grid: Grid, factor: Factor) -> Grid:
    """Integers on the scales of ``grid`` such that W·x changes least.

    Args:
        weights: W, (outputs, inputs).
        grid: its scales, minima and bits; its integers are replaced.
        factor: of H, (inputs, inputs).
    """
    lowest, highest = (0, 15) if grid.bits == 4 else (-127, 127)
    scales = np.ascontiguousarray(grid.scale.astype(np.float32).T)
    minima = np.zeros_like(scales)
    if grid.minimum is not None:
        minima = np.ascontiguousarray(grid.minimum.astype(np.float32).T)

    def nearest(column: int, wanted: Real) -> tuple[Real, Real]:
        scale, minimum = scales[column // grid.group], minima[column // grid.group]
        rounded = np.clip(np.rint((wanted - minimum) / scale), lowest, highest)
        return rounded, rounded * scale + minimum

    values = rounded_columns(weights, factor, nearest)
    if grid.bits == 4:
        low, high = values[:, 0::2].astype(np.uint8), values[:, 1::2].astype(np.uint8)
        return replace(grid, values=low | (high << 4))
    return replace(grid, values=values)


def best_scales(weights: Real, grid: Grid, factor: Factor, squares: NDArray[np.float64]) -> Grid:
    """As `second_order`; where an output has few inputs, at the scale that loses least.

    A few weights may all lie near whole numbers of one step and not of another. Where there are
    many, all steps of a size lose alike.

    Args:
        weights: W, (outputs, inputs).
        grid: where to begin.
        factor: of H.
        squares: H, (inputs, inputs).
    """
    outputs, inputs = weights.shape
    if inputs > FEW or grid.bits != 8:
        return second_order(weights, grid, factor)
    count = len(SCALES)
    tried = np.repeat(weights, count, axis=0)
    start = grid.take(np.repeat(np.arange(outputs), count))
    scale = start.scale * np.tile(SCALES, outputs)[:, None].astype(grid.scale.dtype)
    found = second_order(tried, replace(start, scale=scale), factor)
    errors = tried - found.reals()
    lost = np.einsum("ri,ij,rj->r", errors, squares, errors, optimize=True)
    return found.take(lost.reshape(outputs, -1).argmin(axis=1) + count * np.arange(outputs))


def rounded_columns(
    weights: Real, factor: Factor, nearest: Callable[[int, Real], tuple[Real, Real]]
) -> NDArray[np.int8]:
    """Integers of W, one column after the other, each error spread over those that are left.

    Args:
        weights: W, (outputs, inputs).
        factor: of H, (inputs, inputs).
        nearest: gives the integers of a column, and what they stand for, from its number and the
            weights wanted there, (outputs,).
    """
    outputs, inputs = weights.shape
    order, upper = factor.order, factor.upper
    left = np.ascontiguousarray(weights[:, order].T)
    levels = np.empty((inputs, outputs), np.int8)
    for start in range(0, inputs, _BLOCK):
        stop = min(start + _BLOCK, inputs)
        block = left[start:stop]
        errors = np.empty_like(block)
        for i in range(stop - start):
            at = start + i
            levels[order[at]], reals = nearest(int(order[at]), block[i])
            errors[i] = (block[i] - reals) / upper[at, at]
            block[i + 1 :] -= upper[at, at + 1 : stop, None] * errors[i]
        left[stop:] -= upper[start:stop, stop:].T @ errors
    return np.ascontiguousarray(levels.T)
