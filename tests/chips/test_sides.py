"""Which side is cheaper is decided once: pricing, conversion and engines must agree, ties too."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from sangbo import chips, codes
from sangbo.chips.sides import side_prices
from sangbo.convert.prepare import prices
from sangbo.convert.settings import Settings
from sangbo.engines.sides import GroupSplit
from sangbo.ledger import Ledger
from sangbo.tallies import SPLITS

BOTH = [
    name
    for name in chips.names()
    if chips.load(name).priced and side_prices(chips.load(name), codes.CODES["rate"]).both
]
LARGEST = 300


@pytest.mark.parametrize("code", codes.CODES)
@pytest.mark.parametrize("name", BOTH)
def test_every_part_sends_the_same_levels_as_spikes(name: str, code: str) -> None:
    """The oracle compares in decimal fractions, as the energies are stated: 0.3 = 3 × 0.1."""
    chip, each = chips.load(name), codes.CODES[code]
    found = side_prices(chip, each)
    mac, target, sent = (Fraction(str(v)) for v in (found.mac, found.per_target, found.per_spike))
    fan_out = 8
    ledger = Ledger(samples=1)
    ledger.neuron("n").add(np.arange(LARGEST + 1))
    count = ledger.operation("o", "n", 8)
    count.rows = 1
    count.pairs.merge(ledger.neuron("n"), fan_out)
    spikes = [int(s) for s in each.spikes(np.arange(LARGEST + 1))]
    cheaper = [s * (fan_out * target + sent) < fan_out * mac for s in spikes]
    assert found.cheaper(ledger.groups("value")["n"]).tolist() == cheaper
    if found.per_spike:
        return  # the others do not know how many targets a spike has
    worth = prices(Settings(chip=name, code=code)).worth
    assert [s < worth for s in spikes] == cheaper
    single = GroupSplit(each, SPLITS["value"], found.worth)
    taken = [s < single.worth for s in spikes]
    assert taken == cheaper


def test_three_tenths_are_three_times_a_tenth() -> None:
    assert 0.3 / 0.1 < 3 < 0.1 * 3 / 0.1  # what binary fractions make of it
    for code, dense in (("rate", 3), ("csd", 11), ("radix", 7)):
        ledger = Ledger(samples=1)
        ledger.neuron("n").add(np.array([dense - 1, dense]))
        count = ledger.operation("o", "n", 1)
        count.rows = 1
        count.pairs.merge(ledger.neuron("n"), 1)
        found = side_prices(chips.load("horowitz-45nm"), codes.CODES[code])
        assert found.worth == 3
        assert found.cheaper(ledger.groups("value")["n"]).tolist() == [True, False]


def test_without_a_choice_nothing_is_decided() -> None:
    rate = codes.CODES["rate"]
    ledger = Ledger(samples=1)
    ledger.neuron("n").add(np.array([1, 2]))
    ledger.operation("o", "n", 1).pairs.merge(ledger.neuron("n"), 1)
    group = ledger.groups("value")["n"]
    only_spikes, only_dense = (
        side_prices(chips.load(name), rate) for name in ("loihi-1", "eyeriss-like")
    )
    assert only_spikes.worth == only_dense.worth == np.inf
    assert only_spikes.cheaper(group).all()
    assert not only_dense.cheaper(group).any()
