"""Weights met by levels: int32 accumulators, and the reals that they settle to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sangbo.engines import numerics
from sangbo.engines.base import Array, Levels, Product, Real
from sangbo.graph import Graph, Weight


def weight_integers(weight: Weight, graph: Graph) -> Array:
    """The integers of a weight, (outputs, inputs): int8, or uint8 0…15 for 4 bits."""
    values = graph.tensors[weight.values]
    return numerics.unpack_nibbles(values) if weight.bits == 4 else values


def largest_integer(weight: Weight) -> int:
    """Bound on the magnitude of a weight's integers."""
    return 15 if weight.bits == 4 else 127


def accumulate(levels: Levels, weight: Weight, graph: Graph, product: Product) -> Real:
    """Σ_groups scale·a + minimum·s from int32 accumulators a and level sums s. (R, K) → (R, O).

    Levels (C, R, K) are those of C parts, each of which meets its own share of the outputs:
    (C, R, K) → (R, O), as in a grouped convolution.
    """
    largest = largest_integer(weight)
    numerics.check_accumulators(levels, largest)
    parts, rows = (1, len(levels)) if levels.ndim == 2 else levels.shape[:2]

    def sums(part: slice, integers: Array) -> tuple[Levels, Levels]:
        group = levels[..., part]
        totals = group.sum(axis=-1, dtype=np.int32)
        if levels.ndim == 2:
            return product(group, integers, largest), totals[:, None]
        own = integers.reshape(parts, -1, integers.shape[-1])
        found = product(group, own, largest).transpose(1, 0, 2)
        return found.reshape(rows, -1), np.repeat(totals.T, own.shape[1], axis=1)

    return settle(rows, weight, graph, sums)


def settle(
    rows: int,
    weight: Weight,
    graph: Graph,
    sums: Callable[[slice, Array], tuple[Levels, Levels]],
) -> Real:
    """Σ_groups scale·a + minimum·s, the groups in order. → (rows, O).

    Args:
        rows: how many.
        weight: of the operation.
        graph: holds its tensors.
        sums: inputs of a group, and their integers (O, group) → accumulators a (rows, O) and level
            sums s, (rows, 1) or (rows, O).
    """
    integers = weight_integers(weight, graph)
    scale = graph.tensors[str(weight.scale)].astype(np.float32)
    minimum = None
    if weight.minimum is not None:
        minimum = graph.tensors[weight.minimum].astype(np.float32)
    y = np.zeros((rows, len(integers)), np.float32)
    for group in range(scale.shape[1]):
        part = slice(group * weight.group, (group + 1) * weight.group)
        accumulators, totals = sums(part, integers[:, part])
        y += accumulators.astype(np.float32) * scale[:, group]
        if minimum is not None:
            y += totals.astype(np.float32) * minimum[:, group]
    return y


def dequantise(weight: Weight, graph: Graph, rows: Array | None = None) -> Real:
    """The reals that a weight stands for, all of it or chosen rows. → (rows, inputs)."""
    chosen: Any = slice(None) if rows is None else rows
    values = graph.tensors[weight.values][chosen]
    if weight.bits == 32:
        return np.asarray(values, np.float32)
    if weight.bits == 4:
        packed = values.reshape(-1, values.shape[-1])
        values = numerics.unpack_nibbles(packed).reshape(*values.shape[:-1], 2 * packed.shape[-1])
    grid = (*values.shape[:-1], values.shape[-1] // weight.group, weight.group)
    y = values.reshape(grid).astype(np.float32)
    y *= graph.tensors[str(weight.scale)][chosen].astype(np.float32)[..., None]
    if weight.minimum is not None:
        y += graph.tensors[weight.minimum][chosen].astype(np.float32)[..., None]
    reals: Real = y.reshape(values.shape)
    return reals
