"""What each operation of a graph does in PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its usual name

from sangbo.errors import UnsupportedError
from sangbo.graph import (
    GATES,
    Activation,
    Add,
    Affine,
    Attention,
    Concatenate,
    Constant,
    Convolution,
    Embedding,
    Graph,
    Linear,
    Multiply,
    Neuron,
    Norm,
    Operation,
    Pool,
    Recurrent,
    Reshape,
    Rotary,
    Select,
    Softmax,
    Take,
    Transpose,
)


@dataclass
class State:
    """What an operation sees while a graph runs.

    Attributes:
        graph: that is run.
        values: by name; levels as floats that hold integers.
        tensor: the current values of a tensor.
    """

    graph: Graph
    values: dict[str, Tensor]
    tensor: Callable[[str], Tensor]

    def worth(self, name: str) -> Tensor:
        """A value as reals: θ·n of levels."""
        threshold = self.graph.values[name].threshold
        value = self.values[name]
        return value if threshold is None else value * self.tensor(threshold)

    def optional(self, name: str | None) -> Tensor | None:
        """A tensor, or none."""
        return None if name is None else self.tensor(name)


@singledispatch
def apply(operation: Operation, state: State) -> Tensor:
    """The result of ``operation``; one function below per type of operation."""
    raise UnsupportedError(f"no {type(operation).__name__} operation is known in PyTorch")


def spikes(x: Tensor, inverse: Tensor, lowest: int, highest: int) -> Tensor:
    """Levels n of x; gradients pass inside lowest … highest as if nothing were rounded."""
    drive = x * inverse
    clamped = drive.clamp(lowest, highest)
    return clamped + (torch.floor(drive + 0.5).clamp(lowest, highest) - clamped).detach()


@apply.register
def _(operation: Embedding, state: State) -> Tensor:
    return F.embedding(state.values[operation.input].long(), state.tensor(operation.weight.values))


@apply.register
def _(operation: Select, state: State) -> Tensor:
    return state.values[operation.input][state.values[operation.rows].long()]


@apply.register
def _(operation: Neuron, state: State) -> Tensor:
    return spikes(
        state.values[operation.input], _inverse(operation.threshold, operation.inverse, state),
        operation.lowest, operation.highest,
    )  # fmt: skip


def _inverse(threshold: str, inverse: str, state: State) -> Tensor:
    """1/θ: of the threshold as it is learned, or the stored one where channels differ."""
    held = state.tensor(inverse)
    return held if held.ndim else 1 / state.tensor(threshold)


@apply.register
def _(operation: Linear, state: State) -> Tensor:
    weight = state.tensor(operation.weight.values)
    y = F.linear(state.worth(operation.input), weight, state.optional(operation.bias))
    return y if operation.gate is None else y * (state.values[operation.gate] != 0)


@apply.register
def _(operation: Convolution, state: State) -> Tensor:
    x = _channels_first(state.worth(operation.input))
    space = x.ndim - 2
    for axis, spread in enumerate(operation.spread, start=2):
        if spread > 1:
            shape = [*x.shape]
            shape[axis] = (shape[axis] - 1) * spread + 1
            wide = x.new_zeros(shape)
            wide[(slice(None),) * axis + (slice(None, None, spread),)] = x
            x = wide
    x = F.pad(x, [n for sides in reversed(operation.padding) for n in sides])
    matrix = state.tensor(operation.weight.values)
    kernel = matrix.reshape(len(matrix), *operation.kernel, -1).movedim(-1, 1)
    slide = F.conv1d if space == 1 else F.conv2d
    y = slide(
        x, kernel, state.optional(operation.bias), operation.stride, 0, operation.dilation,
        operation.groups,
    )  # fmt: skip
    return _channels_last(y)


@apply.register
def _(operation: Pool, state: State) -> Tensor:
    x = _channels_first(state.values[operation.input])
    sides = [n for pair in reversed(operation.padding) for n in pair]
    one = x.ndim == 3
    if operation.form == "max":
        pool = F.max_pool1d if one else F.max_pool2d
        y: Tensor = pool(F.pad(x, sides, value=-math.inf), operation.kernel, operation.stride)
        return _channels_last(y)
    mean = F.avg_pool1d if one else F.avg_pool2d
    y = mean(F.pad(x, sides), operation.kernel, operation.stride)
    if not operation.outside and any(sides):
        y = y / mean(F.pad(torch.ones_like(x[:1, :1]), sides), operation.kernel, operation.stride)
    return _channels_last(y)


def _channels_first(x: Tensor) -> Tensor:
    return x.movedim(-1, 1)


def _channels_last(x: Tensor) -> Tensor:
    return x.movedim(1, -1)


@apply.register
def _(operation: Attention, state: State) -> Tensor:
    query, key, value = (state.worth(n) for n in operation.inputs())
    q, k, v = (
        _heads(x, operation.heads if i == 0 else operation.key_heads)
        for i, x in enumerate((query, key, value))
    )
    k, v = (x.repeat_interleave(operation.group, dim=1) for x in (k, v))
    rows, seen = q.shape[2], k.shape[2]
    scores = (q @ k.transpose(-1, -2)) * operation.scale
    if operation.distances is not None:
        table = state.tensor(operation.distances)
        reach = table.shape[1] // 2
        apart = torch.arange(seen)[None] - torch.arange(rows)[:, None]
        scores = scores + table[:, apart.clamp(-reach, reach) + reach]
    if operation.causal:
        hidden = torch.ones(rows, seen, dtype=torch.bool).triu(1)
        scores = scores.masked_fill(hidden, -math.inf)
    e = torch.exp(scores - scores.amax(dim=-1, keepdim=True))
    if operation.threshold is not None and operation.inverse is not None:
        inverse = _inverse(operation.threshold, operation.inverse, state)
        e = spikes(e, inverse, 0, operation.highest)
    mixed = (e @ v) / e.sum(dim=-1, keepdim=True)
    return mixed.transpose(1, 2).reshape(query.shape)


def _heads(x: Tensor, heads: int) -> Tensor:
    """(…, rows, heads·size) → (samples, heads, rows, size)."""
    whole = x if x.ndim == 3 else x[None]
    return whole.reshape(*whole.shape[:2], heads, -1).transpose(1, 2)


@apply.register
def _(operation: Recurrent, state: State) -> Tensor:
    x = state.values[operation.input]
    whole = x if x.ndim == 3 else x[None]
    samples, rows, width = whole.shape
    size = width // GATES[operation.cell]
    h = whole.new_zeros(samples, size)
    if operation.initial is not None:
        h = state.values[operation.initial][-1:].expand(samples, size)
    c = torch.zeros_like(h)
    found: list[Tensor] = []
    for row in reversed(range(rows)) if operation.reverse else range(rows):
        h, c, y = _cell(operation, whole[:, row], h, c, state)
        found.append(y)
    y = torch.stack(found[::-1] if operation.reverse else found, dim=1)
    return y if x.ndim == 3 else y[0]


def _cell(
    operation: Recurrent, x: Tensor, h: Tensor, c: Tensor, state: State
) -> tuple[Tensor, Tensor, Tensor]:
    """State h, cell c and result of one row."""
    if operation.weight is None:
        forget, new = x.chunk(2, dim=-1)
        c = torch.sigmoid(forget) * c + (1 - torch.sigmoid(forget)) * new
        return h, c, F.relu(c)
    sent = h
    if operation.threshold is not None and operation.inverse is not None:
        inverse = _inverse(operation.threshold, operation.inverse, state)
        levels = spikes(h, inverse, operation.lowest, operation.highest)
        sent = levels * state.tensor(operation.threshold)
    weight = state.tensor(operation.weight.values)
    u = F.linear(sent, weight, state.optional(operation.bias))
    if operation.cell == "lstm":
        i, f, g, o = (x + u).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, c, h
    (xr, xz, xn), (ur, uz, un) = x.chunk(3, dim=-1), u.chunk(3, dim=-1)
    z = torch.sigmoid(xz + uz)
    n = torch.tanh(xn + torch.sigmoid(xr + ur) * un)
    h = (1 - z) * n + z * h
    return h, c, h


@apply.register
def _(operation: Norm, state: State) -> Tensor:
    x = state.values[operation.input]
    weight, bias = state.tensor(operation.weight), state.optional(operation.bias)
    if operation.form == "layer":
        return F.layer_norm(x, x.shape[-1:], weight, bias, operation.epsilon)
    return F.rms_norm(x, x.shape[-1:], weight, operation.epsilon)


_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "relu": F.relu,
    "relu6": F.relu6,
    "hardswish": F.hardswish,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "sqrt": lambda x: torch.sqrt(F.relu(x)),
}


@apply.register
def _(operation: Activation, state: State) -> Tensor:
    x = state.values[operation.input]
    if operation.function == "leaky_relu":
        return F.leaky_relu(x, operation.slope)
    return _FUNCTIONS[operation.function](x)


@apply.register
def _(operation: Affine, state: State) -> Tensor:
    x = state.values[operation.input]
    weight, bias = state.optional(operation.weight), state.optional(operation.bias)
    scaled = x if weight is None else x * weight
    return scaled if bias is None else scaled + bias


@apply.register
def _(operation: Softmax, state: State) -> Tensor:
    y = torch.softmax(state.values[operation.input], dim=-1)
    if not operation.chosen:
        return y
    order = torch.sort(y, dim=-1, descending=True, stable=True).indices[..., : operation.chosen]
    kept = torch.zeros_like(y).scatter(-1, order, y.gather(-1, order))
    return kept / kept.sum(dim=-1, keepdim=True)


@apply.register
def _(operation: Add, state: State) -> Tensor:
    return state.values[operation.left] + state.values[operation.right]


@apply.register
def _(operation: Multiply, state: State) -> Tensor:
    return state.values[operation.left] * state.values[operation.right]


@apply.register
def _(operation: Rotary, state: State) -> Tensor:
    x, positions = state.values[operation.input], state.values[operation.positions].long()
    cos = state.tensor(operation.cosine)[positions][:, None]
    sin = state.tensor(operation.sine)[positions][:, None]
    first, second = x.reshape(len(x), operation.heads, -1).chunk(2, dim=-1)
    turned = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
    return turned.reshape(x.shape)


@apply.register
def _(operation: Reshape, state: State) -> Tensor:
    x = state.values[operation.input]
    return x.reshape(len(x), *operation.shape)


@apply.register
def _(operation: Transpose, state: State) -> Tensor:
    return state.values[operation.input].permute(0, *operation.axes)


@apply.register
def _(operation: Take, state: State) -> Tensor:
    x = state.values[operation.input]
    return x.index_select(operation.axis, torch.tensor(operation.places))


@apply.register
def _(operation: Concatenate, state: State) -> Tensor:
    return torch.cat([state.values[n] for n in operation.values], dim=operation.axis)


@apply.register
def _(operation: Constant, state: State) -> Tensor:
    one = state.tensor(operation.tensor)
    return one.expand(len(state.values[operation.like]), *one.shape)
