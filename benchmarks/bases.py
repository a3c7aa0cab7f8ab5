"""What else could save spikes: other bases, channels' own thresholds, corrections of what is lost.

    .venv/bin/python benchmarks/bases.py --text FILE

For values of some blocks, csd spikes per value that bring the same divergence, to second order and
with rounding errors as independent (½·Σ E[g²]·θ²/12), where the values are sent in another form
whose change folds into the neighbouring weights; and which share of the divergence is left where
what rounding does is corrected. All is fitted to one half of the text and told of the other.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sangbo import codes
from sangbo.convert.gradients import backward
from sangbo.convert.sensitivity import label_gradient
from sangbo.engines import Reference, Segment
from sangbo.engines.base import Real
from sangbo.sources import open_source
from sangbo.tasks.language import whole_reading

BLOCKS = (0, 7, 14, 21, 28)
SITES = ("attention.norm", "attention.mix", "mlp.norm", "mlp.product")
PASSAGES, LENGTH = 8, 256
SPIKES = 1.15
"""Spikes per value at which all is compared."""
DIRECTIONS = 16
LARGEST = 4096


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", default="smollm2-135m-instruct")
    parser.add_argument("--text", type=Path, required=True)
    given = parser.parse_args()
    values, gradients = collect(given.source, given.text.read_text())
    rows = {}
    for site in SITES:
        found = [study(values[n], gradients[n]) for n in values if n.endswith(site)]
        rows[site] = {k: float(np.mean([f[k] for f in found])) for k in found[0]}
    names = list(next(iter(rows.values())))
    print(f"| | {' | '.join(rows)} |\n|---|{'---:|' * len(rows)}")
    for name in names:
        print(f"| {name} | {' | '.join(f'{row[name]:.3f}' for row in rows.values())} |")


def collect(spec: str, text: str) -> tuple[dict[str, Real], dict[str, Real]]:
    """Values and gradients of all sites, (passages, length, channels)."""
    source = open_source(spec)
    if source.tokenizer is None:
        raise SystemExit("expected a source with a tokenizer, found none")
    ids = np.asarray(source.tokenizer.encode(text)[: PASSAGES * LENGTH], np.int32)
    engine, rng = Reference(source.graph), np.random.default_rng(0)
    names = [f"layers.{b}.{s}" for b in BLOCKS for s in SITES]
    values: dict[str, list[Real]] = {n: [] for n in names}
    gradients: dict[str, list[Real]] = {n: [] for n in names}
    for tokens in ids.reshape(-1, LENGTH):
        inputs = whole_reading(tokens)
        kept = [o.output for o in source.graph.operations]
        seen: dict[str, Any] = engine.run(
            inputs, [Segment(engine.cache(LENGTH), LENGTH)], keep=kept
        )
        seen.update(inputs)
        seed = label_gradient(seen["logits"], rng)
        slopes = backward(source.graph, seen, "logits", seed, set(names))
        for n in names:
            values[n].append(seen[n].copy())
            gradients[n].append(slopes[n])
    return (
        {n: np.stack(v) for n, v in values.items()},
        {n: np.stack(g) for n, g in gradients.items()},
    )


def study(x: Real, g: Real) -> dict[str, float]:
    """Spikes per value in each form, and shares of the divergence, of one site."""
    channels, half = x.shape[-1], len(x) // 2
    fitted, told = x[:half].reshape(-1, channels), x[half:].reshape(-1, channels)
    slope, later = g[:half].reshape(-1, channels), g[half:].reshape(-1, channels)
    power = np.square(slope).mean(axis=0)
    theta = bisect(lambda t: spikes(fitted, t) - SPIKES, float(np.abs(fitted).mean()))
    budget = float(power.sum()) * theta**2

    def cost(values: Real, sensitivity: Real, own: bool) -> float:
        scale = 1 / np.sqrt(sensitivity + 0.03 * sensitivity.mean()) if own else np.ones(channels)
        return spikes(values, scale * np.sqrt(budget / (sensitivity * scale**2).sum()))

    centre = fitted.mean(axis=0)
    main_axes = np.linalg.eigh(np.cov(fitted.T))[1]
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(channels, channels)))[0]
    sent = theta * np.floor(fitted / theta + 0.5)
    bias = (fitted - sent).mean(axis=0)
    gain = float((power * fitted * sent).sum() / (power * sent * sent).sum())
    lost = told - theta * np.floor(told / theta + 0.5)
    before = float(np.square(later * lost).sum())
    axes = np.linalg.eigh(slope.T @ slope)[1][:, -DIRECTIONS:]
    return {
        "spikes, as it is": cost(told, power, own=False),
        "spikes, thresholds per channel": cost(told, power, own=True),
        "spikes, centred": cost(told - centre, power, own=False),
        "spikes, turned at random": cost(
            told @ turned, np.square(slope @ turned).mean(axis=0), own=True
        ),
        "spikes, centred and turned to main axes of its own": cost(
            (told - centre) @ main_axes, np.square(slope @ main_axes).mean(axis=0), own=True
        ),
        "left with a bias": float(np.square(later * (lost - bias)).sum()) / before,
        "left with a gain": float(np.square(later * (told - gain * (told - lost))).sum()) / before,
        f"left without {DIRECTIONS} directions": 1
        - float(np.square(later @ axes).sum() / np.square(later).sum()),
    }


def spikes(values: Real, theta: Real | float) -> float:
    """Csd spikes per value."""
    table = codes.code("csd").spikes(np.arange(LARGEST + 1))
    levels = np.minimum(np.abs(np.floor(values / theta + 0.5)), LARGEST).astype(np.int64)
    return float(table[levels].mean())


def bisect(excess: Callable[[float], float], start: float) -> float:
    """The threshold at which ``excess``, which falls with it, is zero."""
    low, high = start / 2**10, start * 2**4
    for _ in range(30):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return low


if __name__ == "__main__":
    main()
