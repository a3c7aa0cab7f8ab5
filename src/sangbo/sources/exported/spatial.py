"""Convolutions, pools and padding of an exported PyTorch module."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sangbo.errors import UnsupportedError
from sangbo.graph import Convolution, Pool
from sangbo.sources.exported.axes import Traced, atom, batch_axis
from sangbo.sources.exported.operations import handles, numpy
from sangbo.sources.exported.tracer import Tracer
from sangbo.sources.source import Array


def _sizes(value: int | Sequence[int], count: int) -> tuple[int, ...]:
    """One number for each axis of space."""
    given = [value] if isinstance(value, int) else list(value)
    return tuple(given * count if len(given) == 1 else given)


@handles("conv1d.default", "conv2d.default", "conv1d.padding", "conv2d.padding")
def _convolve(
    net: Tracer, name: str, x: Traced, weight: Any, bias: Any = None, stride: Any = 1,
    padding: Any = 0, dilation: Any = 1, groups: int = 1,
) -> Traced:  # fmt: skip
    kernel, space = numpy(weight), weight.ndim - 2
    dilation = _sizes(dilation, space)
    if padding == "valid":
        padding = 0
    if padding == "same":
        spans = [d * (k - 1) for d, k in zip(dilation, kernel.shape[2:], strict=True)]
        sides = tuple((n // 2, n - n // 2) for n in spans)
    else:
        sides = tuple((n, n) for n in _sizes(padding, space))
    matrix = kernel.transpose(0, *range(2, space + 2), 1).reshape(len(kernel), -1)
    return _convolution(
        net, name, x, matrix, bias, kernel.shape[2:], _sizes(stride, space), sides, dilation,
        (1,) * space, groups,
    )  # fmt: skip


@handles("conv_transpose1d.default", "conv_transpose2d.input")
def _transposed(
    net: Tracer, name: str, x: Traced, weight: Any, bias: Any = None, stride: Any = 1,
    padding: Any = 0, output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Traced:  # fmt: skip
    """A convolution with the kernel turned round, over inputs with zeros between neighbours."""
    kernel, space = numpy(weight), weight.ndim - 2
    stride, padding, more, dilation = (
        _sizes(v, space) for v in (stride, padding, output_padding, dilation)
    )
    inputs, outputs = kernel.shape[0], kernel.shape[1] * groups
    turned = np.flip(kernel, axis=tuple(range(2, space + 2)))
    grouped = turned.reshape(groups, inputs // groups, outputs // groups, *kernel.shape[2:])
    order = (0, 2, *range(3, space + 3), 1)
    matrix = grouped.transpose(order).reshape(outputs, -1)
    sides = tuple(
        (d * (k - 1) - p, d * (k - 1) - p + m)
        for d, k, p, m in zip(dilation, kernel.shape[2:], padding, more, strict=True)
    )
    ones = (1,) * space
    return _convolution(
        net, name, x, matrix, bias, kernel.shape[2:], ones, sides, dilation, stride, groups
    )


def _convolution(
    net: Tracer, name: str, x: Traced, matrix: Array, bias: Any, kernel: Sequence[int],
    stride: tuple[int, ...], sides: tuple[tuple[int, int], ...], dilation: tuple[int, ...],
    spread: tuple[int, ...], groups: int,
) -> Traced:  # fmt: skip
    space = len(kernel)
    if len(x.axes) != space + 2 or batch_axis(x) != 0:
        raise UnsupportedError(f"expected {name!r} to take (batch, channels, …), found {x.shape}")
    waiting = x.padding or ((0, 0),) * (space + 2)
    if any(sum(p) for p in waiting[:2]) or max(spread) > 1:
        x, waiting = net.padded(x), ((0, 0),) * (space + 2)
    else:
        x = replace(x, padding=())
    sides = tuple((a + c, b + d) for (a, b), (c, d) in zip(sides, waiting[2:], strict=True))
    source, _ = net.channel_last(x, 1)
    kept = None if bias is None else net.tensor(f"{name}.bias", bias)
    operation = Convolution(
        net.name(name), source, net.weight(name, matrix), tuple(kernel), stride, sides, dilation,
        spread, groups, kept,
    )  # fmt: skip
    if min(min(s) for s in sides) < 0:
        raise UnsupportedError(f"expected {name!r} to pad by zero or more, found {sides}")
    return _slid(net, operation, x, len(matrix))


def _slid(net: Tracer, operation: Convolution | Pool, x: Traced, channels: int) -> Traced:
    """The tensor (batch, channels, *space) that a sliding operation writes."""
    from sangbo.graph import ValueType

    source = ValueType("real", ("samples", *x.shape[2:], x.shape[1]))
    outputs = [w.outputs for w in operation.windows(source)]
    output = net.add(operation)
    axes = (x.axes[0], (atom(channels),), *((atom(n),) for n in outputs))
    return Traced(output, axes, (axes[0], *axes[2:], axes[1]))


@handles("pad.default", "constant_pad_nd.default")
def _pad(
    net: Tracer, name: str, x: Traced, sides: Sequence[int], mode: Any = "constant",
    value: float | None = None,
) -> Traced:  # fmt: skip
    """Zeros wait for the operation that reads them: a convolution takes them into its own."""
    if isinstance(mode, int | float):  # constant_pad_nd has the value here
        mode, value = "constant", float(mode)
    if mode == "reflect":
        from sangbo.sources.exported.operations import HANDLERS

        reflected: Traced = HANDLERS["reflection_pad1d.default"](net, name, x, sides)
        return reflected
    if mode != "constant" or value or min(sides) < 0:
        raise UnsupportedError(f"expected {name!r} to pad by zeros, found {mode} {value} {sides}")
    padding = list(x.padding or ((0, 0),) * len(x.axes))
    for number in range(len(sides) // 2):
        before, after = padding[-1 - number]
        padding[-1 - number] = before + sides[2 * number], after + sides[2 * number + 1]
    return replace(x, padding=tuple(padding))


def _pool(
    net: Tracer, name: str, form: Any, x: Traced, kernel: Any, stride: Any, padding: Any,
    outside: bool = False,
) -> Traced:  # fmt: skip
    whole = net.padded(x)
    space = len(whole.axes) - 2
    source, _ = net.channel_last(whole, 1)
    kernel = _sizes(kernel, space)
    operation = Pool(
        net.name(name), source, form, kernel, _sizes(stride or kernel, space),
        tuple((n, n) for n in _sizes(padding, space)), outside,
    )  # fmt: skip
    return _slid(net, operation, whole, whole.shape[1])


@handles("max_pool1d.default", "max_pool2d.default")
def _max_pool(
    net: Tracer, name: str, x: Traced, kernel: Any, stride: Any = None, padding: Any = 0,
    dilation: Any = 1, ceil: bool = False,
) -> Traced:  # fmt: skip
    space = len(x.axes) - 2
    if any(n != 1 for n in _sizes(dilation, space)):
        raise UnsupportedError(f"expected {name!r} without dilation, found {dilation}")
    _no_ceiling(name, net.padded(x), kernel, stride, padding, ceil)
    return _pool(net, name, "max", x, kernel, stride, padding)


@handles("avg_pool1d.default", "avg_pool2d.default")
def _mean_pool(
    net: Tracer, name: str, x: Traced, kernel: Any, stride: Any = None, padding: Any = 0,
    ceil: bool = False, outside: bool = True, divisor: int | None = None,
) -> Traced:  # fmt: skip
    if divisor is not None:
        raise UnsupportedError(f"expected {name!r} to divide by its taps, found {divisor}")
    _no_ceiling(name, net.padded(x), kernel, stride, padding, ceil)
    return _pool(net, name, "mean", x, kernel, stride, padding, outside)


def _no_ceiling(name: str, x: Traced, kernel: Any, stride: Any, padding: Any, ceil: bool) -> None:
    """Refuse windows that reach over the end, which only ``ceil_mode`` makes."""
    space = len(x.axes) - 2
    kernels = _sizes(kernel, space)
    parts = kernels, _sizes(stride or kernels, space), _sizes(padding, space)
    for n, k, s, p in zip(x.shape[2:], *parts, strict=True):
        if ceil and (n + 2 * p - k) % s:
            raise UnsupportedError(f"expected {name!r} without ceil_mode, found it to matter")


@handles("adaptive_avg_pool1d.default", "adaptive_avg_pool2d.default")
def _adaptive_mean(net: Tracer, name: str, x: Traced, outputs: Any) -> Traced:
    return _adaptive(net, name, "mean", x, outputs)


@handles("adaptive_max_pool1d.default", "adaptive_max_pool2d.default")
def _adaptive_max(net: Tracer, name: str, x: Traced, outputs: Any) -> tuple[Traced, None]:
    return _adaptive(net, name, "max", x, outputs), None


def _adaptive(net: Tracer, name: str, form: Any, x: Traced, outputs: Any) -> Traced:
    whole = net.padded(x)
    sizes = whole.shape[2:]
    given: tuple[int | None, ...] = _sizes(outputs, len(sizes))
    wanted = [w or n for n, w in zip(sizes, given, strict=True)]
    if any(n % w for n, w in zip(sizes, wanted, strict=True)):
        raise UnsupportedError(f"expected {name!r} to divide {sizes} evenly, found {wanted}")
    kernel = tuple(n // w for n, w in zip(sizes, wanted, strict=True))
    return _pool(net, name, form, whole, kernel, kernel, 0)


@handles("mean.dim")
def _mean(net: Tracer, name: str, x: Traced, axes: Any, keep: bool = False, **_: Any) -> Traced:
    """The mean over all places of some axes: a pool whose window is all of them."""
    whole = net.padded(x)
    count = len(whole.axes)
    given = sorted({a % count for a in ([axes] if isinstance(axes, int) else axes)})
    batch = batch_axis(whole)
    if batch in given:
        raise UnsupportedError(f"expected {name!r} to keep the batch, found a mean over it")
    rest = [i for i in range(count) if i != batch and i not in given]
    source = net.arrange(whole, [[batch], given, rest])
    places = math.prod(whole.shape[i] for i in given)
    pooled = net.add(Pool(net.name(name), source, "mean", (places,), (1,), ((0, 0),)))
    held = (whole.axes[batch], (), tuple(a for i in rest for a in whole.axes[i]))
    kept = [() if i in given else a for i, a in enumerate(whole.axes)]
    if not keep:
        kept = [a for i, a in enumerate(kept) if i not in given]
    return Traced(pooled, tuple(kept), held)
