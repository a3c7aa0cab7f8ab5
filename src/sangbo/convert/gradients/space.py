"""Gradients of convolutions and pools, and of what only moves elements."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from sangbo.convert.gradients.backward import vjp
from sangbo.engines.base import Array, Real
from sangbo.engines.reference.convolution import sources
from sangbo.graph import (
    Concatenate,
    Constant,
    Convolution,
    Graph,
    Pool,
    Reshape,
    Take,
    Transpose,
)


@vjp.register
def _(
    operation: Convolution, graph: Graph, values: Mapping[str, Array], gradient: Real
) -> dict[str, Real]:
    x = values[operation.input]
    seen = sources(operation.windows(graph.values[operation.input]))
    samples, groups = len(x), operation.groups
    weight = graph.tensors[operation.weight.values]
    outputs, own = len(weight) // groups, x.shape[-1] // groups
    tapped = weight.reshape(groups, outputs, seen.shape[1], own)
    given = gradient.reshape(samples * len(seen), groups, outputs).transpose(1, 0, 2)
    spread = _empty(x)
    for tap, positions in enumerate(seen.T):
        part = (given @ tapped[:, :, tap]).transpose(1, 0, 2)
        inside = np.flatnonzero(positions >= 0)
        by_sample = part.reshape(samples, len(seen), x.shape[-1])
        spread[:, positions[inside]] += by_sample[:, inside]
    return {operation.input: spread.reshape(x.shape)}


@vjp.register
def _(
    operation: Pool, graph: Graph, values: Mapping[str, Array], gradient: Real
) -> dict[str, Real]:
    x = values[operation.input]
    seen = sources(operation.windows(graph.values[operation.input]))
    spread = _empty(x)
    given = gradient.reshape(len(x), len(seen), x.shape[-1])
    if operation.form == "mean":
        taps = np.asarray(
            seen.shape[1] if operation.outside else (seen >= 0).sum(axis=1), np.float32
        ).reshape(-1, 1)
        for positions in seen.T:
            inside = np.flatnonzero(positions >= 0)
            spread[:, positions[inside]] += (given / taps)[:, inside]
        return {operation.input: spread.reshape(x.shape)}
    flat = x.reshape(spread.shape)
    candidates = np.where((seen >= 0)[..., None], flat[:, np.maximum(seen, 0)], -np.inf)
    winner = candidates.argmax(axis=2)
    for tap, positions in enumerate(seen.T):
        inside = np.flatnonzero(positions >= 0)
        won = np.where(winner == tap, given, np.float32(0))
        spread[:, positions[inside]] += won[:, inside]
    return {operation.input: spread.reshape(x.shape)}


def _empty(x: Array) -> Real:
    """Zeros for each position of all axes of space, taken as one. (samples, positions, C)."""
    return np.zeros((len(x), math.prod(x.shape[1:-1]), x.shape[-1]), np.float32)


@vjp.register
def _(
    operation: Reshape, graph: Graph, values: Mapping[str, Array], gradient: Real
) -> dict[str, Real]:
    return {operation.input: gradient.reshape(values[operation.input].shape)}


@vjp.register
def _(
    operation: Transpose, graph: Graph, values: Mapping[str, Array], gradient: Real
) -> dict[str, Real]:
    back = np.argsort((0, *operation.axes))
    return {operation.input: np.ascontiguousarray(gradient.transpose(back))}


@vjp.register
def _(
    operation: Take, graph: Graph, values: Mapping[str, Array], gradient: Real
) -> dict[str, Real]:
    spread = np.zeros(values[operation.input].shape, np.float32)
    np.add.at(
        np.moveaxis(spread, operation.axis, 0),
        np.asarray(operation.places),
        np.moveaxis(gradient, operation.axis, 0),
    )
    return {operation.input: spread}


@vjp.register
def _(
    operation: Concatenate, graph: Graph, values: Mapping[str, Array], gradient: Real
) -> dict[str, Real]:
    sizes = [values[n].shape[operation.axis] for n in operation.values]
    found: dict[str, Real] = {}
    for name, part in zip(
        operation.values,
        np.split(gradient, np.cumsum(sizes)[:-1], axis=operation.axis),
        strict=True,
    ):
        found[name] = found[name] + part if name in found else part
    return found


@vjp.register
def _(
    operation: Constant, graph: Graph, values: Mapping[str, Array], gradient: Real
) -> dict[str, Real]:
    return {}
