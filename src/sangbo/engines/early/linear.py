"""Linear operations whose sums stop once the level that depends on them is decided."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sangbo.engines import numerics, reference
from sangbo.engines.base import Array, Levels, Real
from sangbo.engines.early.state import Gated, Growing, evaluate, spikes
from sangbo.engines.early.sums import Digits
from sangbo.graph import Activation, Linear, Neuron

LEAST_SILU = -1.2784645
"""Where x / (1 + e^−x) is least."""
SPREAD = np.float32(1e-5)
"""Relative error of an activation that is allowed for."""

Decide = Callable[[Real, Real], Array]
"""Sums so far, and how far they may be from whole ones, (rows, outputs) → which are decided."""


@evaluate.register
def _(operation: Linear, state: Growing) -> Array:
    x = state.values[operation.input]
    name, plan = operation.output, state.plan
    whole: Real = reference.evaluate(operation, state)
    if name in plan.gates:
        return _gate(operation, plan.gates[name], whole, state)
    if name in plan.ups:
        return _up(operation, plan.ups[name], whole, state)
    if name in plan.direct:
        neuron = plan.direct[name]
        early, _ = grow(
            operation, whole, state, lambda y, far: _same(y - far, y + far, neuron, state)
        )
        state.saved.of(name).compare(_levels(early, neuron, state), _levels(whole, neuron, state))
        return early
    if name in plan.heads:
        early, _ = grow(operation, whole, state, beaten)
        state.saved.of(name).compare(early.argmax(-1), whole.argmax(-1))
        return whole if state.whole_logits else early
    state.saved.other_additions += spikes(x, state.code) * whole.shape[-1]
    return whole


def grow(
    operation: Linear, whole: Real, state: Growing, decide: Decide, shut: Array | None = None
) -> tuple[Real, Array]:
    """Sums that stop where ``decide`` says so, and (rows, outputs) which did.

    Args:
        operation: gives the sums.
        whole: what it gives after the last digit, (…, outputs).
        state: of the run.
        decide: which sums may stop.
        shut: (rows, outputs) sums that never begin, and count as 0.
    """
    levels = state.values[operation.input]
    digits = Digits.of(levels.reshape(-1, levels.shape[-1]), state.code)
    weights, norms = state.weights(operation)
    margin = state.head_margin if operation.output in state.plan.heads else state.margin
    theta = np.float32(state.threshold(operation.input) or 0)
    bias = np.float32(0) if operation.bias is None else state.tensor(operation.bias)
    early = whole.reshape(-1, whole.shape[-1]).copy()
    stops = np.full(early.shape, len(digits.planes))
    for number, come, rest in digits.stages():
        going = stops == len(digits.planes)
        if not going.any():
            break
        y = (come.astype(np.float32) @ weights.T) * theta + bias
        far = (margin.reach(norms, rest, digits.levels) * theta).astype(np.float32)
        now = decide(y, far) & going
        if number == 0 and shut is not None:
            now |= shut
        early[now] = y[now]
        stops[now] = number
    state.saved.of(operation.output).count(digits.planes, stops)
    return early.reshape(whole.shape), stops < len(digits.planes)


def beaten(y: Real, far: Real) -> Array:
    """Sums that are surely smaller than the largest of their row."""
    lost: Array = y + far < (y - far).max(-1, keepdims=True)
    return lost


def _gate(operation: Linear, pair: Gated, whole: Real, state: Growing) -> Real:
    """The gate's sums; where the activation leaves nothing of any other factor, both stop."""
    _, norms = state.weights(pair.up)
    levels = state.values[operation.input]
    flat = levels.reshape(-1, levels.shape[-1])
    theta = np.float32(state.threshold(operation.input) or 0)
    most = (state.margin.reach(norms, flat, flat) * theta).astype(np.float32)
    if pair.up.bias is not None:
        most = most + np.abs(state.tensor(pair.up.bias))

    def negligible(y: Real, far: Real) -> Array:
        low, high = _activated(y - far, y + far, pair.activation, state)
        size = np.maximum(np.abs(low), np.abs(high)) * most
        return _same(-size, size, pair.neuron, state)

    early, shut = grow(operation, whole, state, negligible)
    state.gates[pair.up.output] = (early, whole, shut)
    return early


def _up(operation: Linear, pair: Gated, whole: Real, state: Growing) -> Real:
    """The other sums, by what the activation is; those of shut gates never begin."""
    gate, whole_gate, shut = state.gates.pop(operation.output)
    scale = _activate(gate, pair.activation, state).reshape(shut.shape)

    def unmoved(y: Real, far: Real) -> Array:
        ends = np.stack([scale * (y - far), scale * (y + far)])
        return _same(ends.min(0), ends.max(0), pair.neuron, state)

    early, _ = grow(operation, whole, state, unmoved, shut)
    expected = _activate(whole_gate, pair.activation, state) * whole
    found = scale.reshape(early.shape) * early
    state.saved.of(operation.output).compare(
        _levels(found, pair.neuron, state), _levels(expected, pair.neuron, state)
    )
    return early


def _activated(low: Real, high: Real, activation: Activation, state: Growing) -> tuple[Real, Real]:
    """Bounds of an activation between ``low`` and ``high``."""
    ends = np.stack([_activate(x, activation, state) for x in (low, high)])
    least, most = ends.min(0), ends.max(0)
    if activation.function == "silu":
        inside = (low < LEAST_SILU) & (high > LEAST_SILU)
        bottom = _activate(np.full(1, LEAST_SILU, np.float32), activation, state)
        least = np.where(inside, bottom, least)
    return least - SPREAD * np.abs(least), most + SPREAD * np.abs(most)


def _activate(x: Real, activation: Activation, state: Growing) -> Real:
    held = state.values.get(activation.input)
    state.values[activation.input] = x
    y: Real = reference.evaluate(activation, state)
    if held is not None:
        state.values[activation.input] = held
    return y


def _levels(x: Real, neuron: Neuron, state: Growing) -> Levels:
    return numerics.encode(x, state.tensor(neuron.inverse), neuron.lowest, neuron.highest)


def _same(low: Real, high: Real, neuron: Neuron, state: Growing) -> Array:
    """Whether all between ``low`` and ``high`` is one level."""
    same: Array = _levels(low, neuron, state) == _levels(high, neuron, state)
    return same
