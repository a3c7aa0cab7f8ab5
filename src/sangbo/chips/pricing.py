"""Prices a ledger on a chip: dense, spiking, or split between the two.

For a level n with code c, fan-out F and s = spikes_c(|n|):

* dense side: F·E_mac, zeros included;
* spiking side: s·(F·E_accumulate + E_spike + E_transport); nothing for n = 0. A code whose receiver
  multiplies pays E_mac in place of E_accumulate;
* complementary: a level, or the group of levels that a coarser split keeps together, takes the
  spiking side iff that is cheaper. Both sides feed the same sum, so this choice changes no result,
  and compute is never dearer than the better of the two. At equal price it takes the dense side.

Every scheme also pays neuron updates and rescales, and the memory of `sangbo.chips.memory`, which
is the same for all three. On a stepped chip spikes make neurons update in every step, which no
choice of side undoes: the bound on complementary compute holds where execution is folded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from sangbo import codes
from sangbo.chips.baselines import baselines_of, stepped_of
from sangbo.chips.budget import neuron_updates, rescales, spend, steps_of, time
from sangbo.chips.chip import Chip
from sangbo.chips.memory import moved, weight_bytes
from sangbo.chips.price import SCHEMES, Energy, Events, Price, Scheme, Timing
from sangbo.chips.shapes import Shaped, check
from sangbo.chips.sides import Mask, SidePrices, side_prices
from sangbo.codes import Code
from sangbo.ledger import Ledger
from sangbo.tallies import COLUMN, NONZERO, PAIRS, SENT, TOTAL, Tally

WIDEST_DENSE = 127
"""Largest magnitude that one 8-bit operand of a MAC holds with its sign."""


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

    def events(self, samples: int, updates: int) -> Events:
        """The events per sample."""
        return Events(
            macs=self.macs / samples,
            synaptic_operations=self.synaptic_operations / samples,
            neuron_updates=updates / samples,
            spikes=self.spikes / samples,
        )

    def add(self, groups: Tally, column: int, spiking: Mask) -> None:
        """Count groups, those in ``spiking`` on the spiking side; ``column`` is the code's."""
        self.pairs += groups.total(PAIRS, NONZERO)
        self.levels += groups.total(SENT, NONZERO)
        self.macs += groups.total(PAIRS, TOTAL, ~spiking)
        self.dense_pairs += groups.total(PAIRS, NONZERO, ~spiking)
        self.dense_levels += groups.total(SENT, NONZERO, ~spiking)
        self.synaptic_operations += groups.total(PAIRS, column, spiking)
        self.spikes += groups.total(SENT, column, spiking)
        most = groups.most[spiking].max(axis=0, initial=0)
        self.largest_spiking = max(self.largest_spiking, int(most[COLUMN["rate"] - 1]))
        self.most_spikes = max(self.most_spikes, int(most[column - 1]))


def price(
    ledger: Ledger,
    chip: Chip,
    *,
    code: str = "csd",
    split: str = "value",
    batch: int = 1,
    nests: Mapping[str, Shaped] | None = None,
) -> list[Price]:
    """The three schemes of ``ledger`` on ``chip``, per sample.

    Args:
        ledger: what a run counted, at least one sample.
        chip: where it would run.
        code: spike code, a name in `sangbo.codes.CODES`.
        split: which levels take a side together, a name in `sangbo.tallies.SPLITS`.
        batch: samples that share one reading of the weights.
        nests: of operations whose shape is known, as `sangbo.chips.weighted` gives them for a
            graph; needed for convolutions and recurrent cells.

    Returns:
        One `Price` for each of dense, spiking, complementary. Where the chip has no unit for a
        scheme the events are there and the energy is None.

    Raises:
        LedgerError: where the ledger has no samples, does not fit together, or lacks the tallies
            of ``split``.
        PriceError: where ``batch`` is not positive.
        CodeError: where there is no such code.
    """
    return price_all(ledger, [chip], code=code, split=split, batch=batch, nests=nests)


def price_all(
    ledger: Ledger,
    chips: Iterable[Chip],
    *,
    code: str = "csd",
    split: str = "value",
    batch: int = 1,
    nests: Mapping[str, Shaped] | None = None,
) -> list[Price]:
    """What `price` says for each chip, one after the other; the ledger is summed up only once."""
    spike_code = codes.code(code)
    check(ledger, batch)
    groups, wide = ledger.groups(split), _wide(ledger)
    return [
        priced
        for chip in chips
        for priced in _on_chip(ledger, chip, spike_code, split, batch, groups, wide, nests or {})
    ]


def _on_chip(
    ledger: Ledger,
    chip: Chip,
    spike_code: Code,
    split: str,
    batch: int,
    groups: Mapping[str, Tally],
    wide: float,
    nests: Mapping[str, Shaped],
) -> list[Price]:
    prices = side_prices(chip, spike_code)
    available: dict[Scheme, bool] = {
        "dense": prices.mac is not None,
        "spiking": prices.per_target is not None,
        "complementary": prices.both,
    }
    run = moved(ledger, chip, batch=batch, nests=nests) if chip.priced else None
    tallies = {scheme: _tally(groups, scheme, prices) for scheme in SCHEMES}
    stepping = None if chip.execution == "folded" else spike_code
    updates = {s: neuron_updates(ledger, None if s == "dense" else stepping) for s in SCHEMES}
    events = {s: tallies[s].events(ledger.samples, updates[s]) for s in SCHEMES}
    energies: dict[Scheme, Energy | None] = dict.fromkeys(SCHEMES)
    timings: dict[Scheme, Timing | None] = dict.fromkeys(SCHEMES)
    for scheme in SCHEMES:
        if run is not None and available[scheme]:
            steps = steps_of(ledger, stepping) if stepping and scheme != "dense" else {}
            timings[scheme] = timing = time(chip, events[scheme], run, steps)
            scale = rescales(ledger, chip)
            energies[scheme] = spend(chip, events[scheme], prices, scale, run, timing)
    baselines = baselines_of(ledger, chip, batch, nests) if energies["dense"] else ()
    stepped = None
    if energies["spiking"] and chip.execution == "folded" and chip.accounting == "events":
        stepped = stepped_of(ledger, chip, spike_code, prices, events["spiking"], batch, nests)
    whole = energies["dense"]
    return [
        Price(
            chip=chip.name,
            scheme=scheme,
            code=spike_code.name,
            split=split if scheme == "complementary" else "none",
            largest_spiking=tally.largest_spiking,
            most_spikes=tally.most_spikes,
            dense_fraction=tally.dense_pairs / tally.pairs if tally.pairs else 0.0,
            dense_fraction_levels=tally.dense_levels / tally.levels if tally.levels else 0.0,
            events=events[scheme],
            energy=energies[scheme],
            dense=None if whole is None else whole.total,
            baselines=baselines,
            provenances=chip.provenances,
            notes=_notes(ledger, chip, scheme, available[scheme], wide),
            stepped=stepped if scheme == "spiking" else None,
            timing=timings[scheme],
            batch=batch,
        )
        for scheme, tally in tallies.items()
    ]


def _tally(groups: Mapping[str, Tally], scheme: Scheme, prices: SidePrices) -> _Tally:
    """Sends every group to its side. Without both units all take the spiking side."""
    tally = _Tally()
    for group in groups.values():
        spiking = np.full(len(group), scheme != "dense")
        if scheme == "complementary" and prices.both:
            spiking = prices.cheaper(group)
        tally.add(group, prices.column, spiking)
    return tally


def _wide(ledger: Ledger) -> float:
    """Share of all products whose level is above `WIDEST_DENSE`."""
    pairs = wide = 0
    for count in ledger.operations.values():
        pairs += count.pairs.total
        wide += sum(n for magnitude, n in count.pairs.counts.items() if magnitude > WIDEST_DENSE)
    return wide / max(1, pairs)


def _notes(
    ledger: Ledger, chip: Chip, scheme: Scheme, available: bool, wide: float
) -> tuple[str, ...]:
    """What a reader of this price must know beside the chip's own notes."""
    if not chip.priced:
        return (f"No energies of {chip.name} are published: only its limits are known.",)
    if not available:
        return (f"{chip.name} has no unit for the {scheme} scheme.",)
    notes = []
    if chip.energy("neuron_update") is None and chip.accounting == "events":
        notes.append(f"{chip.name} states no energy of a neuron update: not priced.")
    if wide and scheme != "spiking":
        notes.append(
            f"{wide:.2%} of products have a level above {WIDEST_DENSE}; on the dense side "
            "each is priced as one 8-bit MAC."
        )
    capacity = sum(m.capacity.value for m in chip.memory if m.capacity)
    if chip.memory_included and capacity and weight_bytes(ledger) > capacity:
        needed = -(-weight_bytes(ledger) // int(capacity))
        notes.append(
            f"The weights need at least {needed} chips; spikes between chips are not priced."
        )
    if any(c.rescales for c in ledger.operations.values()) and (
        chip.energy("rescale") is None and chip.accounting == "events"
    ):
        notes.append(f"{chip.name} states no energy of a rescale: not priced.")
    return (*notes, *chip.notes)
