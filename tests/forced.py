"""Spike trains drawn by chance, and targets that fire when they are told to."""

from __future__ import annotations

import numpy as np

from sangbo import dynamics

STEP = 0.5


def trains(neurons: int, rate: float, duration: float, seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    grid = np.arange(1, round(duration / STEP))
    return [grid[generator.random(grid.size) < rate * STEP / 1000] * STEP for _ in range(neurons)]


def forced_network(
    pre: list[np.ndarray], post: list[np.ndarray], threads: int
) -> tuple[dynamics.Network, dynamics.Population, dynamics.Population]:
    """A network, its sources and its targets, which fire at ``post``."""
    network = dynamics.Network(step=STEP, threads=threads)
    sources = network.population(None, dynamics.SpikeTimes(pre))
    # Fires in the step in which a forcing weight arrives, and nothing else reaches its threshold.
    forcing = network.population(None, dynamics.SpikeTimes([t - STEP for t in post]))
    targets = network.population(len(post), dynamics.McCullochPitts(threshold=1e6), name="targets")
    network.connect(forcing, targets, dynamics.OneToOne(), dynamics.Static(weight=2e6, delay=STEP))
    return network, sources, targets
