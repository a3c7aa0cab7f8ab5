"""Prices a ledger on a chip: dense, spiking, or split by value between the two.

For a level n with code c, fan-out F and s = spikes_c(|n|):

* dense side: F·E_mac, zeros included;
* spiking side: s·(F·E_accumulate + E_spike + E_transport); nothing for n = 0. A code whose receiver
  multiplies pays E_mac in place of E_accumulate;
* complementary: a level takes the spiking side iff that is cheaper. Both sides feed the same sum,
  so this choice changes no result, and compute is never dearer than the better of the two. At
  equal price it takes the dense side.

Every scheme also pays neuron updates and rescales, and the memory of `sangbo.chips.mapping`, which
is the same for all three. On a stepped chip spikes make neurons update in every step, which no
choice of side undoes: the bound on complementary compute holds where execution is folded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sangbo import codes
from sangbo.chips.chip import Chip
from sangbo.chips.mapping import Access, accesses, check, weight_bytes
from sangbo.chips.price import SCHEMES, Baseline, Energy, Events, Price, Scheme
from sangbo.codes import Code
from sangbo.ledger import Ledger

WIDEST_DENSE = 127
"""Largest magnitude that one 8-bit operand of a MAC holds with its sign."""

_TIE = 1e-9
"""Relative difference below which two prices are equal, and a level goes to the dense side: 3 × 0.1
pJ must not be dearer than 0.3 pJ because of binary fractions."""


@dataclass(slots=True)
class _Tally:
    """What the levels of one scheme do, all samples together; whole numbers."""

    macs: int = 0
    synaptic_operations: int = 0
    spikes: int = 0
    pairs: int = 0
    dense_pairs: int = 0
    levels: int = 0
    dense_levels: int = 0
    largest_spiking: int = 0
    most_spikes: int = 0

    def add(self, magnitude: int, spikes: int, levels: int, pairs: int, dense: bool) -> None:
        """Count ``levels`` levels of one magnitude that meet ``pairs`` weights on one side."""
        if magnitude:
            self.pairs += pairs
            self.levels += levels
        if dense:
            self.macs += pairs
            if magnitude:
                self.dense_pairs += pairs
                self.dense_levels += levels
            return
        self.synaptic_operations += spikes * pairs
        self.spikes += spikes * levels
        self.largest_spiking = max(self.largest_spiking, magnitude)
        self.most_spikes = max(self.most_spikes, spikes)


def price(ledger: Ledger, chip: Chip, *, code: str = "csd", batch: int = 1) -> list[Price]:
    """The three schemes of ``ledger`` on ``chip``, per sample.

    Args:
        ledger: what a run counted, at least one sample.
        chip: where it would run.
        code: spike code, a name in `sangbo.codes.CODES`.
        batch: rows that share one reading of the weights.

    Returns:
        One `Price` for each of dense, spiking, complementary. Where the chip has no unit for a
        scheme the events are there and the energy is None.

    Raises:
        LedgerError: where the ledger has no samples or does not fit together.
        PriceError: where ``batch`` is not positive.
        CodeError: where there is no such code.
    """
    spike_code = codes.code(code)
    check(ledger, batch)
    dense, per_target, per_spike = _event_energies(chip, spike_code)
    available: dict[Scheme, bool] = {
        "dense": dense is not None,
        "spiking": per_target is not None,
        "complementary": dense is not None and per_target is not None,
    }
    memory = _by_level(accesses(ledger, chip, batch=batch))
    baselines = _baselines(ledger, chip, batch) if dense is not None else ()
    tallies = {
        scheme: _tally(ledger, spike_code, scheme, dense, per_target, per_spike)
        for scheme in SCHEMES
    }
    stepping = None if chip.execution == "folded" else spike_code
    updates = {s: _neuron_updates(ledger, None if s == "dense" else stepping) for s in SCHEMES}
    energies: dict[Scheme, Energy | None] = {}
    for scheme, tally in tallies.items():
        compute = (
            tally.macs * (dense or 0.0)
            + tally.synaptic_operations * (per_target or 0.0)
            + tally.spikes * per_spike
            + updates[scheme] * (chip.energy("neuron_update") or 0.0)
            + _rescales(ledger, chip)
        )
        energies[scheme] = Energy(compute / ledger.samples, memory) if available[scheme] else None
    whole = energies["dense"]
    return [
        Price(
            chip=chip.name,
            scheme=scheme,
            code=code,
            split="value" if scheme == "complementary" else "none",
            largest_spiking=tally.largest_spiking,
            most_spikes=tally.most_spikes,
            dense_fraction=tally.dense_pairs / tally.pairs if tally.pairs else 0.0,
            dense_fraction_levels=tally.dense_levels / tally.levels if tally.levels else 0.0,
            events=Events(
                macs=tally.macs / ledger.samples,
                synaptic_operations=tally.synaptic_operations / ledger.samples,
                neuron_updates=updates[scheme] / ledger.samples,
                spikes=tally.spikes / ledger.samples,
            ),
            energy=energies[scheme],
            dense=None if whole is None else whole.total,
            baselines=baselines,
            provenances=chip.provenances,
            notes=_notes(ledger, chip, scheme, available[scheme]),
        )
        for scheme, tally in tallies.items()
    ]


def break_even(chip: Chip, operand: str = "int8", total: str = "int32") -> float:
    """Spikes per value below which spikes cost less compute than one MAC on ``chip``.

    (E_multiply(operand) + E_add(total)) / E_add(total), from the chip's table of arithmetic; raises
    `ChipError` where that does not state them.
    """
    add = chip.arithmetic(f"add_{total}")
    return (chip.arithmetic(f"multiply_{operand}") + add) / add


def _event_energies(chip: Chip, code: Code) -> tuple[float | None, float | None, float]:
    """Energy of a MAC, of one spike at one target, and of one spike sent; None: no such unit."""
    mac = chip.energy("mac") if chip.dense else None
    per_target = (mac if code.multiplies else chip.energy("accumulate")) if chip.spiking else None
    per_spike = (chip.energy("spike") or 0.0) + (chip.energy("transport") or 0.0)
    return mac, per_target, per_spike


def _tally(
    ledger: Ledger,
    code: Code,
    scheme: Scheme,
    dense: float | None,
    per_target: float | None,
    per_spike: float,
) -> _Tally:
    """Sends every level of ``ledger`` to its side. Without both units all take the spiking side."""
    tally = _Tally()
    split = scheme == "complementary" and dense is not None and per_target is not None
    for source, pairs in _pairs_by_source(ledger).items():
        levels = ledger.neurons[source].counts
        magnitudes = sorted(levels.keys() | pairs.keys())
        spikes = code.spikes(np.array(magnitudes, np.int64)).tolist()
        for magnitude, count in zip(magnitudes, spikes, strict=True):
            sent, met = levels.get(magnitude, 0), pairs.get(magnitude, 0)
            to_dense = scheme == "dense"
            if split and magnitude:
                spiking = count * (met * (per_target or 0.0) + sent * per_spike)
                to_dense = spiking >= met * (dense or 0.0) * (1 - _TIE)
            tally.add(magnitude, count, sent, met, to_dense)
    return tally


def _pairs_by_source(ledger: Ledger) -> dict[str, dict[int, int]]:
    """Products by |n|, summed over the operations that consume each neuron layer."""
    found: dict[str, dict[int, int]] = {}
    for count in ledger.operations.values():
        pairs = found.setdefault(count.source, {})
        for magnitude, times in count.pairs.counts.items():
            pairs[magnitude] = pairs.get(magnitude, 0) + times
    return found


def _neuron_updates(ledger: Ledger, stepping: Code | None) -> int:
    """One for each level; with ``stepping`` one for each step that its layer's levels take."""
    return sum(
        levels.total * (max(stepping.steps(max(levels.counts, default=0)), 1) if stepping else 1)
        for levels in ledger.neurons.values()
    )


def _rescales(ledger: Ledger, chip: Chip) -> float:
    """Energy in pJ of all rescales."""
    return sum(c.rescales for c in ledger.operations.values()) * (chip.energy("rescale") or 0.0)


def _baselines(ledger: Ledger, chip: Chip, batch: int) -> tuple[Baseline, ...]:
    """Dense execution that skips zeros, at fewer bits, and both.

    A multiplier's energy goes with the product of its operands' bits, so a MAC with a b-bit level
    costs E_multiply·b/8 + (E_mac − E_multiply), which needs the chip's ``multiply_int8``.
    """
    mac = chip.energy("mac") or 0.0
    multiply = chip.get("arithmetic", "multiply_int8")
    shared = _neuron_updates(ledger, None) * (chip.energy("neuron_update") or 0.0)
    shared += _rescales(ledger, chip)
    bits = {
        name: min(8, max(1, max(levels.counts, default=0).bit_length()))
        for name, levels in ledger.neurons.items()
    }
    found = []
    for name, quantised, skipping in (
        ("zero skipping", False, True),
        ("quantised", True, False),
        ("quantised, zero skipping", True, True),
    ):
        if quantised and multiply is None:
            continue
        compute = shared
        for count in ledger.operations.values():
            saved = multiply.value * (1 - bits[count.source] / 8) if multiply and quantised else 0.0
            products = count.pairs.nonzero if skipping else count.pairs.total
            compute += products * (mac - saved)
        moved = accesses(ledger, chip, batch=batch, bits=bits if quantised else None)
        found.append(Baseline(name, Energy(compute / ledger.samples, _by_level(moved))))
    return tuple(found)


def _by_level(moved: list[Access]) -> dict[str, float]:
    """Energy of each memory by its name."""
    found: dict[str, float] = {}
    for access in moved:
        found[access.level.name] = found.get(access.level.name, 0.0) + access.energy
    return found


def _notes(ledger: Ledger, chip: Chip, scheme: Scheme, available: bool) -> tuple[str, ...]:
    """What a reader of this price must know beside the chip's own notes."""
    if not available:
        return (f"{chip.name} has no unit for the {scheme} scheme.",)
    notes = []
    pairs = sum(c.pairs.total for c in ledger.operations.values())
    wide = sum(
        times
        for count in ledger.operations.values()
        for magnitude, times in count.pairs.counts.items()
        if magnitude > WIDEST_DENSE
    )
    if wide and scheme != "spiking":
        notes.append(
            f"{wide / pairs:.2%} of products have a level above {WIDEST_DENSE}; on the dense side "
            "each is priced as one 8-bit MAC."
        )
    capacity = sum(m.capacity.value for m in chip.memory if m.capacity)
    if chip.memory_included and capacity and weight_bytes(ledger) > capacity:
        needed = -(-weight_bytes(ledger) // int(capacity))
        notes.append(
            f"The weights need at least {needed} chips; spikes between chips are not priced."
        )
    if any(c.rescales for c in ledger.operations.values()) and chip.energy("rescale") is None:
        notes.append(f"{chip.name} states no energy of a rescale: not priced.")
    return (*notes, *chip.notes)
