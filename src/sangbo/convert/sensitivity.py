"""What each threshold of each neuron layer would cost in information and in spikes.

For every site and a row of candidate thresholds, on calibration sequences:

* *divergence*: ½·mean over tokens of Σ g²·(x − θ·n)², the second-order estimate of how far the
  network's predictions move (nats per token), where g = ∂ log p(label) / ∂x and the labels are
  drawn from the network's own predictions (Fisher information). Rounding errors count as
  independent.
* *price*: mean over tokens of Σ fan-out · price(|n|), where a level costs its spikes or one MAC,
  whichever is cheaper (in units of one accumulate); beside it the spikes alone, and how many values
  a MAC carries more cheaply.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sangbo.codes import Code
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

_LARGEST = 4096
"""Magnitude beyond which levels are priced alike."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What a level costs its target, in accumulates: its spikes, or one MAC where that is less.

    Attributes:
        code: how levels become spikes.
        worth: accumulates that a MAC costs; ∞ where the chip has no MAC.
    """

    code: Code
    worth: float

    def table(self) -> NDArray[np.float64]:
        """Price, spikes and whether the dense side is cheaper, of each magnitude, (4097, 3)."""
        spikes = self.code.spikes(np.arange(_LARGEST + 1)).astype(np.float64)
        return np.stack([np.minimum(spikes, self.worth), spikes, spikes > self.worth], axis=1)


@dataclass(slots=True)
class Candidates:
    """Thresholds that a site may take and what each would do per token; arrays of one length.

    Attributes:
        site: where.
        thresholds: θ of each.
        divergence: nats.
        price: accumulates, or their worth in MACs.
        spikes: spikes, each counted once per target.
        dense: values that a MAC carries more cheaply, once per target.
        magnitude: mean magnitude of what the site carries.
        values: values that the site sends, once per target.
        tokens: tokens that were seen.
    """

    site: Site
    thresholds: NDArray[np.float32]
    divergence: NDArray[np.float64]
    price: NDArray[np.float64]
    spikes: NDArray[np.float64]
    dense: NDArray[np.float64]
    magnitude: float
    values: float = 0.0
    tokens: int = 0


def measure(
    graph: Graph,
    sites: Sequence[Site],
    sequences: Sequence[Index],
    prices: Prices,
    progress: Progress = silent,
) -> list[Candidates]:
    """Candidates of every site from ``sequences`` of tokens.

    Args:
        graph: the float graph of a language model.
        sites: what `find_sites` found in it.
        sequences: token ids; each is one pass forward and one backward.
        prices: of levels.
        progress: told the share that is done.

    Raises:
        ConversionError: where a site carries only zeros, or something not finite.
    """
    engine = Reference(graph)
    table = prices.table()
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
        for total in (candidates.divergence, candidates.price, candidates.spikes, candidates.dense):
            total /= candidates.tokens
        candidates.values /= candidates.tokens
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
    divergence, price, spikes, dense = np.zeros((4, len(thresholds)))
    return Candidates(site, thresholds, divergence, price, spikes, dense, magnitude)


def _extend(
    candidates: Candidates, x: Array, g: Array, tokens: int, rows: Array, table: Array
) -> None:
    site = candidates.site
    square = np.square(g, dtype=np.float32)
    targets: NDArray[np.float64] | None = None
    if site.role == "query":  # as many as there are visible keys
        targets = np.broadcast_to((rows + 1.0)[:, None], x.shape).reshape(-1)
    for i, theta in enumerate(candidates.thresholds):
        levels = encode(x, np.float32(1) / theta, site.lowest, site.highest)
        error = x - levels * theta
        candidates.divergence[i] += 0.5 * float(np.sum(square * error * error, dtype=np.float64))
        if site.role != "cached":
            magnitudes = np.minimum(np.abs(levels), _LARGEST).reshape(-1)
            counts = np.bincount(magnitudes, targets, len(table))
            price, spikes, dense = counts @ table * (site.fan_out if targets is None else 1)
            candidates.price[i] += price
            candidates.spikes[i] += spikes
            candidates.dense[i] += dense
    if site.role != "cached":
        candidates.values += x.size * site.fan_out if targets is None else float(targets.sum())
    candidates.tokens += tokens
