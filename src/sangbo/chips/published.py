"""Thresholds that others have published, beside what the same question gives here.

No number here is fitted: each row states which chip, network and assumption give the modelled one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from sangbo.chips.break_even import break_even, by_events, fair_mac
from sangbo.chips.loading import load
from sangbo.chips.networks import swin_tiny, vgg16
from sangbo.chips.search import search


@dataclass(frozen=True, slots=True)
class Threshold:
    """One published break-even, in spikes per value unless ``unit`` says otherwise.

    Attributes:
        claim: what is claimed, and by whom.
        published: lowest and highest published figure.
        modelled: lowest and highest figure of this model.
        memory: whether memory is included.
        assumption: what gives the modelled figure, and what explains a gap.
        unit: of both.
    """

    claim: str
    published: tuple[float, float]
    modelled: tuple[float, float]
    memory: bool
    assumption: str
    unit: str = "spikes per value"

    def to_dict(self) -> dict[str, object]:
        """The threshold as JSON values."""
        return {
            "claim": self.claim,
            "published": list(self.published),
            "modelled": list(self.modelled),
            "memory": self.memory,
            "assumption": self.assumption,
            "unit": self.unit,
        }


SWIN_PRODUCTS, SWIN_PRODUCTS_MJ, SWIN_SPIKES_MJ = 4.369e9, 20.098, 2.980
"""Products of Swin-T, their energy, and that of the spikes that replace them, as SpikedAttention's
own log has them: 0.76 accumulates of 0.9 pJ a product."""


@cache
def _swin() -> tuple[float, float]:
    """Swin-T in float32 on horowitz-45nm: energy of products over that of spikes folded in time.

    With all memory, and with on-chip memory alone; both sides fetch the same.
    """
    chip = load("horowitz-45nm")
    stores = {s.name: s for s in chip.stores}
    add, multiply = (chip.arithmetic(f"{k}_float32") for k in ("add", "multiply"))
    sent = SWIN_SPIKES_MJ * 1e9 / add / SWIN_PRODUCTS
    products, memory = 0, {True: 0.0, False: 0.0}
    for nest in swin_tiny():
        wide = replace(nest, name="", input_bytes=4, weight_bytes=4, output_bytes=4)
        products += nest.macs
        for flow in search(wide, chip.stores, chip.array).flows:
            store = stores[flow.store]
            memory[store.external] += flow.read * store.read + flow.written * store.write
    both = memory[False] + memory[True], memory[False]
    low, high = ((products * (multiply + add) + m) / (products * add * sent + m) for m in both)
    return low, high


@cache
def _events(chip: str, steps: int) -> float:
    return by_events(vgg16(32, 10), load(chip), steps)


def thresholds() -> Iterator[Threshold]:
    """Every published threshold, beside the model's."""
    table = load("horowitz-45nm")
    for claim, operand, total, published in (
        ("float32 MAC 4.6 pJ, addition 0.9 pJ: the usual claim", "float32", "float32", 5.1),
        ("int8 MAC 0.23 pJ, 8-bit addition 0.03 pJ", "int8", "int8", 7.7),
        ("int8 MAC into 32 bits 0.3 pJ, 32-bit addition 0.1 pJ", "int8", "int32", 3.0),
    ):
        found = break_even(table, operand, total)
        assumption = "arithmetic alone, horowitz-45nm"
        yield Threshold(claim, (published, published), (found, found), False, assumption)
    sent = SWIN_SPIKES_MJ * 1e9 / table.arithmetic("add_float32") / SWIN_PRODUCTS
    saved = break_even(table, "float32", "float32") / sent
    yield Threshold(
        "SpikedAttention 2024, Swin-T: energy of products over that of spikes",
        (6.7, 6.7),
        (saved, saved),
        False,
        f"arithmetic alone, horowitz-45nm, at the {sent:.2f} spikes a product of its log",
        "times less",
    )
    yield Threshold(
        "the same with memory",
        (1.72, 1.72),
        _swin(),
        True,
        "float32, folded in time, horowitz-45nm, with and without external memory: both sides "
        "fetch the same. Its log lets nothing be reused: a product that is not zero reads a weight "
        "and a value from SRAM, 2 × 5 pJ, a spike reads one weight. By our table too that is 14.6 "
        "pJ a product and 6.06 a spike, 3.2 times less; and 1.72 at the 71 % of values that are "
        "not zero and the 22 updates a neuron that its two totals imply",
        "times less",
    )
    folded = fair_mac(table, 5) / (table.energy("accumulate") or 1.0)
    yield Threshold(
        "Davidson & Furber 2021: spikes per synapse and inference",
        (1.72, 1.72),
        (folded, folded),
        True,
        "folded in time against 3-bit dense, horowitz-45nm: both sides fetch the same, so "
        "arithmetic decides; their own equation is not followed, so the nearness proves little",
    )
    spikes = [_events(name, 5) for name in ("jouppi-7nm", "horowitz-45nm")]
    yield Threshold(
        "Dampfhoffer et al. 2023: spikes per synapse and inference",
        (0.15, 1.38),
        (min(spikes), max(spikes)),
        True,
        "event by event, T = 5, VGG-16 on CIFAR-10, jouppi-7nm and horowitz-45nm",
    )
    share = [100 * _events("jouppi-7nm", steps) / steps for steps in (5, 10)]
    yield Threshold(
        "Yan, Bai & Wong 2024: spike rate against ⌈log₂(T+1)⌉ bits, T in 5…10",
        (6.4, 6.4),
        (min(share), max(share)),
        True,
        "event by event, T = 10 and 5, VGG-16 on CIFAR-10, jouppi-7nm; their network on chip is "
        "not modelled; on horowitz-45nm, whose external memory weighs more, 9.3 to 18.5 %",
        "% of values and steps",
    )
