"""At the break-even both sides cost the same; published thresholds beside the model's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sangbo import chips
from sangbo.chips.break_even import by_events, layer_break_evens
from sangbo.chips.nests import linear
from sangbo.chips.networks import alexnet, swin_tiny, total_macs, vgg16
from sangbo.chips.plain import plain_cost
from sangbo.chips.published import SWIN_PRODUCTS, SWIN_PRODUCTS_MJ, SWIN_SPIKES_MJ
from sangbo.errors import ChipError, PriceError
from sangbo.ledger import Ledger
from sangbo.report.break_even import figures

TABLE = chips.load("horowitz-45nm")


def ledger_of(highest: int, outputs: int = 64) -> Ledger:
    ledger = Ledger(samples=4)
    levels = np.random.default_rng(7).integers(-highest, highest + 1, (4, 128))
    ledger.neuron("n").add(levels)
    count = ledger.operation("o", "n", 128 * outputs)
    count.rows = 4
    count.pairs.merge(ledger.neuron("n"), outputs)
    return ledger


@pytest.mark.parametrize("code", ["rate", "radix", "csd"])
def test_at_the_break_even_both_sides_cost_the_same(code: str) -> None:
    (found,) = layer_break_evens(ledger_of(7), TABLE, code=code)
    assert found.compute == pytest.approx(3.0)
    for spikes in (found.folded, found.stepped):
        at = replace(found, spikes=spikes)
        prices = {k: price for k, (_, price) in figures(at).items()}
        if spikes == found.folded:
            assert prices["memory, folded in time"] == pytest.approx(1)
        elif spikes:
            assert prices["memory, step by step"] == pytest.approx(1)
    assert found.stepped < found.folded
    # A fair dense form at fewer bits is harder to beat than int8.
    assert found.folded <= found.compute
    assert found.fair < found.dense


def test_layers_agree_with_the_price_of_the_whole() -> None:
    ledger = ledger_of(7)
    (found,) = layer_break_evens(ledger, TABLE, code="csd")
    dense, spiking, _ = chips.price(ledger, TABLE, code="csd")
    assert dense.energy is not None
    assert spiking.energy is not None
    products = 128 * 64
    updates = dense.energy.parts["neurons"]
    assert found.dense * products == pytest.approx(dense.energy.total - updates)
    quantised = next(b for b in dense.baselines if b.name == "quantised")
    assert found.fair * products == pytest.approx(quantised.energy.total - updates)
    arithmetic = spiking.energy.parts["arithmetic"]
    assert found.spikes * found.per_spike * products == pytest.approx(arithmetic)


def test_chips_without_a_choice_have_none() -> None:
    for name in ("loihi-1", "a100", "eyeriss-like", "loihi-2"):
        assert layer_break_evens(ledger_of(3), chips.load(name)) == []
    assert layer_break_evens(ledger_of(3), TABLE, code="graded") == []


def test_published_thresholds() -> None:
    found = {t.claim.split(":")[0].split(",")[0]: t for t in chips.thresholds()}
    exact = [t for t in found.values() if not t.memory]
    assert len(exact) == 4
    for row in exact:
        assert row.modelled[0] == pytest.approx(row.published[0], rel=0.01)
    davidson = found["Davidson & Furber 2021"]
    assert davidson.modelled[0] == pytest.approx(davidson.published[0], rel=0.05)
    dampfhoffer = found["Dampfhoffer et al. 2023"]
    assert dampfhoffer.modelled[0] < dampfhoffer.published[1]
    assert dampfhoffer.modelled[1] > dampfhoffer.published[0]
    yan = found["Yan"]
    low, high = yan.modelled
    assert low <= yan.published[0] <= high
    assert all(set(t.to_dict()) >= {"claim", "published", "modelled"} for t in found.values())


def test_spikedattention_by_its_own_accounting() -> None:
    """Totals of its published log, mJ: products 45.339, spikes 26.383; 5 pJ a word of 32 bits."""
    near = TABLE.stores[0]
    word = 4 * near.read
    assert word == 5.0
    product = TABLE.arithmetic("multiply_float32") + TABLE.arithmetic("add_float32") + 2 * word
    spike = TABLE.arithmetic("add_float32") + word * 33 / 32
    update = 2 * word + TABLE.arithmetic("multiply_float32") + 3 * 0.9 + word / 32
    assert product == pytest.approx(14.6)
    assert spike == pytest.approx(6.06, abs=0.01)
    nests = swin_tiny()
    neurons = sum(n.output_count for n in nests)
    assert total_macs(nests) == pytest.approx(SWIN_PRODUCTS, rel=0.03)
    sent = SWIN_SPIKES_MJ / SWIN_PRODUCTS_MJ * 4.6 / 0.9
    assert sent == pytest.approx(0.758, abs=0.001)
    assert product / (spike * sent) == pytest.approx(3.2, abs=0.05)
    nonzero = (45.339e9 - word * neurons) / (product * SWIN_PRODUCTS)
    updates = (26.383e9 - spike * sent * SWIN_PRODUCTS) / (update * neurons)
    assert nonzero == pytest.approx(0.71, abs=0.005)
    assert 0 < updates < 40  # of its 40 time steps
    assert updates == pytest.approx(22, abs=1)


def test_rates_fall_with_time_steps() -> None:
    nests, table = vgg16(32, 10)[:2], chips.load("jouppi-7nm")
    found = [by_events(nests, table, steps) / steps for steps in (3, 7, 15)]
    assert found == sorted(found, reverse=True)
    with pytest.raises(PriceError, match="at least 1 time step"):
        by_events(nests, table, 0)
    with pytest.raises(ChipError, match="to state both sides"):
        by_events(nests, chips.load("loihi-1"), 5)


def test_event_by_event_against_a_count_by_hand() -> None:
    # One product: dense reads its operands once; a spike reads a byte and a membrane and writes it.
    found = by_events([linear("l", 1, 1)], TABLE, 1)
    bits = plain_cost([linear("l", 1, 1)], TABLE)
    spike = 0.1 + 1.25 + 4 * (1.25 + 1.25)
    assert found <= bits.total / spike
    assert found >= (bits.total - 0.2 - 2 * 1.25 - 162.5) / spike


def test_plain_shapes_are_priced_without_a_ledger() -> None:
    cost = plain_cost(alexnet()[:2], TABLE)
    assert cost.arithmetic == pytest.approx(cost.macs * 0.3)
    assert cost.tops_per_watt(cost.arithmetic) == pytest.approx(2 / 0.3)
    assert cost.total == cost.arithmetic + cost.on_chip + cost.external
    assert cost.seconds is None
    timed = plain_cost([linear("l", 128, 64)], chips.load("c-transformer-28nm"))
    assert timed.seconds == pytest.approx(1 / 200e6)
    with pytest.raises(ChipError, match="a dense unit and its memory"):
        plain_cost(alexnet(), chips.load("a100"))
