"""Reverse-mode gradients of a float graph, for measuring how much each value matters.

One backward pass gives ∂ log p(label) / ∂ value for every value that a neuron will encode. Their
squares are the diagonal of the empirical Fisher information: encoding value x as x + δ raises the
Kullback–Leibler divergence of the output by about ½·Σ (∂/∂x)²·δ² (Amari, "Information Geometry").
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import singledispatch

import numpy as np

from sangbo.engines.base import Array, Real
from sangbo.errors import UnsupportedError
from sangbo.graph import (
    Activation,
    Add,
    Attention,
    Embedding,
    Graph,
    Linear,
    Multiply,
    Norm,
    Operation,
    Rotary,
    Select,
)

_GELU = (np.float32(0.044715), np.float32(1.5957691216))


def backward(
    graph: Graph, values: Mapping[str, Array], output: str, seed: Real, wanted: Collection[str]
) -> dict[str, Real]:
    """Gradients of Σ seed·values[output] with respect to the values named in ``wanted``.

    Args:
        graph: a float graph; one causal sequence ran through it from an empty cache.
        values: every value of that run.
        output: the value whose gradient is ``seed``.
        seed: same shape as the output.
        wanted: names of values, or ``NAME.probability`` for the unnormalised probabilities
            e = exp(s − max s) of attention ``NAME``, (heads, rows, rows).

    Raises:
        UnsupportedError: where an operation has no gradient here.
    """
    gradients: dict[str, Real] = {output: seed}
    found: dict[str, Real] = {}
    for operation in reversed(graph.operations):
        gradient = gradients.pop(operation.output, None)
        if gradient is None:
            continue
        if operation.output in wanted:
            found[operation.output] = gradient
        for name, part in vjp(operation, graph, values, gradient).items():
            if name.endswith(".probability"):
                if name in wanted:
                    found[name] = part
                continue
            gradients[name] = gradients[name] + part if name in gradients else part
    found.update({n: g for n, g in gradients.items() if n in wanted})
    return found


@singledispatch
def vjp(
    operation: Operation, graph: Graph, values: Mapping[str, Array], gradient: Real
) -> dict[str, Real]:
    """Gradient for each real input of ``operation``, given the gradient of its output."""
    raise UnsupportedError(f"no gradient is known for a {type(operation).__name__} operation")


@vjp.register
def _(
    operation: Embedding, graph: Graph, values: Mapping[str, Array], gradient: Real
) -> dict[str, Real]:
    return {}


@vjp.register
def _(
    operation: Select, graph: Graph, values: Mapping[str, Array], gradient: Real
) -> dict[str, Real]:
    spread = np.zeros_like(values[operation.input])
    np.add.at(spread, values[operation.rows], gradient)
    return {operation.input: spread}


@vjp.register
def _(
    operation: Linear, graph: Graph, values: Mapping[str, Array], gradient: Real
) -> dict[str, Real]:
    return {operation.input: gradient @ graph.tensors[operation.weight.values]}


@vjp.register
def _(operation: Add, graph: Graph, values: Mapping[str, Array], gradient: Real) -> dict[str, Real]:
    if operation.left == operation.right:
        return {operation.left: gradient + gradient}
    return {operation.left: gradient, operation.right: gradient}


@vjp.register
def _(
    operation: Multiply, graph: Graph, values: Mapping[str, Array], gradient: Real
) -> dict[str, Real]:
    left, right = gradient * values[operation.right], gradient * values[operation.left]
    if operation.left == operation.right:
        return {operation.left: left + right}
    return {operation.left: left, operation.right: right}


@vjp.register
def _(
    operation: Activation, graph: Graph, values: Mapping[str, Array], gradient: Real
) -> dict[str, Real]:
    x: Real = values[operation.input]
    if operation.function == "silu":
        inner, slope = x, np.ones_like(x)
    else:
        cubic, factor = _GELU
        inner = factor * (x + cubic * x * x * x)
        slope = factor + factor * np.float32(3) * cubic * x * x
    gate: Real = np.float32(1) / (np.float32(1) + np.exp(-inner))
    part: Real = gradient * (gate + x * gate * (1 - gate) * slope)
    return {operation.input: part}


@vjp.register
def _(
    operation: Norm, graph: Graph, values: Mapping[str, Array], gradient: Real
) -> dict[str, Real]:
    x = values[operation.input]
    centred = x - x.mean(axis=-1, keepdims=True) if operation.form == "layer" else x
    inverse = 1 / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + operation.epsilon)
    scaled = gradient * graph.tensors[operation.weight]
    unit = centred * inverse
    part = inverse * (scaled - unit * (scaled * unit).mean(axis=-1, keepdims=True))
    if operation.form == "layer":
        part = part - part.mean(axis=-1, keepdims=True)
    return {operation.input: part.astype(np.float32)}


@vjp.register
def _(
    operation: Rotary, graph: Graph, values: Mapping[str, Array], gradient: Real
) -> dict[str, Real]:
    positions = values[operation.positions]
    cos = graph.tensors[operation.cosine][positions][:, None, :]
    sin = graph.tensors[operation.sine][positions][:, None, :]
    first, second = np.split(gradient.reshape(len(gradient), operation.heads, -1), 2, axis=-1)
    turned = np.concatenate([first * cos + second * sin, second * cos - first * sin], axis=-1)
    return {operation.input: turned.reshape(gradient.shape)}


@vjp.register
def _(
    operation: Attention, graph: Graph, values: Mapping[str, Array], gradient: Real
) -> dict[str, Real]:
    q, k, v = (
        _by_head(values[n], operation.group if i else 1, operation)
        for i, n in enumerate(operation.inputs())
    )
    unnormalised = probabilities(operation, values)
    total = unnormalised.sum(axis=-1, keepdims=True)
    p = unnormalised / total
    dy = _by_head(gradient, 1, operation)
    dp = dy @ v.transpose(0, 2, 1)
    centred = dp - (dp * p).sum(axis=-1, keepdims=True)
    ds = p * centred * np.float32(operation.scale)
    return {
        operation.query: _by_row(ds @ k, 1),
        operation.key: _by_row(ds.transpose(0, 2, 1) @ q, operation.group),
        operation.value: _by_row(p.transpose(0, 2, 1) @ dy, operation.group),
        f"{operation.output}.probability": centred / total,
    }


def probabilities(operation: Attention, values: Mapping[str, Array]) -> Real:
    """The e = exp(s − max s) of one sequence that ran from an empty cache. (heads, rows, rows)."""
    q = _by_head(values[operation.query], 1, operation)
    k = _by_head(values[operation.key], operation.group, operation)
    scores = (q @ k.transpose(0, 2, 1)) * np.float32(operation.scale)
    if operation.causal:
        rows = np.arange(scores.shape[-1])
        scores = np.where(rows[None, :] > rows[:, None], np.float32(-np.inf), scores)
    shifted: Real = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return shifted


def _by_head(x: Array, repeat: int, operation: Attention) -> Real:
    """(rows, heads·size) → (heads, rows, size), each key head ``repeat`` times."""
    heads = operation.heads // repeat
    split: Real = x.reshape(len(x), heads, -1).transpose(1, 0, 2)
    return split if repeat == 1 else np.repeat(split, repeat, axis=0)


def _by_row(x: Real, repeat: int) -> Real:
    """The reverse of `_by_head`: repeated heads are added up."""
    if repeat > 1:
        x = x.reshape(-1, repeat, *x.shape[1:]).sum(axis=1)
    rows: Real = x.transpose(1, 0, 2).reshape(x.shape[1], -1)
    return rows
