"""Convolutions of every form, and what they are by loops over every output and tap."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

import single
from sangbo.graph import Convolution, Weight


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[tuple[int, ...], int, Convolution]:
    """Space and channels of an input, and a convolution of it with float weights ``w``."""
    axes = draw(st.integers(1, 2))
    space = tuple(draw(st.integers(1, 6)) for _ in range(axes))
    kernel, stride, dilation, spread = (
        tuple(draw(st.integers(1, 3)) for _ in range(axes)) for _ in range(4)
    )
    width = [(s - 1) * g + 1 for s, g in zip(space, spread, strict=True)]
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    short = [max(0, r - w) for r, w in zip(reach, width, strict=True)]
    padding = tuple(
        (draw(st.integers(0, 2)) + n // 2, draw(st.integers(0, 2)) + n - n // 2) for n in short
    )
    groups = draw(st.integers(1, 3))
    channels = groups * draw(st.integers(1, 2))
    operation = Convolution(
        "y", "x", Weight("w"), kernel, stride, padding, dilation, spread, groups
    )
    return space, channels, operation


def slow(x: Any, weight: Any, operation: Convolution) -> tuple[Any, int]:
    """The result in float64, by loops over every output and tap; and how many products it took."""
    samples, *space, channels = x.shape
    sliding = operation.windows(single.real("samples", *space, channels))
    outputs = [w.outputs for w in sliding]
    groups = operation.groups
    own, each = channels // groups, len(weight) // groups
    y = np.zeros((samples, *outputs, len(weight)))
    products = 0
    for place in itertools.product(*map(range, outputs)):
        for number, tap in enumerate(itertools.product(*map(range, operation.kernel))):
            spread_out = [
                o * s + t * d - before
                for o, s, t, d, (before, _) in zip(
                    place, operation.stride, tap, operation.dilation, operation.padding, strict=True
                )
            ]
            if any(p % g for p, g in zip(spread_out, operation.spread, strict=True)):
                continue
            seen = [p // g for p, g in zip(spread_out, operation.spread, strict=True)]
            if any(not 0 <= p < s for p, s in zip(seen, space, strict=True)):
                continue
            for o in range(len(weight)):
                for c in range(own):
                    value = np.moveaxis(x, 0, -1)[(*seen, (o // each) * own + c)]
                    np.moveaxis(y, 0, -1)[(*place, o)] += value * weight[o, number * own + c]
                    products += samples
    return y, products


def taps(operation: Convolution) -> int:
    return int(np.prod(operation.kernel))


def on_levels(
    case: tuple[tuple[int, ...], int, Convolution], each: int, seed: int, *, minima: bool
) -> tuple[Any, Any, Any]:
    """The convolution on levels, its graph and the reals of its weight."""
    space, channels, operation = case
    rng = np.random.default_rng(seed)
    inputs = taps(operation) * channels // operation.groups
    weight, tensors, reals = single.integers(rng, operation.groups * each, inputs, minima=minima)
    neuron, own = single.neuron("n", "x")
    spiking = replace(operation, input="n", weight=weight)
    graph = single.graph_of(
        [neuron, spiking], tensors | own, x=single.real("samples", *space, channels)
    )
    return spiking, graph, reals
