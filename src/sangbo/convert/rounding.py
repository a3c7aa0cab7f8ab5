"""Weights that are fitted to what neurons send, and rounded to second order.

The neuron sends x̂ = θ·n where the original sent x. The weights that change W·x least are
W* = W·E[x·x̂ᵀ]·E[x̂·x̂ᵀ]⁻¹ (Wiener 1949): they trust directions in which x is larger than the error
of its levels. So that few tokens are enough, each channel is taken as a gain and noise of its own
(Bussgang 1952, exact for Gaussian x): x̂ = G·x + d with gains g = E[x·x̂]/E[x²]. Then
E[x·x̂ᵀ] = S·G and E[x̂·x̂ᵀ] = G·S·G + D with S = E[x·xᵀ] and D = diag(E[x̂²] − g²·E[x²]).

W* is then rounded as GPTQ does (Frantar et al. 2022, arXiv 2210.17323): columns one after the
other, each error spread over the columns that are still free. With H = E[x̂·x̂ᵀ] and U the upper
Cholesky factor of H⁻¹, column i with error e gives W[:, j] −= e·U[i, j] / U[i, i], j > i. Columns
go in the order of falling H[i, i]. GPTQ's own input is unquantised; the fit is what GPTAQ (Li et
al. 2025, arXiv 2504.02692) calls asymmetric, here in closed form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sangbo.convert.sites import Site
from sangbo.convert.weights import four_bit, per_channel
from sangbo.engines import Reference, Segment
from sangbo.engines.base import Index, Real
from sangbo.engines.numerics import encode
from sangbo.errors import ConversionError
from sangbo.graph import Graph, Linear
from sangbo.progress import Progress
from sangbo.sources import Grid
from sangbo.tasks.language import whole_reading

DAMPING = 0.01
"""Added to the diagonal of S, as a share of its mean: what no token has shown."""
MOST_BYTES = 2**30
"""Memory of the sums of squares that are held at once; a larger network is read several times."""
_BLOCK = 32


@dataclass(slots=True)
class Moments:
    """Sums over what a value was, and what its neurons send instead.

    Attributes:
        squares: Σ x·xᵀ, (channels, channels) float32.
        cross: Σ x·x̂ of each channel.
        sent: Σ x̂² of each channel.
    """

    squares: Real
    cross: Real
    sent: Real

    @classmethod
    def none(cls, channels: int) -> Self:
        """Moments of nothing yet."""
        zeros = np.zeros((2, channels), np.float32)
        return cls(np.zeros((channels, channels), np.float32), zeros[0], zeros[1])

    def add(self, x: Real, sent: Real) -> None:
        """Add rows of ``x`` and what was sent, (rows, channels) each."""
        self.squares += x.T @ x
        self.cross += np.einsum("rc,rc->c", x, sent)
        self.sent += np.einsum("rc,rc->c", sent, sent)

    def model(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Σ x·x̂ᵀ and Σ x̂·x̂ᵀ by gains and noise, with a little added to S.

        Raises:
            ConversionError: where something is NaN or ∞.
        """
        squares = self.squares.astype(np.float64)
        power = squares.diagonal().copy()
        if not (np.isfinite(squares).all() and np.isfinite(self.sent).all()):
            raise ConversionError("expected finite inputs to fit weights to, found NaN or ∞")
        squares[np.diag_indices(len(squares))] += DAMPING * power.mean() + 1e-30
        silent = (self.sent == 0) | (power == 0)  # nothing is known: as noisy as it is strong
        gain = np.where(silent, 1, self.cross / np.where(silent, 1, power))
        noise = np.where(silent, power, np.maximum(self.sent - gain * gain * power, 0))
        crossed = squares * gain
        return crossed, gain[:, None] * crossed + np.diag(noise)


def refine(
    graph: Graph,
    grids: Mapping[str, Grid],
    fixed: frozenset[str],
    thresholds: Mapping[Site, np.float32],
    passages: Sequence[Index],
    progress: Progress,
) -> dict[str, Grid]:
    """The same grids, their numbers fitted to the levels that will come.

    Args:
        graph: the float graph.
        grids: of the values tensors of its Linears.
        fixed: names of tensors that stay: what a file held, and tables.
        thresholds: θ of every site.
        passages: token ids to read.
        progress: told the share that is done.
    """
    readers: dict[str, list[str]] = {}
    for operation in graph.operations:
        if isinstance(operation, Linear) and operation.weight.values not in fixed:
            names = readers.setdefault(operation.input, [])
            if operation.weight.values not in names:
                names.append(operation.weight.values)
    sites = {site.name: (site, theta) for site, theta in thresholds.items()}
    wanted = {value: sites[value] for value in readers}
    refined = dict(grids)
    for step, (value, moments) in enumerate(measured(graph, wanted, passages)):
        progress("fitting weights", step / len(readers))
        crossed, sent = moments.model()
        fit = fitting(crossed, sent)
        factor = Factor.of(sent)
        for name in readers[value]:
            weights = graph.tensors[name] @ fit
            grid = four_bit(weights) if grids[name].bits == 4 else per_channel(weights)
            refined[name] = second_order(weights, grid, factor)
    return refined


def measured(
    graph: Graph, wanted: Mapping[str, tuple[Site, np.float32]], passages: Sequence[Index]
) -> Iterator[tuple[str, Moments]]:
    """Moments of each value over all rows of ``passages``, some values at a time."""
    engine = Reference(graph)
    left = list(wanted)
    while left:
        taken = [left.pop(0)]
        size = 0
        while left and size + 4 * graph.values[left[0]].channels ** 2 <= MOST_BYTES:
            size += 4 * graph.values[left[0]].channels ** 2
            taken.append(left.pop(0))
        sums = {value: Moments.none(graph.values[value].channels) for value in taken}
        for tokens in passages:
            segment = Segment(engine.cache(len(tokens)), len(tokens))
            found = engine.run(whole_reading(tokens), [segment], keep=taken)
            for value in taken:
                site, theta = wanted[value]
                x = found[value].astype(np.float32, copy=False)
                levels = encode(x, np.asarray(np.float32(1) / theta), site.lowest, site.highest)
                sums[value].add(x, levels * theta)
        yield from ((value, sums.pop(value)) for value in taken)


def fitting(crossed: NDArray[np.float64], sent: NDArray[np.float64]) -> Real:
    """E[x·x̂ᵀ]·E[x̂·x̂ᵀ]⁻¹, which W is multiplied by from the right, float32 (inputs, inputs).

    Raises:
        ConversionError: where no such matrix exists.
    """
    try:
        fit: Real = np.linalg.solve(sent, crossed.T).T.astype(np.float32)
    except np.linalg.LinAlgError as error:
        raise ConversionError(f"expected inputs that weights can be fitted to: {error}") from None
    return fit


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
    outputs, inputs = weights.shape
    lowest, highest = (0, 15) if grid.bits == 4 else (-127, 127)
    scales = np.ascontiguousarray(grid.scale.astype(np.float32).T)
    minima = np.zeros_like(scales)
    if grid.minimum is not None:
        minima = np.ascontiguousarray(grid.minimum.astype(np.float32).T)
    order, upper = factor.order, factor.upper
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
