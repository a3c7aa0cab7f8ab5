"""What the same network costs otherwise on the same chip: fairer dense forms, and steps in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sangbo.chips.budget import neuron_updates, rescales, spend, steps_of, time
from sangbo.chips.chip import Chip
from sangbo.chips.memory import moved
from sangbo.chips.price import Baseline, Energy, Events
from sangbo.chips.shapes import Shaped
from sangbo.chips.sides import SidePrices
from sangbo.codes import Code
from sangbo.ledger import Ledger

WIDEST = 8
"""Bits of a dense level at most."""


def level_bits(ledger: Ledger) -> dict[str, int]:
    """⌈log₂(T+1)⌉ for each neuron layer, T its largest magnitude; at most `WIDEST`."""
    return {
        name: min(WIDEST, max(1, max(levels.counts, default=0).bit_length()))
        for name, levels in ledger.neurons.items()
    }


def baselines_of(
    ledger: Ledger, chip: Chip, batch: int, nests: Mapping[str, Shaped]
) -> tuple[Baseline, ...]:
    """Dense execution that skips zeros, at fewer bits, and both.

    A multiplier's energy goes with the product of its operands' bits, so a MAC with a b-bit level
    costs E_multiply·b/8 + (E_mac − E_multiply), which needs the chip's ``multiply_int8``. All take
    the mapping of dense execution.
    """
    mac = chip.energy("mac") or 0.0
    multiply = chip.get("arithmetic", "multiply_int8")
    bits = level_bits(ledger)
    updates = neuron_updates(ledger, None) / ledger.samples
    found = []
    for name, quantised, skipping in (
        ("zero skipping", False, True),
        ("quantised", True, False),
        ("quantised, zero skipping", True, True),
    ):
        if quantised and multiply is None:
            continue
        products = saved = 0.0
        for count in ledger.operations.values():
            done = count.pairs.nonzero if skipping else count.pairs.total
            products += done / ledger.samples
            if multiply is not None and quantised:
                spared = multiply.value * (1 - bits[count.source] / WIDEST)
                saved += done * spared / ledger.samples
        run = moved(ledger, chip, batch=batch, bits=bits if quantised else None, nests=nests)
        events = Events(products, 0.0, updates, 0.0)
        timing = time(chip, events, run, {})
        scale = rescales(ledger, chip) - saved
        energy = spend(chip, events, SidePrices(0, mac, None, 0.0), scale, run, timing)
        found.append(Baseline(name, energy))
    return tuple(found)


def stepped_of(
    ledger: Ledger,
    chip: Chip,
    code: Code,
    prices: SidePrices,
    events: Events,
    batch: int,
    nests: Mapping[str, Shaped],
) -> Energy:
    """The spiking scheme run one time step after the other instead of folded in time."""
    steps = steps_of(ledger, code)
    density = {}
    for name, levels in ledger.neurons.items():
        sent = int((code.spikes(levels.magnitudes) * levels.occurrences).sum())
        density[name] = min(1.0, sent / max(1, levels.total * steps[name]))
    run = moved(ledger, chip, batch=batch, steps=steps, density=density, nests=nests)
    updates = neuron_updates(ledger, code) / ledger.samples
    each = replace(events, neuron_updates=updates)
    return spend(chip, each, prices, rescales(ledger, chip), run, time(chip, each, run, {}))
