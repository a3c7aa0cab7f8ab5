"""What each threshold of each neuron layer would cost in information and in spikes.

For every site and a row of candidate thresholds, on calibration sequences:

* *divergence*: ½·mean over tokens of Σ g²·(x − θ·n)², the second-order estimate of how far the
  network's predictions move (nats per token), where g = ∂ log p(label) / ∂x and the labels are
  drawn from the network's own predictions (Fisher information). Rounding errors count as
  independent.
* *spikes*: mean over tokens of how many values have 0, 1, 2 … spikes in the chosen code, each value
  once as it is sent, and once for every target that receives it. What the values cost follows from
  that at any worth of a MAC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sangbo.codes import Code
from sangbo.convert.gradients import backward, inner
from sangbo.convert.sites import Site
from sangbo.engines import Reading, Reference
from sangbo.engines.base import Array
from sangbo.engines.numerics import encode
from sangbo.errors import ConversionError
from sangbo.graph import Attention, Graph
from sangbo.progress import Progress, silent
from sangbo.tasks import Task, task_of

STEPS_PER_OCTAVE = 3
COARSEST, FINE, FINEST = 2.0, 2.0**-7, 2.0**-9
"""Candidate thresholds, as multiples of the mean magnitude of what the site carries.

Those below `FINE` are for budgets that ask for them, and none for cached keys and values, whose
levels have few bits.
"""
UNHEARD = 2.0**-5
"""The threshold of a site that calibration never reaches, as a multiple of what others carry."""
PROBABILITY_LEVELS = (7, 15, 23, 31, 47, 63, 95, 127, 191, 255)
_ROWS = 64
_VALUES = 2**16
"""About how many values of an image or a source are looked at."""

_LARGEST = 4096
"""Magnitude beyond which levels are counted alike."""
_MOST = 255
"""Spikes beyond which they are: reached in `rate` alone, and there by what a MAC carries."""


@dataclass(slots=True)
class Candidates:
    """Thresholds that a site may take and what each would do per token; arrays of one length.

    Attributes:
        site: where.
        thresholds: θ of each.
        divergence: nats.
        sent: values by their spikes, 0, 1, 2 …, each as it is sent; (thresholds, spikes + 1).
        received: the same, each value once for every target.
        magnitude: mean magnitude of what the site carries.
        tokens: predictions that were seen.
    """

    site: Site
    thresholds: NDArray[np.float32]
    divergence: NDArray[np.float64]
    sent: NDArray[np.float64]
    received: NDArray[np.float64]
    magnitude: float
    tokens: float = 0.0

    def fine(self) -> Candidates:
        """Those that are not finer than `FINE`; all of probabilities."""
        if self.site.role == "probability":
            return self
        some = self.thresholds > 0.99 * FINE * self.magnitude
        return replace(
            self,
            thresholds=self.thresholds[some],
            divergence=self.divergence[some],
            sent=self.sent[some],
            received=self.received[some],
        )


@dataclass(frozen=True, slots=True)
class _Seen:
    """Some rows of a site in one reading, for how many tokens they stand, targets of each value."""

    values: Array
    gradient: Array
    tokens: float
    targets: NDArray[np.float64] | None


def measure(
    graph: Graph,
    sites: Sequence[Site],
    readings: Sequence[Reading],
    code: Code,
    progress: Progress = silent,
    task: Task | None = None,
) -> list[Candidates]:
    """Candidates of every site from ``readings``.

    Args:
        graph: the float graph.
        sites: what `find_sites` found in it.
        readings: of one sequence or of whole samples; each is one pass forward and one backward.
        code: how levels become spikes.
        progress: told the share that is done.
        task: says what the output means; the one that the graph states by default.

    Raises:
        ConversionError: where a reading holds several sequences, all sites carry only zeros, or
            one something not finite.
    """
    engine = Reference(graph)
    spikes = np.minimum(code.spikes(np.arange(_LARGEST + 1)), _MOST)
    most = int(spikes.max())
    found: dict[str, Candidates] = {}
    quiet: dict[str, list[_Seen]] = {s.name: [] for s in sites}
    rng = np.random.default_rng(0)
    names = {s.name for s in sites}
    kept = [o.output for o in graph.operations]
    task = task or task_of(graph)
    output, likelihood = task.output(graph), task.likelihood(graph)
    queries = {o.query: o for o in graph.operations if isinstance(o, Attention)}
    for step, reading in enumerate(readings):
        progress("measuring sensitivity", step / len(readings))
        if len(reading.parts) > 1:
            raise ConversionError(
                f"expected readings of one sequence each, found one of {len(reading.parts)}"
            )
        values = {**reading.run(engine, keep=kept), **reading.inputs}
        for operation in graph.operations:
            values.update(inner(operation, graph, values))
        seed = likelihood.gradient(values[output], rng)
        gradients = backward(graph, values, output, seed, names)
        count, rows = likelihood.predictions(seed), reading.size
        some = np.sort(rng.permutation(rows)[:_ROWS])
        for site in sites:
            x, g = values[site.name], gradients.get(site.name)
            if g is None:
                g = np.zeros_like(x)
            targets = None
            if site.role == "probability":
                x, g, share = _visible(queries_of(graph, site), x, g, some)
            else:
                keys = None
                if site.role == "query":
                    keys = _keys(queries[site.name], values)
                x, g, targets, share = _chosen(x, g, keys, some, rows)
            seen = _Seen(x, g, count * share, targets)
            if site.name in found:
                _extend(found[site.name], seen, spikes)
                continue
            quiet[site.name].append(seen)
            magnitude = float(np.abs(x).mean())
            if magnitude:  # an expert may be asked for the first time by a later reading
                found[site.name] = _begin(site, magnitude, most)
                for each in quiet.pop(site.name):
                    _extend(found[site.name], each, spikes)
    typical = float(np.median([c.magnitude for c in found.values()])) if found else 0.0
    for site in sites:
        if site.name in quiet:  # nothing tells how fine it must be
            found[site.name] = _begin(site, typical, most, UNHEARD)
            for each in quiet[site.name]:
                _extend(found[site.name], each, spikes)
    for candidates in found.values():
        for total in (candidates.divergence, candidates.sent, candidates.received):
            total /= candidates.tokens
    return [found[s.name] for s in sites]


def queries_of(graph: Graph, site: Site) -> Attention:
    """The attention whose probabilities ``site`` encodes."""
    return next(
        o
        for o in graph.operations
        if isinstance(o, Attention) and f"{o.output}.probability" == site.name
    )


def _rows(total: int, some: NDArray[np.intp], rows: int, channels: int) -> NDArray[np.intp]:
    """Which rows of a value are looked at: ``some`` of the main axis, or evenly spread ones."""
    if total == rows:
        return some
    most = max(_ROWS, _VALUES // channels)
    return np.unique(np.linspace(0, total - 1, min(total, most)).astype(np.intp))


def _chosen(
    x: Array, g: Array, keys: Array | None, some: NDArray[np.intp], rows: int
) -> tuple[Array, Array, NDArray[np.float64] | None, float]:
    """Some rows of a value and its gradient, targets of each, and the share that they are."""
    flat, slope = x.reshape(-1, x.shape[-1]), g.reshape(-1, x.shape[-1])
    chosen = _rows(len(flat), some, rows, flat.shape[1])
    targets = None
    if keys is not None:
        seen = np.broadcast_to(keys[chosen, None], (len(chosen), flat.shape[1]))
        targets = seen.reshape(-1).astype(np.float64)
    return flat[chosen], slope[chosen], targets, len(chosen) / len(flat)


def _keys(operation: Attention, values: Mapping[str, Array]) -> Array:
    """How many keys each row of queries sees."""
    query, key = values[operation.query], values[operation.key]
    rows, kept = query.shape[-2], key.shape[-2]
    seen = 1 + np.arange(rows) if operation.causal else np.full(rows, kept)
    return np.tile(seen, query.size // (rows * query.shape[-1]))


def _visible(
    operation: Attention, x: Array, g: Array, some: NDArray[np.intp]
) -> tuple[Array, Array, float]:
    """Probabilities (samples, heads, rows, keys) that some rows really see, and their gradients."""
    rows, keys = x.shape[2:]
    chosen = some if operation.causal and len(x) == 1 else _rows(rows, some, -1, x[0, :, 0].size)
    x, g = x[:, :, chosen], g[:, :, chosen]
    seen = np.arange(keys) <= (chosen if operation.causal else np.full(len(chosen), keys))[:, None]
    return x[:, :, seen], g[:, :, seen], len(chosen) / rows


def _begin(site: Site, magnitude: float, most: int, finest: float | None = None) -> Candidates:
    """Candidates before anything was seen; only the finest of them if that is given."""
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
        octaves = np.log2(COARSEST / (FINE if site.role == "cached" else FINEST))
        exponents = np.arange(round(octaves * STEPS_PER_OCTAVE) + 1) / STEPS_PER_OCTAVE
        thresholds = (magnitude * COARSEST * 2.0**-exponents).astype(np.float32)
    if finest is not None:
        thresholds = np.array([magnitude * finest], np.float32)
    divergence = np.zeros(len(thresholds))
    sent, received = np.zeros((2, len(thresholds), most + 1))
    return Candidates(site, thresholds, divergence, sent, received, magnitude)


def _extend(candidates: Candidates, seen: _Seen, spikes: Array) -> None:
    site, x, g, targets = candidates.site, seen.values, seen.gradient, seen.targets
    square = np.square(g, dtype=np.float32)
    for i, theta in enumerate(candidates.thresholds):
        levels = encode(x, np.float32(1) / theta, site.lowest, site.highest)
        error = x - levels * theta
        candidates.divergence[i] += 0.5 * float(np.sum(square * error * error, dtype=np.float64))
        if site.role != "cached":
            each = spikes[np.minimum(np.abs(levels), _LARGEST)].reshape(-1)
            width = candidates.sent.shape[1]
            sent = np.bincount(each, minlength=width)
            candidates.sent[i] += sent
            candidates.received[i] += (
                sent * site.fan_out if targets is None else np.bincount(each, targets, width)
            )
    candidates.tokens += seen.tokens
