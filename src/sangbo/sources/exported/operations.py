"""What each operator of an exported PyTorch module becomes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from sangbo.errors import UnsupportedError
from sangbo.graph import (
    Add,
    Attention,
    Linear,
    Multiply,
    Norm,
    Softmax,
)
from sangbo.sources.exported.axes import (
    Traced,
    atom,
    batch_axis,
    permuted,
    size,
    viewed,
)
from sangbo.sources.exported.tracer import Tracer

if TYPE_CHECKING:
    import torch

Handler: TypeAlias = Callable[..., Any]
Found = TypeVar("Found", bound=Callable[..., Any])

HANDLERS: dict[str, Handler] = {}
"""By the operator's name without its namespace: ``conv2d.default``."""


def handles(*names: str) -> Callable[[Found], Found]:
    """Enter a function for operators; it gets the tracer, a name, and the operator's arguments."""

    def enter(handler: Found) -> Found:
        HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return enter


def numpy(tensor: torch.Tensor) -> Any:
    """A constant tensor as an array."""
    return tensor.detach().cpu().numpy()


# --- products -------------------------------------------------------------------------------------


@handles("linear.default")
def _linear(net: Tracer, name: str, x: Traced, weight: Any, bias: Any = None) -> Traced:
    source, lead = net.rows(x, -1)
    held = net.weight(name, weight)
    kept = None if bias is None else net.tensor(f"{name}.bias", bias)
    output = net.add(Linear(net.name(name), source, held, kept))
    channel = (atom(len(weight)),)
    return Traced(output, (*x.axes[:-1], channel), (*lead, channel))


@handles("addmm.default")
def _addmm(net: Tracer, name: str, bias: Any, x: Traced, weight: Any) -> Traced:
    return _linear(net, name, x, weight.T, bias)


@handles("matmul.default", "mm.default", "bmm.default")
def _matmul(net: Tracer, name: str, x: Any, weight: Any) -> Traced:
    if isinstance(x, Traced) and isinstance(weight, Traced):
        raise UnsupportedError(
            f"expected {name!r} to multiply by weights, found two activations: use "
            "torch.nn.functional.scaled_dot_product_attention where it is attention"
        )
    if weight.ndim != 2:
        raise UnsupportedError(f"expected {name!r} to multiply by a matrix, found {weight.shape}")
    return _linear(net, name, x, weight.T)


@handles("scaled_dot_product_attention.default")
def _attention(
    net: Tracer, name: str, query: Traced, key: Traced, value: Traced, mask: Any = None,
    dropout: float = 0.0, is_causal: bool = False, scale: float | None = None,
    enable_gqa: bool = False,
) -> Traced:  # fmt: skip
    del dropout, enable_gqa
    if mask is not None:
        raise UnsupportedError(f"expected {name!r} to have no mask but a causal one, found one")
    if len(query.axes) != 4:
        raise UnsupportedError(
            f"expected the query of {name!r} as (batch, heads, rows, size), found {query.shape}"
        )
    heads, width = size(query.axes[1]), size(query.axes[3])
    q, k, v = (net.arrange(t, [[0], [2], [1, 3]]) for t in (query, key, value))
    output = net.add(
        Attention(
            net.name(name), q, k, v, heads, size(key.axes[1]),
            1 / math.sqrt(width) if scale is None else scale, is_causal,
        )
    )  # fmt: skip
    axes = (query.axes[0], (atom(heads),), query.axes[2], (atom(width),))
    return Traced(output, axes, (axes[0], axes[2], (*axes[1], *axes[3])))


# --- elements -------------------------------------------------------------------------------------


def _function(function: str) -> Handler:
    def handler(net: Tracer, name: str, x: Traced, *_: Any, **__: Any) -> Traced:
        return net.activation(x, name, function)

    return handler


for _name in ("relu", "relu6", "sigmoid", "tanh", "silu", "hardswish", "sqrt"):
    handles(f"{_name}.default", f"{_name}_.default")(_function(_name))


@handles("gelu.default")
def _gelu(net: Tracer, name: str, x: Traced, approximate: str = "none") -> Traced:
    return net.activation(x, name, "gelu_tanh" if approximate == "tanh" else "gelu")


@handles("leaky_relu.default", "leaky_relu_.default")
def _leaky(net: Tracer, name: str, x: Traced, slope: float = 0.01) -> Traced:
    return net.activation(x, name, "leaky_relu", slope)


@handles("hardtanh.default", "hardtanh_.default", "clamp.default", "clamp_.default")
def _hardtanh(net: Tracer, name: str, x: Traced, low: Any = -1.0, high: Any = 1.0) -> Traced:
    if low == 0 and high == 6:
        return net.activation(x, name, "relu6")
    if low == 0 and high is None:
        return net.activation(x, name, "relu")
    raise UnsupportedError(f"expected {name!r} to clamp to 0…6 or to 0…∞, found {low} to {high}")


@handles("softmax.int", "_softmax.default")
def _softmax(net: Tracer, name: str, x: Traced, axis: int, *_: Any) -> Traced:
    source, lead = net.rows(x, axis)
    output = net.add(Softmax(net.name(name), source))
    return Traced(output, x.axes, (*lead, x.axes[axis]))


@handles("layer_norm.default")
def _layer_norm(
    net: Tracer, name: str, x: Traced, shape: Sequence[int], weight: Any = None, bias: Any = None,
    epsilon: float = 1e-5, *_: Any,
) -> Traced:  # fmt: skip
    if len(shape) != 1:
        raise UnsupportedError(f"expected {name!r} to normalise one axis, found {list(shape)}")
    return _norm(net, name, "layer", x, weight, bias, epsilon)


@handles("rms_norm.default")
def _rms_norm(
    net: Tracer, name: str, x: Traced, shape: Sequence[int], weight: Any = None,
    epsilon: float | None = None,
) -> Traced:  # fmt: skip
    if len(shape) != 1:
        raise UnsupportedError(f"expected {name!r} to normalise one axis, found {list(shape)}")
    return _norm(net, name, "rms", x, weight, None, epsilon or float(np.finfo(np.float32).eps))


def _norm(
    net: Tracer, name: str, form: Any, x: Traced, weight: Any, bias: Any, epsilon: float
) -> Traced:
    source, lead = net.rows(x, -1)
    ones = np.ones(x.shape[-1]) if weight is None else weight
    kept = None if bias is None else net.tensor(f"{name}.bias", bias)
    output = net.add(Norm(net.name(name), source, form, net.tensor(name, ones), kept, epsilon))
    return Traced(output, x.axes, (*lead, x.axes[-1]))


@handles("batch_norm.default", "_native_batch_norm_legit_no_training.default")
def _batch_norm(
    net: Tracer, name: str, x: Traced, weight: Any, bias: Any, mean: Any, variance: Any,
    *rest: Any,
) -> Traced:  # fmt: skip
    floats = [r for r in rest if isinstance(r, float)]
    training = bool(rest and rest[0] is True)
    if training or mean is None or variance is None:
        raise UnsupportedError(f"expected {name!r} in evaluation mode (module.eval()), found not")
    epsilon = floats[-1]
    scale = 1 / np.sqrt(numpy(variance).astype(np.float64) + epsilon)
    scale = scale if weight is None else scale * numpy(weight)
    shift = -numpy(mean) * scale + (0 if bias is None else numpy(bias))
    spread = (-1, *(1,) * (len(x.axes) - 2))
    parts = [t.astype(np.float32).reshape(spread) for t in (scale, shift)]
    return net.affine(x, name, *parts)


@handles("add.Tensor", "add_.Tensor", "add.Scalar")
def _add(net: Tracer, name: str, a: Any, b: Any, alpha: float = 1) -> Traced:
    if isinstance(a, Traced) and isinstance(b, Traced):
        if alpha != 1:
            raise UnsupportedError(f"expected {name!r} to add plainly, found a factor {alpha}")
        left, right = net.matched(a, _spread(net, b, a.shape))
        return Traced(net.add(Add(net.name(name), left.name, right)), left.axes, left.held)
    traced, other = (a, b) if isinstance(a, Traced) else (b, a)
    if not isinstance(a, Traced) and alpha != 1:
        raise UnsupportedError(f"expected {name!r} to add plainly, found a factor {alpha}")
    return net.affine(traced, name, None, _constant(other) * np.float32(alpha))


@handles("sub.Tensor", "sub.Scalar", "rsub.Scalar")
def _subtract(net: Tracer, name: str, a: Any, b: Any, alpha: float = 1) -> Traced:
    if isinstance(b, Traced):
        b = net.affine(b, f"{name}.negative", _constant(-alpha), None)
        return _add(net, name, a, b)
    return net.affine(a, name, None, -_constant(b) * np.float32(alpha))


@handles("mul.Tensor", "mul_.Tensor", "mul.Scalar")
def _multiply(net: Tracer, name: str, a: Any, b: Any) -> Traced:
    if isinstance(a, Traced) and isinstance(b, Traced):
        left, right = net.matched(a, _spread(net, b, a.shape))
        return Traced(net.add(Multiply(net.name(name), left.name, right)), left.axes, left.held)
    traced, other = (a, b) if isinstance(a, Traced) else (b, a)
    return net.affine(traced, name, _constant(other), None)


@handles("div.Tensor", "div_.Tensor", "div.Scalar")
def _divide(net: Tracer, name: str, a: Traced, b: Any) -> Traced:
    if isinstance(b, Traced) or not isinstance(a, Traced):
        raise UnsupportedError(f"expected {name!r} to divide by a constant, found an activation")
    return net.affine(a, name, (1 / _constant(b).astype(np.float64)).astype(np.float32), None)


@handles("neg.default")
def _negative(net: Tracer, name: str, x: Traced) -> Traced:
    return net.affine(x, name, _constant(-1), None)


def _constant(value: Any) -> Any:
    held = [value] if isinstance(value, int | float) else numpy(value)
    return np.asarray(held, np.float32)


def _spread(net: Tracer, x: Traced, shape: tuple[int, ...]) -> Traced:
    """The tensor broadcast along axes of size 1."""
    if len(x.axes) != len(shape):
        raise UnsupportedError(f"expected shapes with as many axes, found {x.shape} and {shape}")
    for axis, (found, wanted) in enumerate(zip(x.shape, shape, strict=True)):
        if found != wanted:
            x = net.taken(x, f"{x.name}.spread", axis, (0,) * wanted)
    return x


# --- layout ---------------------------------------------------------------------------------------


@handles(
    "dropout.default", "dropout_.default", "feature_dropout.default", "contiguous.default",
    "clone.default", "detach.default", "alias.default", "to.dtype", "_to_copy.default",
    "lift_fresh_copy.default", "to.dtype_layout",
)  # fmt: skip
def _same(net: Tracer, name: str, x: Traced, *_: Any, **__: Any) -> Traced:
    del net, name
    return x


@handles("permute.default")
def _permute(net: Tracer, name: str, x: Traced, order: Sequence[int]) -> Traced:
    del name
    return permuted(net.padded(x), [i % len(x.axes) for i in order])


@handles("transpose.int", "t.default", "numpy_T.default")
def _transpose(net: Tracer, name: str, x: Traced, first: int = 0, second: int = 1) -> Traced:
    del name
    order = list(range(len(x.axes)))
    order[first], order[second] = order[second], order[first]
    return permuted(net.padded(x), order)


@handles("view.default", "reshape.default", "_unsafe_view.default")
def _view(net: Tracer, name: str, x: Traced, shape: Sequence[int]) -> Traced:
    del name
    whole = net.padded(x)
    known = math.prod(n for n in shape if n != -1)
    full = [math.prod(whole.shape) // known if n == -1 else n for n in shape]
    found = viewed(whole, full)
    if found is None:
        found = viewed(net.flat(whole), full)
    if found is None and batch_axis(whole) == 0 and full[0] == whole.shape[0]:
        rest = viewed(net.flat(whole), [whole.shape[0], math.prod(whole.shape[1:])])
        if rest is not None:
            found = viewed(_one_atom(net, rest), full)
    if found is None:
        raise UnsupportedError(f"expected a view of {x.shape} that keeps the batch, found {full}")
    return found


def _one_atom(net: Tracer, x: Traced) -> Traced:
    """A tensor (batch, elements) whose elements are one atom, in order."""
    name = net.arrange(x, [[0], [1]])
    axes = (x.axes[0], (atom(x.shape[1]),))
    return Traced(name, axes, axes)


@handles("flatten.using_ints")
def _flatten(net: Tracer, name: str, x: Traced, start: int = 0, stop: int = -1) -> Traced:
    shape, axes = x.shape, len(x.axes)
    start, stop = start % axes, stop % axes
    merged = math.prod(shape[start : stop + 1])
    return _view(net, name, x, [*shape[:start], merged, *shape[stop + 1 :]])


@handles("unflatten.int")
def _unflatten(net: Tracer, name: str, x: Traced, axis: int, sizes: Sequence[int]) -> Traced:
    shape, axis = net.padded(x).shape, axis % len(x.axes)
    known = math.prod(n for n in sizes if n != -1)
    sizes = [shape[axis] // known if n == -1 else n for n in sizes]
    return _view(net, name, x, [*shape[:axis], *sizes, *shape[axis + 1 :]])


@handles("unsqueeze.default")
def _unsqueeze(net: Tracer, name: str, x: Traced, axis: int) -> Traced:
    del name
    whole, axis = net.padded(x), axis % (len(x.axes) + 1)
    return Traced(whole.name, (*whole.axes[:axis], (), *whole.axes[axis:]), whole.held)


@handles("squeeze.dim", "squeeze.dims", "squeeze.default")
def squeeze(net: Tracer, name: str, x: Traced, axes: Any = None) -> Traced:
    """The tensor without those axes that have one place."""
    del name
    whole = net.padded(x)
    count = len(whole.axes)
    given = range(count) if axes is None else [axes] if isinstance(axes, int) else axes
    gone = {a % count for a in given if whole.shape[a] == 1}
    kept = tuple(a for i, a in enumerate(whole.axes) if i not in gone)
    return Traced(whole.name, kept, whole.held)


@handles("expand.default")
def _expand(net: Tracer, name: str, x: Traced, shape: Sequence[int]) -> Traced:
    del name
    whole = net.padded(x)
    lead = len(shape) - len(whole.axes)
    if lead:
        raise UnsupportedError(f"expected no new axes before the batch, found {list(shape)}")
    full = tuple(whole.shape[i] if n == -1 else n for i, n in enumerate(shape))
    return _spread(net, whole, full)
