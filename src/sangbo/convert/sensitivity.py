"""What each threshold of each neuron layer would cost in information and in spikes.

For every site and a row of candidate thresholds, on calibration sequences:

* *divergence*: ½·mean over tokens of Σ g²·(x − θ·n)², the second-order estimate of how far the
  network's predictions move (nats per token), where g = ∂ log p(label) / ∂x and the labels are
  drawn from the network's own predictions (Fisher information). Rounding errors count as
  independent.
* *price*: mean over tokens of Σ fan-out · price(|n|), where a level costs its spikes or one MAC,
  whichever is cheaper (in units of one accumulate).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sangbo.convert.gradients import backward, probabilities
from sangbo.convert.sites import Site
from sangbo.engines import Reference, Segment
from sangbo.engines.base import Array, Index, Real
from sangbo.engines.numerics import encode
from sangbo.errors import ConversionError
from sangbo.graph import Attention, Graph
from sangbo.progress import Progress, silent
from sangbo.tasks.language import whole_reading

STEPS_PER_OCTAVE = 3
COARSEST, FINEST = 2.0, 2.0**-7
"""Candidate thresholds, as multiples of the mean magnitude of what the site carries."""
PROBABILITY_LEVELS = (7, 15, 23, 31, 47, 63, 95, 127, 191, 255)
_ROWS = 64

Prices = Callable[[NDArray[np.int64]], NDArray[np.float64]]


@dataclass(slots=True)
class Candidates:
    """Thresholds that a site may take and what each would do; arrays of one length."""

    site: Site
    thresholds: NDArray[np.float32]
    divergence: NDArray[np.float64]
    price: NDArray[np.float64]
    magnitude: float
    tokens: int = 0


def measure(
    graph: Graph,
    sites: Sequence[Site],
    sequences: Sequence[Index],
    price: Prices,
    progress: Progress = silent,
) -> list[Candidates]:
    """Candidates of every site from ``sequences`` of tokens.

    Args:
        graph: the float graph of a language model.
        sites: what `find_sites` found in it.
        sequences: token ids; each is one pass forward and one backward.
        price: price of a level of given magnitude in units of one accumulate, per target.
        progress: told the share that is done.

    Raises:
        ConversionError: where a site carries only zeros, or something not finite.
    """
    engine = Reference(graph)
    table = price(np.arange(4097))
    found: dict[str, Candidates] = {}
    rng = np.random.default_rng(0)
    names = {s.name for s in sites}
    kept = [o.output for o in graph.operations]
    for step, tokens in enumerate(sequences):
        progress("measuring sensitivity", step / len(sequences))
        rows = len(tokens)
        inputs = whole_reading(tokens)
        values = engine.run(inputs, [Segment(engine.cache(rows), rows)], keep=kept)
        values.update(inputs)
        for operation in graph.operations:
            if isinstance(operation, Attention):
                values[f"{operation.output}.probability"] = probabilities(operation, values)
        seed = label_gradient(values["logits"], rng)
        gradients = backward(graph, values, "logits", seed, names)
        chosen = np.sort(rng.permutation(rows)[:_ROWS])
        for site in sites:
            x, g = values[site.name], gradients[site.name]
            if site.role == "probability":
                x, g = x[:, chosen], g[:, chosen]
                visible = np.arange(rows) <= chosen[:, None]
                x, g = x[:, visible], g[:, visible]
            elif len(x) == rows:
                x, g = x[chosen], g[chosen]
            if site.name not in found:
                found[site.name] = _begin(site, x)
            _extend(found[site.name], x, g, len(chosen), chosen, table)
    for candidates in found.values():
        candidates.divergence /= candidates.tokens
        candidates.price /= candidates.tokens
    return [found[s.name] for s in sites]


def label_gradient(logits: Real, rng: np.random.Generator) -> Real:
    """∂ Σ log p(label) / ∂ logits = onehot − softmax, labels drawn from p. (rows, vocabulary)."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=-1, keepdims=True)
    reached = np.cumsum(probabilities, axis=-1, dtype=np.float64)
    drawn = rng.random((len(logits), 1)) * reached[:, -1:]
    labels = (reached <= drawn).sum(axis=-1)
    gradient: Real = -probabilities
    gradient[np.arange(len(labels)), labels] += 1
    return gradient


def _begin(site: Site, x: Array) -> Candidates:
    magnitude = float(np.abs(x).mean())
    if not (np.isfinite(magnitude) and magnitude > 0):
        raise ConversionError(
            f"expected {site.name!r} to carry finite values other than zero, "
            f"found a mean magnitude of {magnitude}"
        )
    if site.role == "probability":
        thresholds = np.float32(1) / np.array(
            [n for n in PROBABILITY_LEVELS if n <= site.highest] or [site.highest], np.float32
        )
    else:
        octaves = np.log2(COARSEST / FINEST)
        exponents = np.arange(round(octaves * STEPS_PER_OCTAVE) + 1) / STEPS_PER_OCTAVE
        thresholds = (magnitude * COARSEST * 2.0**-exponents).astype(np.float32)
    zeros = np.zeros(len(thresholds))
    return Candidates(site, thresholds, zeros, zeros.copy(), magnitude)


def _extend(
    candidates: Candidates, x: Array, g: Array, tokens: int, rows: Array, table: Array
) -> None:
    site = candidates.site
    fan_out = (rows + 1.0)[:, None] if site.role == "query" else np.full(1, float(site.fan_out))
    square = np.square(g, dtype=np.float32)
    for i, theta in enumerate(candidates.thresholds):
        levels = encode(x, np.float32(1) / theta, site.lowest, site.highest)
        error = x - levels * theta
        candidates.divergence[i] += 0.5 * float(np.sum(square * error * error, dtype=np.float64))
        if site.role != "cached":
            prices = table[np.minimum(np.abs(levels), len(table) - 1)]
            candidates.price[i] += float(np.sum(prices * fan_out))
    candidates.tokens += tokens
