"""Where spikes break even with products: by arithmetic alone, with memory, and as published.

Per product of an operation, with s spikes per value, T time steps and fan-out F:

* dense: E_mac and the memory of dense execution; the fair form has ⌈log₂(T+1)⌉-bit levels;
* folded in time: s·(E_accumulate + E_spike/F) and the memory of that fair dense form, because a
  level is the same integer of as many bits on both sides;
* step by step: s·(the same + a weight from the nearest memory) and all that is fetched whether
  there are spikes or not: sums again in each step, weights from further away;
* event by event: s·(E_accumulate + a weight + a membrane read and written): nothing is reused, and
  nothing happens without a spike.

Break-even is the s at which both sides cost the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, log2
from typing import Any

from sangbo import codes
from sangbo.chips.baselines import WIDEST, level_bits
from sangbo.chips.budget import steps_of
from sangbo.chips.chip import Chip
from sangbo.chips.memory import Moved, moved
from sangbo.chips.nests import SUM_BYTES, Nest
from sangbo.chips.search import Flow, search
from sangbo.chips.shapes import Shaped
from sangbo.errors import ChipError, PriceError
from sangbo.ledger import Ledger


def break_even(chip: Chip, operand: str = "int8", total: str = "int32") -> float:
    """Spikes per value below which spikes cost less compute than one MAC on ``chip``.

    (E_multiply(operand) + E_add(total)) / E_add(total), from the chip's table of arithmetic; raises
    `ChipError` where that does not state them.
    """
    add = chip.arithmetic(f"add_{total}")
    return (chip.arithmetic(f"multiply_{operand}") + add) / add


@dataclass(frozen=True, slots=True)
class LayerBreakEven:
    """One operation of a counted network on one chip; energies in pJ per product.

    Attributes:
        chip, operation: names.
        spikes: per value, counted.
        steps: time steps that its levels take.
        dense: int8, with memory.
        fair: at ⌈log₂(T+1)⌉ bits, T the largest magnitude, with memory.
        per_spike: of one spike, folded in time.
        memory: of a product, dense at those bits or folded in time.
        per_spike_stepped: of one spike, step by step.
        memory_stepped: of a product step by step, with no spike at all.
        compute: break-even of arithmetic alone, against int8.
    """

    chip: str
    operation: str
    spikes: float
    steps: int
    dense: float
    fair: float
    per_spike: float
    memory: float
    per_spike_stepped: float
    memory_stepped: float
    compute: float

    @property
    def folded(self) -> float:
        """Spikes per value up to which folded spikes beat the fair dense form; 0 if none."""
        return max(0.0, (self.fair - self.memory) / self.per_spike)

    @property
    def stepped(self) -> float:
        """The same step by step."""
        return max(0.0, (self.fair - self.memory_stepped) / self.per_spike_stepped)

    def to_dict(self) -> dict[str, Any]:
        """The layer as JSON values."""
        return {
            "chip": self.chip,
            "operation": self.operation,
            "spikes_per_value": self.spikes,
            "steps": self.steps,
            "pj_per_product": {
                "dense": self.dense,
                "dense_quantised": self.fair,
                "folded": self.memory + self.spikes * self.per_spike,
                "stepped": self.memory_stepped + self.spikes * self.per_spike_stepped,
            },
            "break_even": {
                "compute": self.compute,
                "with_memory_folded": self.folded,
                "with_memory_stepped": self.stepped,
            },
        }


def layer_break_evens(
    ledger: Ledger,
    chip: Chip,
    *,
    code: str = "csd",
    batch: int = 1,
    nests: Mapping[str, Shaped] | None = None,
) -> list[LayerBreakEven]:
    """Every operation of ``ledger`` on ``chip``; none where the chip has not both units.

    Raises:
        LedgerError: where the ledger does not fit together.
        PriceError: where ``batch`` is not positive.
        CodeError: where there is no such code.
    """
    spike_code = codes.code(code)
    mac, accumulate = chip.energy("mac"), chip.energy("accumulate")
    if not mac or not accumulate or chip.accounting == "power" or spike_code.multiplies:
        return []
    bits, steps = level_bits(ledger), steps_of(ledger, spike_code)
    multiply = chip.get("arithmetic", "multiply_int8")
    spared = 0.0 if multiply is None else multiply.value
    sent = (chip.energy("spike") or 0.0) + (chip.energy("transport") or 0.0)
    never, always = dict.fromkeys(steps, 0.0), dict.fromkeys(steps, 1.0)
    plain, fair, silent, busy = (
        _by_operation(run)
        for run in (
            moved(ledger, chip, batch=batch, nests=nests),
            moved(ledger, chip, batch=batch, bits=bits, nests=nests),
            moved(ledger, chip, batch=batch, steps=steps, density=never, nests=nests),
            moved(ledger, chip, batch=batch, steps=steps, density=always, nests=nests),
        )
    )
    found = []
    for name, count in ledger.operations.items():
        products = count.pairs.total / ledger.samples
        if not products:
            continue
        fan_out = count.pairs.total / max(1, ledger.neurons[count.source].total)
        spikes = spike_code.spikes(count.pairs.magnitudes) * count.pairs.occurrences
        per_spike = accumulate + sent / fan_out
        turns = steps[count.source]
        idle, full = silent.get(name, 0.0) / products, busy.get(name, 0.0) / products
        found.append(
            LayerBreakEven(
                chip=chip.name,
                operation=name,
                spikes=float(spikes.sum()) / count.pairs.total,
                steps=turns,
                dense=mac + plain.get(name, 0.0) / products,
                fair=mac
                - spared * (1 - bits[count.source] / WIDEST)
                + fair.get(name, 0.0) / products,
                per_spike=per_spike,
                memory=fair.get(name, 0.0) / products,
                per_spike_stepped=per_spike + (full - idle) / turns,
                memory_stepped=idle,
                compute=mac / per_spike,
            )
        )
    return found


def _by_operation(run: Moved) -> dict[str, float]:
    found: dict[str, float] = {}
    for access in run.accesses:
        found[access.operation] = found.get(access.operation, 0.0) + access.energy
    return found


def fair_mac(chip: Chip, steps: int) -> float:
    """Energy of a product with a level of ⌈log₂(T+1)⌉ bits.

    Raises:
        ChipError: where the chip does not state the arithmetic that this needs.
        PriceError: where ``steps`` is not positive.
    """
    if steps < 1:
        raise PriceError(f"expected at least 1 time step, found {steps}")
    mac = chip.energy("mac")
    if mac is None or chip.energy("accumulate") is None:
        raise ChipError(f"expected {chip.name} to state both sides, found one")
    bits = ceil(log2(steps + 1))
    return mac - chip.arithmetic("multiply_int8") * (1 - bits / WIDEST)


def by_events(nests: Sequence[Nest], chip: Chip, steps: int) -> float:
    """Spikes per value up to which spikes, event by event, beat dense ⌈log₂(T+1)⌉-bit execution.

    Args:
        nests: the network as plain shapes.
        chip: energies; a spike finds weights and membranes in its nearest shared memory.
        steps: T, of a rate code.

    Raises:
        ChipError: where the chip does not state the arithmetic or memory that this needs.
        PriceError: where ``steps`` is not positive.
    """
    product, accumulate = fair_mac(chip, steps), chip.energy("accumulate") or 0.0
    near = next((s for s in chip.stores if not s.private and not s.external), None)
    if near is None:
        raise ChipError(f"expected {chip.name} to state an on-chip memory, found none")
    bits = ceil(log2(steps + 1))
    dense = spikes = 0.0
    for nest in nests:
        plain = search(replace(nest, name=""), chip.stores, chip.array)
        dense += _energy(chip, plain.flows, bits / WIDEST) + product * nest.macs
        membrane = SUM_BYTES * (near.read + near.write)
        spikes += nest.macs * (accumulate + nest.weight_bytes * near.read + membrane)
    return dense / spikes


def _energy(chip: Chip, flows: Sequence[Flow], narrower: float) -> float:
    """Energy of all flows, those of the inputs ``narrower``."""
    stores = {s.name: s for s in chip.stores}
    return sum(
        (f.read * stores[f.store].read + f.written * stores[f.store].write)
        * (narrower if f.operand == "inputs" else 1.0)
        for f in flows
    )
