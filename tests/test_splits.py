"""Splits of a whole small network: two texts are counted, and everything adds up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import networks
import sangbo
from sangbo import chips, splits
from sangbo.engines import Native, Segment
from sangbo.errors import LedgerError, SangboError
from sangbo.ledger import Ledger
from sangbo.network import Network
from sangbo.sources import Source
from sangbo.tallies import SPLITS
from sangbo.tasks.language import whole_reading


@pytest.fixture(scope="module")
def network() -> Network:
    settings = sangbo.Settings(sequences=2, length=16, split="channel")
    return sangbo.convert(Source(networks.llama()), settings=settings)


def test_named() -> None:
    assert splits.named(["all"]) == list(SPLITS)
    assert splits.named(["tile", "value", "tile"]) == ["value", "tile"]
    with pytest.raises(LedgerError, match="found 'row'"):
        splits.named(["row"])


def test_what_is_counted_and_priced(network: Network) -> None:
    assert network.split == "channel"
    ledgers = splits.count_groups(network, list(SPLITS), tile=(4, 8), tokens=120)
    assert [ledger.samples for ledger in ledgers] == [60, 60]
    assert ledgers[0].dumps() != ledgers[1].dumps()
    again = splits.count_groups(network, list(SPLITS), tile=(4, 8), tokens=120)
    assert again == ledgers
    for ledger in ledgers:
        ledger.check_tallies()
    found = [chips.load(name) for name in ("horowitz-45nm", "loihi-1", "jouppi-7nm")]
    prices, compared = splits.compare(ledgers, found, list(SPLITS), code="rate")
    assert [(c.price.chip, c.price.split) for c in compared] == [
        (chip, split) for chip in ("horowitz-45nm", "jouppi-7nm") for split in SPLITS
    ]
    assert len(prices) == 2 * (2 + len(SPLITS)) + 3
    for split in compared:
        values = split.to_dict()
        energy = values["energy_pj"]
        assert values["relative_to_value"]["compute"] >= 1 - 1e-9
        assert energy["compute_zeros_skipped"] <= energy["compute"] * (1 + 1e-9)
        if split.prediction is not None:
            assert energy["compute_predicted"] >= energy["compute"] * (1 - 1e-9)


def test_histograms_are_those_of_the_native_engine(network: Network) -> None:
    passage = networks.tokens(40)
    plain, engine = Ledger(), Native(network.graph)
    engine.run(whole_reading(passage), [Segment(engine.cache(40), 40)], ledger=plain)
    value = chips.price(plain, chips.load("jouppi-7nm"))[-1].energy
    layer = chips.price(plain, chips.load("jouppi-7nm"), split="layer")[-1].energy
    assert value is not None
    assert layer is not None
    assert value.compute <= layer.compute
    assert value.levels == layer.levels


def test_too_little_text(network: Network) -> None:
    with pytest.raises(SangboError, match="at least 4 tokens, found 3"):
        splits.count_groups(network, ["tile"], tokens=3)
    with pytest.raises(SangboError, match="to have a tokenizer"):
        splits.count_groups(replace(network, tokenizer=None), ["tile"], text="some")


def test_a_split_changes_no_conversion(network: Network) -> None:
    settings = sangbo.Settings(sequences=2, length=16)
    other = sangbo.convert(Source(networks.llama()), settings=settings)
    assert other.split == "value"
    assert all(np.array_equal(t, network.graph.tensors[n]) for n, t in other.graph.tensors.items())
