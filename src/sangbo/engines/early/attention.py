"""Attention: a key's score stops once its probability is sure to be level 0."""

from __future__ import annotations

import numpy as np

from sangbo.engines import numerics
from sangbo.engines.base import Array, Levels, Real
from sangbo.engines.counting import count_attention
from sangbo.engines.early.state import Growing, evaluate, spikes
from sangbo.engines.early.sums import Digits, Norms
from sangbo.engines.reference.attention import Block, attended, exponentials
from sangbo.graph import Attention


@evaluate.register
def _(operation: Attention, state: Growing) -> Array:
    return attended(operation, state, _attend)


def _attend(operation: Attention, query: Levels, block: Block, state: Growing) -> Real:
    """Attention of rows (r, heads, size); see `sangbo.engines.reference.attention`."""
    theta_q, theta_k, theta_v = (np.float32(state.threshold(n) or 0) for n in operation.inputs())
    factor = (theta_q * theta_k) * np.float32(operation.scale)
    inverse = state.tensor(str(operation.inverse))
    mixed = []
    found = []
    for head in range(operation.heads):
        keys, values = (x[:, head // operation.group] for x in (block.keys, block.values))
        bias = None if block.bias is None else block.bias[:, head : head + 1]
        largest = int(np.abs(keys).max(initial=0))
        sums = state.product(query[:, head], keys, largest)[:, None]
        shifted = exponentials(sums, factor, bias, block.hidden)[:, 0]
        whole = numerics.encode(shifted, inverse, 0, operation.highest)
        levels = _grown(operation, query[:, head], keys, whole, factor, bias, block, state)
        found.append(levels)
        largest = int(np.abs(values).max(initial=0))
        mixed.append(state.product(levels, values.T, largest))
    levels = np.stack(found, 1)
    if state.ledger is not None:
        count_attention(operation, query, levels, block.visible, state.graph, state.ledger)
    state.saved.other_additions += spikes(levels, state.code) * query.shape[-1]
    divisor = theta_v / levels.sum(axis=-1).astype(np.float32)
    settled: Real = np.stack(mixed, 1).astype(np.float32) * divisor[..., None]
    return settled


def _grown(
    operation: Attention, query: Levels, keys: Array, whole: Levels, factor: np.float32,
    bias: Real | None, block: Block, state: Growing,
) -> Levels:  # fmt: skip
    """Levels of the probabilities of one head, (r, keys), where scores stop early."""
    shown = ~block.hidden[:, 0]
    inverse = state.tensor(str(operation.inverse))
    digits, norms = Digits.of(query, state.code), Norms.of(keys)
    stops = np.full(shown.shape, len(digits.planes))
    real = keys.astype(np.float32).T
    for number, come, rest in digits.stages():
        y = (come.astype(np.float32) @ real) * factor
        if bias is not None:
            y = y + bias[:, 0]
        far = (state.margin.reach(norms, rest, digits.levels) * factor).astype(np.float32)
        going = stops == len(digits.planes)
        best = np.where(shown & going, y - far, -np.inf).max(-1, keepdims=True)
        most = numerics.encode(numerics.exp(y + far - best), inverse, 0, operation.highest)
        stops[(most == 0) & (y + far < best) & going] = number
    levels: Levels = np.where(stops < len(digits.planes), 0, whole)
    skips = state.saved.of(f"{operation.output}.scores")
    skips.count(digits.planes, stops, shown)
    skips.compare(levels[shown], whole[shown])
    return levels
