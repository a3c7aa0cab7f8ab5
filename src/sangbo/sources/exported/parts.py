"""Parts of tensors joined, chosen and repeated, of an exported PyTorch module."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sangbo.errors import UnsupportedError
from sangbo.graph import Concatenate, Constant
from sangbo.sources.exported.axes import Traced, atom, batch_axis, size
from sangbo.sources.exported.operations import handles, numpy, squeeze
from sangbo.sources.exported.tracer import Tracer


@handles("cat.default", "concat.default")
def _concatenate(net: Tracer, name: str, parts: Sequence[Any], axis: int = 0) -> Traced:
    first = next(p for p in parts if isinstance(p, Traced))
    axis %= len(first.axes)
    batch = batch_axis(first)
    order = [batch, *(i for i in range(len(first.axes)) if i != batch)]
    names, total = [], 0
    for part in parts:
        if isinstance(part, Traced):
            names.append(net.arrange(part, [[i] for i in order]))
            total += net.padded(part).shape[axis]
        else:
            names.append(_repeated(net, name, part, first, order))
            total += part.shape[axis]
    if axis == batch:
        raise UnsupportedError(f"expected {name!r} to join another axis than the batch")
    output = net.add(Concatenate(net.name(name), tuple(names), order.index(axis)))
    axes = list(first.axes)
    axes = [(atom(total),) if i == axis else (atom(size(a), batch=i == batch),)
            for i, a in enumerate(axes)]  # fmt: skip
    return Traced(output, tuple(axes), tuple(axes[i] for i in order))


def _repeated(net: Tracer, name: str, part: Any, like: Traced, order: Sequence[int]) -> str:
    values = numpy(part)
    if not (values == values.take([0], axis=order[0])).all():
        raise UnsupportedError(f"expected {name!r} to join what is the same for all of the batch")
    one = values.transpose(order)[0]
    return net.add(Constant(net.name(f"{name}.constant"), like.name, net.tensor(name, one)))


@handles("slice.Tensor")
def _slice(
    net: Tracer, name: str, x: Traced, axis: int = 0, start: Any = None, stop: Any = None,
    step: int = 1,
) -> Traced:  # fmt: skip
    whole = net.padded(x)
    places = range(whole.shape[axis])[slice(start, stop, step)]
    return net.taken(whole, name, axis, places)


@handles("select.int")
def _select(net: Tracer, name: str, x: Traced, axis: int, index: int) -> Traced:
    whole, axis = net.padded(x), axis % len(x.axes)
    chosen = net.taken(whole, name, axis, (index % whole.shape[axis],))
    return squeeze(net, name, chosen, axis)


@handles("index_select.default")
def _index_select(net: Tracer, name: str, x: Traced, axis: int, index: Any) -> Traced:
    return net.taken(x, name, axis, tuple(int(i) for i in numpy(index)))


@handles("split.Tensor", "split_with_sizes.default", "split.sizes")
def _split(net: Tracer, name: str, x: Traced, parts: Any, axis: int = 0) -> list[Traced]:
    whole = net.padded(x)
    total = whole.shape[axis]
    if isinstance(parts, int):
        parts = [min(parts, total - start) for start in range(0, total, parts)]
    stops = np.cumsum(parts).tolist()
    return [
        net.taken(whole, f"{name}.{i}", axis, range(stop - n, stop))
        for i, (n, stop) in enumerate(zip(parts, stops, strict=True))
    ]


@handles("chunk.default")
def _chunk(net: Tracer, name: str, x: Traced, count: int, axis: int = 0) -> list[Traced]:
    return _split(net, name, x, -(-net.padded(x).shape[axis] // count), axis)


@handles("unbind.int")
def _unbind(net: Tracer, name: str, x: Traced, axis: int = 0) -> list[Traced]:
    return [_select(net, f"{name}.{i}", x, axis, i) for i in range(net.padded(x).shape[axis])]


@handles("upsample_nearest2d.vec", "upsample_nearest1d.vec")
def _nearest(net: Tracer, name: str, x: Traced, shape: Any, scales: Any) -> Traced:
    sizes = net.padded(x).shape[2:]
    wanted = shape or [math.floor(n * s) for n, s in zip(sizes, scales, strict=True)]
    for axis, (found, more) in enumerate(zip(sizes, wanted, strict=True), start=2):
        x = net.taken(x, f"{name}.{axis}", axis, [i * found // more for i in range(more)])
    return x


@handles("reflection_pad1d.default", "reflection_pad2d.default")
def _reflect(net: Tracer, name: str, x: Traced, sides: Sequence[int]) -> Traced:
    for number in range(len(sides) // 2):
        axis = len(x.axes) - 1 - number
        places = np.pad(np.arange(net.padded(x).shape[axis]), sides[2 * number : 2 * number + 2],
                        mode="reflect")  # fmt: skip
        x = net.taken(x, f"{name}.{axis}", axis, tuple(places.tolist()))
    return x
