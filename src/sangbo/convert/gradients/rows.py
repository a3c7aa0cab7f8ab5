"""Gradients of operations that compute each row, or each element, for itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from sangbo.convert.gradients.backward import vjp
from sangbo.engines.base import Array, Real
from sangbo.engines.numerics import gelu, sigmoid, softmax, tanh
from sangbo.graph import (
    Activation,
    Add,
    Affine,
    Embedding,
    Graph,
    Linear,
    Multiply,
    Norm,
    Rotary,
    Select,
    Softmax,
)

_GELU = (np.float32(0.044715), np.float32(1.5957691216))
_DENSITY = np.float32(1 / np.sqrt(2 * np.pi))


def _gated(x: Real, inner: Real, slope: Real) -> Real:
    """Slope of x·σ(u), given u and its slope."""
    gate = sigmoid(inner)
    found: Real = gate + x * gate * (1 - gate) * slope
    return found


def _gelu_tanh(x: Real) -> Real:
    cubic, factor = _GELU
    inner = factor * (x + cubic * x * x * x)
    return _gated(x, inner, factor + factor * np.float32(3) * cubic * x * x)


def _gelu(x: Real) -> Real:
    normal = np.where(x == 0, np.float32(0.5), gelu(x) / np.where(x == 0, np.float32(1), x))
    found: Real = normal + x * _DENSITY * np.exp(-np.square(x) / 2)
    return found


def _between(x: Real, low: float, high: float) -> Real:
    return ((x > low) & (x < high)).astype(np.float32)


_SLOPES: dict[str, Callable[[Real, float], Real]] = {
    "silu": lambda x, _: _gated(x, x, np.ones_like(x)),
    "gelu": lambda x, _: _gelu(x),
    "gelu_tanh": lambda x, _: _gelu_tanh(x),
    "quick_gelu": lambda x, _: _gated(x, np.float32(1.702) * x, np.full_like(x, np.float32(1.702))),
    "relu": lambda x, _: _between(x, 0, np.inf),
    "relu6": lambda x, _: _between(x, 0, 6),
    "leaky_relu": lambda x, slope: np.where(x < 0, np.float32(slope), np.float32(1)),
    "hardswish": lambda x, _: np.where(
        x >= 3, np.float32(1), _between(x, -3, 3) * (x / 3 + np.float32(0.5))
    ),
    "sigmoid": lambda x, _: sigmoid(x) * (1 - sigmoid(x)),
    "tanh": lambda x, _: 1 - np.square(tanh(x)),
    "sqrt": lambda x, _: np.where(x > 0, np.float32(0.5) / np.sqrt(np.maximum(x, 1e-12)), 0),
}


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
    if operation.gate is not None:
        gradient = np.where(values[operation.gate] != 0, gradient, np.float32(0))
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
    if values[operation.right].shape != gradient.shape:
        right = right.sum(axis=-1, keepdims=True)
    return {operation.left: left, operation.right: right}


@vjp.register
def _(
    operation: Activation, graph: Graph, values: Mapping[str, Array], gradient: Real
) -> dict[str, Real]:
    x: Real = values[operation.input]
    return {operation.input: (gradient * _SLOPES[operation.function](x, operation.slope))}


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
    operation: Affine, graph: Graph, values: Mapping[str, Array], gradient: Real
) -> dict[str, Real]:
    if operation.weight is None:
        return {operation.input: gradient}
    return {operation.input: gradient * graph.tensors[operation.weight]}


@vjp.register
def _(
    operation: Softmax, graph: Graph, values: Mapping[str, Array], gradient: Real
) -> dict[str, Real]:
    y = softmax(values[operation.input], operation.chosen)
    return {operation.input: y * (gradient - (gradient * y).sum(axis=-1, keepdims=True))}
