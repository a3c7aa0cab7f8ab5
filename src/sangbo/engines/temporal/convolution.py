"""Convolutions: each spike adds one column of weights for each output position that sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from sangbo.engines.base import Array, Levels
from sangbo.engines.counting import count_convolution, reach
from sangbo.engines.firing import Train, exactly
from sangbo.engines.numerics import check_accumulators
from sangbo.engines.reference import largest_integer, settle
from sangbo.engines.reference.convolution import columns, parts, sources
from sangbo.engines.temporal.state import Firing, evaluate
from sangbo.graph import Convolution


@evaluate.register
def _(operation: Convolution, state: Firing) -> Array:
    train, weight, graph = state.trains[operation.input], operation.weight, state.graph
    levels, kind = state.values[operation.input], graph.values[operation.output]
    sliding = operation.windows(graph.values[operation.input])
    largest = largest_integer(weight)
    seen, samples = sources(sliding), len(levels)
    check_accumulators(parts(columns(levels, seen), operation.groups), largest)
    rows = samples * len(seen)
    taps, outputs = seen.shape[1], kind.channels // operation.groups

    def sums(part: slice, integers: Array) -> tuple[Levels, Levels]:
        # The spikes of a group are summed by one more membrane, whose weights are 1.
        own = np.zeros((operation.groups, outputs + 1, weight_inputs), integers.dtype)
        own[:, :-1, part] = integers.reshape(operation.groups, outputs, -1)
        own[:, -1, part] = 1
        tapped = own.reshape(operation.groups, outputs + 1, taps, -1)
        held = scatter(train, tapped, seen, samples, largest)
        totals = held[..., -1].reshape(rows, operation.groups)
        return (
            held[..., :-1].reshape(rows, kind.channels),
            np.repeat(totals, outputs, axis=1),
        )

    weight_inputs = taps * levels.shape[-1] // operation.groups
    settled = settle(rows, weight, graph, sums)
    if state.activity is not None:
        fan = np.tile(reach(operation, graph), samples)
        state.activity.received(operation.output, operation.input, train, fan)
    if state.ledger is not None:
        count_convolution(operation, levels, graph, state.ledger)
    theta = np.float32(state.threshold(operation.input) or 0)
    y: Array = (settled * theta).reshape(samples, *kind.inner())
    return y if operation.bias is None else y + state.tensor(operation.bias)


def scatter(train: Train, weights: Array, seen: Array, samples: int, largest: int) -> Levels:
    """Membranes that every spike adds its columns of weights to; see `firing.integrate`.

    Args:
        train: spikes (T, samples·positions, channels).
        weights: integers (groups, O, taps, channels / groups) of magnitude at most ``largest``.
        seen: (outputs, taps) which position each tap of each output sees, −1 for none.
        samples: how many.
        largest: bound on the weights' magnitude.

    Returns:
        (samples, outputs, groups, O) int32.
    """
    groups, targets = weights.shape[:2]
    exact = exactly(train, weights[0, 0].size, largest)
    held = np.zeros((samples, len(seen), groups, targets), np.int32)
    for step, spikes in enumerate(train.spikes):
        if step and train.worths[step] != train.worths[step - 1]:
            held += held
        _add(held, spikes, weights, seen, exact)
    if train.dense is not None:
        _add(held, train.dense, weights, seen, np.dtype(np.float64))
    return held


def _add(held: Levels, sent: Array, weights: Array, seen: Array, exact: np.dtype[Any]) -> None:
    """Add, for each spike, its column of each tap to the output that sees it by that tap."""
    samples, _, groups, _ = held.shape
    if not samples:
        return
    by_sample = sent.reshape(samples, -1, groups, weights.shape[3])
    fired: Array = np.any(by_sample, axis=(2, 3))
    for tap, (outputs, positions) in enumerate(_pairs(seen)):
        sample, pair = np.nonzero(fired[:, positions])
        if not len(sample):
            continue
        values = by_sample[sample, positions[pair]].transpose(1, 0, 2).astype(exact)
        sums = values @ weights[:, :, tap].transpose(0, 2, 1).astype(exact)
        held[sample, outputs[pair]] += sums.transpose(1, 0, 2).astype(np.int32)


def _pairs(seen: Array) -> Iterator[tuple[Array, Array]]:
    """By tap: outputs that see something, and the position that each of them sees."""
    for tap in seen.T:
        outputs = np.flatnonzero(tap >= 0)
        yield outputs, tap[outputs]
