"""Gradients of recurrent cells, from the last row to the first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sangbo.convert.gradients.backward import inner, vjp
from sangbo.engines.base import Array, Real
from sangbo.engines.numerics import sigmoid, tanh
from sangbo.graph import Graph, Recurrent


@vjp.register
def _(
    operation: Recurrent, graph: Graph, values: Mapping[str, Array], gradient: Real
) -> dict[str, Real]:
    x, passed = _ordered(operation, values), _passed(operation, graph, values)
    dy = _turned(gradient.reshape(*x.shape[:2], -1), operation)
    weight = passed.weight
    dx, sent = np.zeros_like(x), np.zeros_like(dy)
    dh = dc = np.zeros_like(dy[:, 0])
    for row in reversed(range(x.shape[1])):
        if weight is None:
            dh = dh + np.where(passed.after[:, row] > 0, dy[:, row], np.float32(0))
            dx[:, row], dh = _ssru(x[:, row], passed.before[:, row], dh)
            continue
        dh = dh + dy[:, row]
        u = passed.share(row)
        if operation.cell == "lstm":
            dx[:, row], du, dh, dc = _lstm(x[:, row] + u, passed.cell[:, row], dh, dc)
        else:
            dx[:, row], du, dh = _gru(x[:, row], u, passed.before[:, row], dh)
        sent[:, row] = du @ weight
        dh = dh + sent[:, row]
    shape = values[operation.output].shape
    found = {operation.input: _turned(dx, operation).reshape(values[operation.input].shape)}
    if weight is not None:
        found[f"{operation.output}.state"] = _turned(sent, operation).reshape(shape)
    if operation.initial is not None:
        spread = np.zeros_like(values[operation.initial])
        if len(spread):
            spread[-1] = dh[0]
        found[operation.initial] = spread
    return found


@inner.register
def _(operation: Recurrent, graph: Graph, values: Mapping[str, Array]) -> dict[str, Real]:
    if operation.weight is None:
        return {}
    before = _turned(_passed(operation, graph, values).before, operation)
    return {f"{operation.output}.state": before.reshape(values[operation.output].shape)}


@dataclass(frozen=True, slots=True)
class _Passed:
    """States along the rows of (B, T, …), in the order in which they run.

    Attributes:
        before: h, or c of ``ssru``, before each row.
        after: the same after it.
        cell: (B, T, size) c of ``lstm`` before each row.
        weight: W; None for ``ssru``.
        bias: b.
    """

    before: Real
    after: Real
    cell: Real
    weight: Array | None
    bias: Array

    def share(self, row: int) -> Real:
        """W·h + b of one row."""
        if self.weight is None:
            return np.zeros_like(self.before[:, row])
        share: Real = self.before[:, row] @ self.weight.T + self.bias
        return share


def _passed(operation: Recurrent, graph: Graph, values: Mapping[str, Array]) -> _Passed:
    x = _ordered(operation, values)
    size = values[operation.output].shape[-1]
    result = _turned(values[operation.output].reshape(*x.shape[:2], size), operation)
    first = np.zeros((len(x), size), np.float32)
    if operation.initial is not None and len(values[operation.initial]):
        first = values[operation.initial][-1:]
    weight = None if operation.weight is None else graph.tensors[operation.weight.values]
    bias = np.float32(0) if operation.bias is None else graph.tensors[operation.bias]
    after, cell = result, np.zeros_like(result)
    if operation.cell == "ssru":
        after, state = np.empty_like(result), first
        for row in range(x.shape[1]):
            forget, new = np.split(x[:, row], 2, axis=-1)
            state = sigmoid(forget) * state + (1 - sigmoid(forget)) * new
            after[:, row] = state
    before = np.concatenate([first[:, None], after[:, :-1]], axis=1)
    passed = _Passed(before, after, cell, weight, np.asarray(bias))
    if operation.cell == "lstm":
        state = np.zeros_like(first)
        for row in range(x.shape[1]):
            cell[:, row] = state
            i, f, g, _ = np.split(x[:, row] + passed.share(row), 4, axis=-1)
            state = sigmoid(f) * state + sigmoid(i) * tanh(g)
    return passed


def _ssru(x: Real, before: Real, dh: Real) -> tuple[Real, Real]:
    forget, new = np.split(x, 2, axis=-1)
    kept = sigmoid(forget)
    open_ = dh * (before - new) * kept * (1 - kept)
    return np.concatenate([open_, dh * (1 - kept)], axis=-1), dh * kept


def _lstm(a: Real, before: Real, dh: Real, dc: Real) -> tuple[Real, Real, Real, Real]:
    """→ gradients of x, u, h (through the gates alone: none) and c."""
    i, f, g, o = np.split(a, 4, axis=-1)
    i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
    shown = tanh(f * before + i * g)
    dc = dc + dh * o * (1 - shown * shown)
    da = np.concatenate(
        [
            dc * g * i * (1 - i),
            dc * before * f * (1 - f),
            dc * i * (1 - g * g),
            dh * shown * o * (1 - o),
        ],
        axis=-1,
    )
    return da, da, np.zeros_like(dh), dc * f


def _gru(x: Real, u: Real, before: Real, dh: Real) -> tuple[Real, Real, Real]:
    """→ gradients of x, u and of the h that z keeps."""
    (x_r, x_z, x_n), (u_r, u_z, u_n) = np.split(x, 3, axis=-1), np.split(u, 3, axis=-1)
    r, z = sigmoid(x_r + u_r), sigmoid(x_z + u_z)
    n = tanh(x_n + r * u_n)
    dn = dh * (1 - z) * (1 - n * n)
    dz = dh * (before - n) * z * (1 - z)
    dr = dn * u_n * r * (1 - r)
    dx = np.concatenate([dr, dz, dn], axis=-1)
    du = np.concatenate([dr, dz, dn * r], axis=-1)
    return dx, du, dh * z


def _ordered(operation: Recurrent, values: Mapping[str, Array]) -> Real:
    """The input as (B, T, gates·size), the rows in the order in which they run."""
    x = values[operation.input]
    return _turned(x if x.ndim == 3 else x[None], operation)


def _turned(x: Real, operation: Recurrent) -> Real:
    return x[:, ::-1] if operation.reverse else x
