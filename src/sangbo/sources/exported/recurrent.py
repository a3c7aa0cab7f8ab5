"""Recurrent layers of an exported PyTorch module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sangbo.errors import UnsupportedError
from sangbo.graph import GATES, Cell, Concatenate, Linear, Recurrent
from sangbo.sources.exported.axes import Traced, atom
from sangbo.sources.exported.operations import handles, numpy
from sangbo.sources.exported.tracer import Tracer


@handles("lstm.input")
def _lstm(
    net: Tracer, name: str, x: Traced, states: Sequence[Any], *rest: Any
) -> tuple[Any, ...]:  # fmt: skip
    return _layers(net, name, "lstm", x, states, *rest), None, None


@handles("gru.input")
def _gru(net: Tracer, name: str, x: Traced, state: Any, *rest: Any) -> tuple[Any, ...]:
    return _layers(net, name, "gru", x, [state], *rest), None


def _layers(
    net: Tracer, name: str, cell: Cell, x: Traced, states: Sequence[Any],
    parameters: Sequence[Any], biases: bool, layers: int, dropout: float, train: bool,
    both_ways: bool, batch_first: bool,
) -> Traced:  # fmt: skip
    """Layers of cells, each from the first row to the last and perhaps back as well."""
    del dropout
    if train:
        raise UnsupportedError(f"expected {name!r} in evaluation mode (module.eval()), found not")
    if any(isinstance(s, Traced) or numpy(s).any() for s in states):
        raise UnsupportedError(f"expected {name!r} to begin with states of zero, found others")
    batch, rows = (0, 1) if batch_first else (1, 0)
    value = net.arrange(x, [[batch], [rows], [2]])
    each = 4 if biases else 2
    ways = 2 if both_ways else 1
    gates, width = GATES[cell], 0
    for layer in range(layers):
        outputs = []
        for way in range(ways):
            at = (layer * ways + way) * each
            own, recurrent, *added = (numpy(p) for p in parameters[at : at + each])
            width = recurrent.shape[1]
            part = f"{name}.{layer}" + (".back" if way else "")
            first, second = added or [np.zeros(gates * width, np.float32)] * 2
            gated = net.add(
                Linear(net.name(f"{part}.input"), value, net.weight(f"{part}.input", own),
                       net.tensor(f"{part}.input.bias", first))
            )  # fmt: skip
            outputs.append(
                net.add(
                    Recurrent(
                        net.name(part), gated, cell, net.weight(part, recurrent),
                        net.tensor(f"{part}.bias", second), reverse=way == 1,
                    )
                )
            )  # fmt: skip
        value = outputs[0]
        if ways == 2:
            value = net.add(Concatenate(net.name(f"{name}.{layer}.both"), tuple(outputs), 2))
    axes = (x.axes[batch], x.axes[rows], (atom(width * ways),))
    order = axes if batch_first else (axes[1], axes[0], axes[2])
    return Traced(value, order, axes)
