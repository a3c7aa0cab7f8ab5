"""What one sample costs and how long it takes, from its events and its accesses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sangbo.chips.chip import Chip
from sangbo.chips.memory import Moved
from sangbo.chips.price import Energy, Events, Timing
from sangbo.chips.sides import SidePrices
from sangbo.codes import Code
from sangbo.ledger import Ledger


def spend(
    chip: Chip, events: Events, prices: SidePrices, rescaling: float, run: Moved,
    timing: Timing | None,
) -> Energy:  # fmt: skip
    """Energy of one sample from its events, its accesses and, where only power is known, its time.

    Args:
        chip: where it runs.
        events: per sample.
        prices: of both sides.
        rescaling: energy in pJ of all rescales.
        run: what moves.
        timing: how long it takes.
    """
    arithmetic = events.macs * (prices.mac or 0.0) + rescaling
    arithmetic += events.synaptic_operations * (prices.per_target or 0.0)
    neurons = events.neuron_updates * (chip.energy("neuron_update") or 0.0)
    neurons += events.spikes * (chip.energy("spike") or 0.0)
    parts = {
        "arithmetic": arithmetic,
        "neurons": neurons,
        "control": events.spikes * (chip.energy("transport") or 0.0),
    }
    levels = run.energy() if chip.accounting == "events" else _known(run)
    if chip.accounting == "power" and timing is not None and timing.seconds is not None:
        power = (chip.limit("power") or 0.0) * timing.seconds * 1e12
        parts["control"] = max(0.0, power - arithmetic - neurons - sum(levels.values()))
    return Energy(parts, levels)


def _known(run: Moved) -> dict[str, float]:
    """Energy of the memories that state one."""
    return replace(
        run, accesses=tuple(a for a in run.accesses if a.level.read and a.level.write)
    ).energy()


def time(chip: Chip, events: Events, run: Moved, steps: Mapping[str, int]) -> Timing | None:
    """How long one sample takes, or None where the chip states no rate at all.

    Units of an array do one product or one addition a cycle; a chip that states a peak does half of
    it in products a second; cores that state times run side by side, each layer's time steps one
    after the other with a barrier at each end. Uneven loads are not modelled.
    """
    work = events.macs + events.synaptic_operations
    compute, peak = None, None
    clock, cores = chip.limit("clock"), chip.limit("cores")
    top = chip.limit("peak")
    each = chip.get("time", "accumulate")
    if clock is not None and run.cycles and chip.array.units > 1:
        compute, peak = run.cycles * work / (run.products or 1) / clock, chip.array.units * clock
    elif top is not None:
        compute, peak = work / (top / 2), top / 2
    elif each is not None and cores is not None:
        update, barrier = (chip.get("time", k) for k in ("neuron_update", "barrier_longest"))
        busy = events.synaptic_operations * each.value
        busy += events.neuron_updates * (update.value if update else 0.0)
        wait = sum(steps.values()) * (barrier.value if barrier else 0.0)
        compute, peak = (busy / cores + wait) * 1e-9, cores / each.value * 1e9
    memories = run.seconds()
    if compute is None and not memories:
        return None
    bare = Timing(compute, memories, None)
    if peak is None or not bare.seconds:
        return bare
    return replace(bare, utilisation=work / (bare.seconds * peak))


def steps_of(ledger: Ledger, code: Code) -> dict[str, int]:
    """Time steps that the levels of each neuron layer take in ``code``; at least one."""
    return {
        name: max(code.steps(max(levels.counts, default=0)), 1)
        for name, levels in ledger.neurons.items()
    }


def neuron_updates(ledger: Ledger, stepping: Code | None) -> int:
    """One for each level; with ``stepping`` one for each step that its layer's levels take."""
    steps = {} if stepping is None else steps_of(ledger, stepping)
    return sum(levels.total * steps.get(name, 1) for name, levels in ledger.neurons.items())


def rescales(ledger: Ledger, chip: Chip) -> float:
    """Energy in pJ of the rescales of one sample."""
    total = sum(c.rescales for c in ledger.operations.values())
    return total * (chip.energy("rescale") or 0.0) / ledger.samples
