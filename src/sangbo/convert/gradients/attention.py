"""Gradients of attention."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sangbo.convert.gradients.backward import inner, vjp
from sangbo.engines.base import Array, Real
from sangbo.graph import Attention, Graph


@vjp.register
def _(
    operation: Attention, graph: Graph, values: Mapping[str, Array], gradient: Real
) -> dict[str, Real]:
    q, k, v = (
        _by_head(values[n], operation.group if i else 1, operation)
        for i, n in enumerate(operation.inputs())
    )
    unnormalised = _probabilities(operation, graph, values)
    total = unnormalised.sum(axis=-1, keepdims=True)
    p = unnormalised / total
    dy = _by_head(gradient, 1, operation)
    dp = dy @ v.swapaxes(-1, -2)
    centred = dp - (dp * p).sum(axis=-1, keepdims=True)
    ds = p * centred * np.float32(operation.scale)
    parts = (
        (operation.query, ds @ k, 1),
        (operation.key, ds.swapaxes(-1, -2) @ q, operation.group),
        (operation.value, p.swapaxes(-1, -2) @ dy, operation.group),
    )
    found = {f"{operation.output}.probability": centred / total}
    for name, part, repeat in parts:
        spread = _by_row(part, repeat).reshape(values[name].shape)
        found[name] = found[name] + spread if name in found else spread
    return found


@inner.register
def _(operation: Attention, graph: Graph, values: Mapping[str, Array]) -> dict[str, Real]:
    return {f"{operation.output}.probability": _probabilities(operation, graph, values)}


def _probabilities(operation: Attention, graph: Graph, values: Mapping[str, Array]) -> Real:
    q = _by_head(values[operation.query], 1, operation)
    k = _by_head(values[operation.key], operation.group, operation)
    scores = (q @ k.swapaxes(-1, -2)) * np.float32(operation.scale)
    distance = np.arange(scores.shape[-1]) - np.arange(scores.shape[-2])[:, None]
    if operation.distances is not None:
        table = graph.tensors[operation.distances]
        most = table.shape[1] // 2
        scores = scores + table[:, np.clip(distance, -most, most) + most]
    if operation.causal:
        scores = np.where(distance > 0, np.float32(-np.inf), scores)
    shifted: Real = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return shifted


def _by_head(x: Array, repeat: int, operation: Attention) -> Real:
    """([samples,] rows, heads·size) → (samples, heads, rows, size), key heads ``repeat`` times."""
    heads, rows = operation.heads // repeat, x.shape[-2]
    split: Real = x.reshape(-1, rows, heads, x.shape[-1] // heads).transpose(0, 2, 1, 3)
    return split if repeat == 1 else np.repeat(split, repeat, axis=1)


def _by_row(x: Real, repeat: int) -> Real:
    """The reverse of `_by_head`: repeated heads are added up. → (samples, rows, heads·size)."""
    if repeat > 1:
        x = x.reshape(len(x), -1, repeat, *x.shape[2:]).sum(axis=2)
    rows: Real = x.transpose(0, 2, 1, 3).reshape(len(x), x.shape[2], -1)
    return rows
