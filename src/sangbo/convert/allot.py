"""Steps for every weight, such that each bit takes as much loss away as any other.

Rounding W to W + E moves the predictions by about

    D = ½·Σ_o f_o · e_o·H·e_oᵀ   nats per token,

with H the mean x·xᵀ / ‖x‖² of inputs and f_o the mean of g²·‖x‖², g = ∂ log p(label) / ∂ y_o and
the labels drawn from the network's own predictions (Fisher information; K-FAC, Martens and Grosse
2015, takes the same factors). Rounded to second order (`sangbo.convert.rounding`), column i with
steps Δ adds f_o·Δ² / (12·U_ii²) to 2·D. Entropy-coded at all but the lowest rates a weight costs
log2(1/Δ) bits and a constant, so D is least for given bits where every weight adds as much:

    Δ_oi² = 12·λ·U_ii² / f_o

for one λ in the whole network (reverse water-filling, Cover and Thomas, chapter 10.3; for the
columns of one matrix, Lifar et al. 2026, arXiv 2603.04956). No table says which layer gets how
many bits.

A row of the table that is both embedding and head is a token: what it costs is the chance that it
is said, and what it does as the first value of the network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sangbo.compress.allotted import LARGEST_STEP, Allotted, steps
from sangbo.convert.gradients import backward, inner
from sangbo.convert.rounding import Factor, measured, rounded_columns, shrunk
from sangbo.engines import Reading, Reference
from sangbo.engines.base import Real
from sangbo.errors import ConversionError
from sangbo.graph import Embedding, Graph, Linear
from sangbo.progress import Progress
from sangbo.sources import Grid
from sangbo.tasks import Task, task_of

UNKNOWN = 0.05
"""Share of what rows are worth that all rows of a matrix get alike: few tokens were seen."""
GRADIENTS = 4
"""Readings that gradients are taken of; one costs as much as several without."""
HEADROOM = 1.02
"""How much larger a weight may get while errors of others are put right in it."""
Nats = NDArray[np.float64]


@dataclass(slots=True)
class Worth:
    """What errors cost, by the weight's name, as means over tokens.

    Attributes:
        rows: f_o of each output.
        first: for a table that is also an embedding, the mean g² of each channel it gives.
    """

    rows: dict[str, Nats]
    first: dict[str, Nats]


def worths(
    graph: Graph, readings: Sequence[Reading], progress: Progress, task: Task | None = None
) -> Worth:
    """Measure what errors of every Linear's outputs cost, from at most `GRADIENTS` readings.

    Raises:
        ConversionError: where an output does not reach the network's.
    """
    engine, task = Reference(graph), task or task_of(graph)
    output, likelihood = task.output(graph), task.likelihood(graph)
    linear = [o for o in graph.operations if isinstance(o, Linear)]
    names = {o.weight.values for o in linear}
    tables = [o for o in graph.operations if isinstance(o, Embedding) and o.weight.values in names]
    kept = [o.output for o in graph.operations]
    wanted = {o.output for o in (*linear, *tables)}
    rng, count = np.random.default_rng(0), 0
    worth = Worth({}, {})

    def add(into: dict[str, Nats], name: str, values: Real) -> None:
        found = values.sum(axis=0, dtype=np.float64)
        into[name] = into[name] + found if name in into else found

    some = readings[:GRADIENTS]
    for step, reading in enumerate(some):
        progress("measuring what weights are worth", step / len(some))
        values = {**reading.run(engine, keep=kept), **reading.inputs}
        for operation in graph.operations:
            values.update(inner(operation, graph, values))
        seed = likelihood.gradient(values[output], rng)
        gradients = backward(graph, values, output, seed, wanted - {output})
        squares = {name: np.square(g) for name, g in gradients.items()}
        squares[output] = likelihood.information(values[output])
        count += likelihood.predictions(seed)
        for o in linear:
            if o.output not in squares:
                raise ConversionError(
                    f"expected {o.output!r} to reach {output!r}, found it does not"
                )
            x, f = (v.reshape(-1, v.shape[-1]) for v in (values[o.input], squares[o.output]))
            add(worth.rows, o.weight.values, f * np.einsum("rc,rc->r", x, x)[:, None])
        for table in tables:
            add(worth.first, table.weight.values, squares[table.output])
    for found in (worth.rows, worth.first):
        for name, total in found.items():
            found[name] = total / count
    return worth


@dataclass(frozen=True, slots=True)
class Matrix:
    """One matrix before its steps are known.

    Attributes:
        name: of its values tensor.
        factor: of H.
        rows: f_o, smoothed.
    """

    name: str
    factor: Factor
    rows: Nats

    @property
    def fineness(self) -> tuple[Nats, Nats]:
        """Δ at λ = 1/12: a factor for each row, and one for each column in their own order."""
        diagonal = np.empty(len(self.factor.order))
        diagonal[self.factor.order] = self.factor.upper.diagonal()
        return 1 / np.sqrt(self.rows), diagonal


def matrices(
    graph: Graph, readings: Sequence[Reading], worth: Worth, progress: Progress
) -> Iterator[Matrix]:
    """The matrices of all Linears, each by what its first reader has for inputs."""
    readers: dict[str, list[str]] = {}
    placed: set[str] = set()
    for operation in graph.operations:
        if isinstance(operation, Linear) and operation.weight.values not in placed:
            readers.setdefault(operation.input, []).append(operation.weight.values)
            placed.add(operation.weight.values)
    for step, (value, squares) in enumerate(measured(graph, list(readers), readings)):
        progress("measuring what weights read", step / len(readers))
        rows = float(squares.trace())
        plain = shrunk(squares, round(rows)) / rows
        shared: Factor | None = None
        for name in readers[value]:
            found, scale = worth.rows[name], worth.rows[name].mean()
            if not np.isfinite(scale) or scale <= 0:
                raise ConversionError(f"expected {name!r} to matter, found gradients of {scale}")
            smoothed = (1 - UNKNOWN) * found + UNKNOWN * scale
            if name in worth.first:  # both of its sides share the chance that o is said
                both = plain + np.diag(worth.first[name] / found.sum())
                yield Matrix(name, Factor.of(both), smoothed)
                continue
            shared = shared or Factor.of(plain)
            yield Matrix(name, shared, smoothed)


@dataclass(frozen=True, slots=True)
class Rate:
    """Bits that a matrix takes, its weights taken as normally distributed in each row.

    Attributes:
        name: of its values tensor.
        size: weights.
        fineness: standard deviations of a weight in steps at λ = 1/12, for a sample of them.
        held: bits per weight of the grid that its file holds; ∞ without one.
    """

    name: str
    size: int
    fineness: Nats
    held: float

    @classmethod
    def of(cls, matrix: Matrix, weights: Real, held: float) -> Self:
        """The rate of a matrix W whose own grid takes ``held`` bits."""
        rows, columns = matrix.fineness
        power = np.sqrt(np.square(weights).mean(axis=1, dtype=np.float64))
        ratio = np.quantile(power / rows, _PLACES)[:, None] / np.quantile(columns, _PLACES)
        return cls(matrix.name, weights.size, np.maximum(ratio, 1e-300), held)

    def bits(self, multiplier: float) -> float:
        """Per weight, on allotted steps."""
        return float(_bits(np.sqrt(12 * multiplier) / self.fineness).mean()) + TABLES

    def pays(self, multiplier: float) -> bool:
        """Whether allotted steps are worth more than the grid of the file, which loses nothing.

        A weight's λ/2 nats are worth λ/2 · dR/dD = 1 / (2·ln 2) bits of it.
        """
        return self.bits(multiplier) + 1 / (2 * math.log(2)) < self.held

    def least(self, multiplier: float) -> float:
        """Per weight, on whichever of the two pays."""
        return self.bits(multiplier) if self.pays(multiplier) else self.held


TABLES = 0.08
"""Bits per weight of what is stored beside codes: factors, classes, tables."""
_PLACES = (np.arange(32) + 0.5) / 32


def multiplier(rates: Sequence[Rate], bits: float) -> float:
    """λ at which weights take about ``bits`` each.

    Raises:
        ConversionError: where no λ does.
    """
    whole = sum(rate.size for rate in rates)

    def mean(log: float) -> float:
        return sum(rate.least(math.exp(log)) * rate.size for rate in rates) / whole

    low, high = -80.0, 20.0
    if not mean(high) <= bits <= mean(low):
        raise ConversionError(
            f"expected {mean(high):.2f} to {mean(low):.2f} bits per weight, found {bits}"
        )
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if mean(middle) > bits else (low, middle)
    return math.exp((low + high) / 2)


def _bits(ratio: Nats) -> Nats:
    """Entropy in bits of a normal number rounded to steps of ``ratio`` standard deviations."""
    fine = np.log2(_FINEST / ratio)
    found: Nats = np.where(fine > _OCTAVES[-1], fine, np.interp(fine, _OCTAVES, _entropies()))
    return found


_FINEST = float(np.sqrt(2 * np.pi * np.e))
_OCTAVES = np.linspace(-2.0, 6.0, 65)


@cache
def _entropies() -> Nats:
    """By how many octaves steps are finer than √(2πe) standard deviations."""
    found = []
    for step in _FINEST / np.exp2(_OCTAVES):
        edges = (np.arange(-400, 401) + 0.5) * step / np.sqrt(2)
        below = np.array([math.erf(edge) for edge in edges])
        chances = np.diff(below) / 2
        chances = chances[chances > 0]
        found.append(-float(chances @ np.log2(chances)))
    return np.array(found)


def allot(weights: Real, matrix: Matrix, multiplier: float) -> tuple[Grid, Allotted]:
    """W on its allotted steps, rounded to second order, and how it is stored.

    Args:
        weights: W, (outputs, inputs).
        matrix: what errors of it cost.
        multiplier: λ.
    """
    inputs = weights.shape[1]
    wanted, columns = matrix.fineness
    largest = np.abs(weights).max(axis=1) * HEADROOM / LARGEST_STEP
    scale = np.where(largest > 0, largest, 1.0).astype(np.float16)
    scale = np.maximum(scale, np.finfo(np.float16).smallest_subnormal)
    row = scale.astype(np.float32)
    column = (columns / columns.max()).astype(np.float16)
    factors = np.sqrt(12 * multiplier) * wanted * columns.max() / row
    factors = np.clip(np.rint(factors), 1, 255).astype(np.uint8)
    multiples = np.ascontiguousarray(steps(factors, column).T)

    def nearest(place: int, wanted: Real) -> tuple[Real, Real]:
        whole = multiples[place]
        step = whole * row
        most = LARGEST_STEP // whole
        rounded = np.clip(np.rint(wanted / step), -most.astype(np.float32), most)
        return rounded, rounded * step

    levels = rounded_columns(weights, matrix.factor, nearest)
    values = levels * np.ascontiguousarray(multiples.T).astype(np.int8)
    return Grid(8, inputs, values, scale[:, None]), Allotted.of(levels, factors, column)


def allot_weights(
    graph: Graph,
    bits: float,
    held: Mapping[str, int],
    readings: Sequence[Reading],
    progress: Progress,
    task: Task | None = None,
) -> tuple[dict[str, Grid], dict[str, Allotted]]:
    """Grids on allotted steps of the weights of all Linears, and how they are stored if smaller.

    Those whose own grid is cheaper are left out.

    Args:
        graph: the float graph.
        bits: that a weight is to take in the mean, about.
        held: bytes of those that the file holds on a grid.
        readings: what they read; errors are weighed by it.
        progress: told the share that is done.
        task: what the network is for; the one that its graph states by default.
    """
    worth = worths(graph, readings, progress, task)
    tensors: Mapping[str, Real] = graph.tensors
    found, rates = [], []
    for matrix in matrices(graph, readings, worth, progress):
        weights = tensors[matrix.name]
        own = 8 * held[matrix.name] / weights.size if matrix.name in held else math.inf
        found.append(matrix)
        rates.append(Rate.of(matrix, weights, own))
    chosen = multiplier(rates, bits)
    pairs = [
        (m, tensors[m.name]) for m, rate in zip(found, rates, strict=True) if rate.pays(chosen)
    ]
    grids: dict[str, Grid] = {}
    kept: dict[str, Allotted] = {}
    whole, done = sum(weights.size for _, weights in pairs), 0
    for matrix, weights in pairs:
        progress("allotting steps to weights", done / whole)
        grids[matrix.name], stored = allot(weights, matrix, chosen)
        if stored.nbytes < grids[matrix.name].values.nbytes:  # tables outweigh tiny matrices
            kept[matrix.name] = stored
        done += weights.size
    return grids, kept
