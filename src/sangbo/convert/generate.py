"""Weights from a generator, searched to second order: what one column got wrong, others put right.

As in `sangbo.convert.rounding`: columns one after the other, each error spread over the columns
that are still free. A column is what a generator makes in a few blocks, so within a block the
search is over all its weights at once; see `sangbo.compress.generated`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from sangbo.compress.generated import DEVIATION, Generated, Recipe
from sangbo.convert.rounding import Factor, measured, shrunk
from sangbo.engines import Reading
from sangbo.engines.base import Real
from sangbo.graph import Graph, Linear
from sangbo.progress import Progress
from sangbo.sources import Grid

SPREAD = 30.0
"""Root mean square of a row's integers, where no weight is too large for it."""
REACH = 3.5
"""Weights that are so many times their row's root mean square are stored as they are: no generator
reaches them, and a network may hang on a single one (Yu et al. 2024, arXiv 2411.07191)."""
_BLOCK = 32


def generate_weights(
    graph: Graph,
    recipes: Mapping[str, Recipe],
    readings: Sequence[Reading],
    progress: Progress,
) -> tuple[dict[str, Grid], dict[str, Generated]]:
    """Grids of generated integers, and what they are generated from.

    Args:
        graph: the float graph.
        recipes: of the values tensors of those Linears whose weights are to be generated.
        readings: what they read; errors are weighed by it.
        progress: told the share that is done.
    """
    readers: dict[str, list[str]] = {}
    for operation in graph.operations:
        if isinstance(operation, Linear) and operation.weight.values in recipes:
            names = readers.setdefault(operation.input, [])
            if operation.weight.values not in names:
                names.append(operation.weight.values)
    whole = sum(graph.tensors[name].size for names in readers.values() for name in names)
    done = 0
    grids: dict[str, Grid] = {}
    found: dict[str, Generated] = {}
    for value, squares in measured(graph, list(readers), readings):
        factor = Factor.of(shrunk(squares, round(float(squares.trace()))))
        for name in readers[value]:
            weights, begun = graph.tensors[name], done

            def told(share: float, begun: int = begun, size: int = weights.size) -> None:
                progress("searching seeds of weights", (begun + share * size) / whole)

            grids[name], found[name] = generate(weights, recipes[name], factor, told)
            done += weights.size
    return grids, found


def generate(
    weights: Real, recipe: Recipe, factor: Factor, told: Callable[[float], None]
) -> tuple[Grid, Generated]:
    """A generated matrix near W, such that W·x changes least.

    Args:
        weights: W, (outputs, inputs).
        recipe: how weights are generated.
        factor: of H, (inputs, inputs).
        told: the share of the columns that is done.
    """
    from sangbo import _compress

    recipe.check()
    outputs, inputs = weights.shape
    power = np.sqrt(np.square(weights, dtype=np.float64).mean(axis=1))
    largest = np.abs(weights).max(axis=1) / np.where(power > 0, power, 1.0)
    spread = min(SPREAD, 120.0 / max(1.0, float(largest.max())))
    power /= spread
    scale = np.where(power > 0, power, 1.0).astype(np.float16)
    scale = np.where(scale > 0, scale, np.finfo(np.float16).smallest_subnormal)
    row = scale.astype(np.float32)
    importance = np.square(row / row.max())
    blocks, sizes = recipe.blocks(outputs), recipe.sizes(outputs)
    search = _compress.Search(recipe.state_bits, recipe.quarters)
    bits = np.empty((inputs, sum(sizes)), np.uint8)
    coefficients = np.empty((inputs, len(blocks)), np.uint8)
    far = np.zeros((inputs, outputs), bool)
    order, upper = factor.order, factor.upper
    left = np.ascontiguousarray(weights[:, order].T)
    levels = np.empty((inputs, outputs), np.int8)
    for start in range(0, inputs, _BLOCK):
        told(start / inputs)
        stop = min(start + _BLOCK, inputs)
        block = left[start:stop]
        errors = np.empty_like(block)
        for i in range(stop - start):
            at, begin = order[start + i], 0
            target = np.ascontiguousarray(block[i] / row)
            far[at] = np.abs(target) > REACH * spread
            free = np.where(far[at], np.float32(0), importance)
            for place, (part, size) in enumerate(zip(blocks, sizes, strict=True)):
                coefficient = _coefficient(target[part][~far[at, part]], recipe)
                coefficients[at, place] = coefficient
                search.find(
                    target[part],
                    free[part],
                    coefficient,
                    bits[at, begin : begin + size],
                    levels[at, part],
                )
                begin += size
            levels[at, far[at]] = np.clip(np.rint(target[far[at]]), -127, 127)
            errors[i] = (block[i] - levels[at] * row) / upper[start + i, start + i]
            block[i + 1 :] -= upper[start + i, start + i + 1 : stop, None] * errors[i]
        left[stop:] -= upper[start:stop, stop:].T @ errors
    values = np.ascontiguousarray(levels.T)
    places = np.flatnonzero(far.T).astype(np.uint32)
    stored = values.reshape(-1)[places]
    generated = Generated(recipe, (outputs, inputs), bits, coefficients, places, stored)
    return Grid(8, inputs, values, scale[:, None]), generated


def _coefficient(target: Real, recipe: Recipe) -> int:
    """What scales the generator's numbers to a block's: less where few bits leave much out."""
    power = float(np.sqrt(np.square(target).mean())) if target.size else 0.0
    kept = 1.0 - 4.0 ** (-recipe.quarters / 4)
    return int(np.clip(round(power * np.sqrt(kept) * WIDER * 256 / DEVIATION), 1, 255))


WIDER = 1.06
"""How much wider the numbers are than theory's: longest ones are rare where states are few."""
