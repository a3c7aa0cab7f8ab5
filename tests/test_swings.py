"""How a split swings, counted by an engine, against a loop over levels."""

from __future__ import annotations

import numpy as np
import pytest

from networks import converted, inputs, letters, llama, tokens
from sangbo import chips, codes
from sangbo.engines import Reference, Segment
from sangbo.errors import SangboError
from sangbo.ledger import Ledger
from sangbo.network import Network
from sangbo.report.cores import cores_table
from sangbo.swings import Swings, compare_cores
from sangbo.tallies import Tallies


def test_products_and_additions_are_those_of_each_level() -> None:
    levels = np.array([[0, 1, -3, 5, 11], [43, 0, 0, 2, -1], [1, 1, 1, 1, 1]], np.int32)
    fan = np.array([3, 4, 0])
    found = Swings((), worth=3.0, tile=(2, 2))
    found.count("n", levels, fan)
    (work,) = found.work["n"]
    spikes = codes.code("csd").spikes(np.abs(levels))
    expected = []
    for row in (0, 2):
        for column in (0, 2, 4):
            products = additions = 0
            for r in range(row, min(row + 2, 3)):
                for c in range(column, min(column + 2, 5)):
                    dense = spikes[r, c] >= 3
                    products += int(fan[r]) if dense else 0
                    additions += 0 if dense else int(spikes[r, c] * fan[r])
            expected.append([products, additions])
    assert work.tolist() == expected


def test_an_engine_counts_what_the_ledger_holds() -> None:
    """Over all tiles of a layer: products of the dense levels, additions of all others."""
    engine = Reference(converted(llama()))
    ledger = Ledger(tallies=(swings := Swings((), worth=3.0)))
    ids = tokens(20)
    engine.run(inputs(ids), [Segment(engine.cache(20), 20)], ledger=ledger)
    csd = codes.code("csd")
    pairs = ledger.pairs()
    assert swings.work.keys() == pairs.keys()
    for layer, histogram in pairs.items():
        spikes = csd.spikes(histogram.magnitudes)
        dense = spikes >= 3
        sums = np.concatenate(swings.work[layer]).sum(axis=0).tolist()
        times = histogram.occurrences
        assert sums == [int(times[dense].sum()), int((spikes * times)[~dense].sum())]
    assert isinstance(ledger.tallies, Tallies)


def test_cores_are_compared_on_a_second_text() -> None:
    network = Network(converted(llama()), letters(), conversion={"settings": {"code": "csd"}})
    text = letters().decode(tokens(80, seed=1)[tokens(80, seed=1) < 60])
    found = compare_cores(network, chips.load("c-transformer-28nm"), text, tokens=60, tile=(4, 8))
    document = found.to_dict()
    assert {row["core"] for row in document["cores"]} == {
        "switching", "separate, ordered", "separate, as they come",
    }  # fmt: skip
    assert all(0 < row["utilisation"] <= 1 for row in document["cores"])
    assert cores_table(found).row_count == 12
    with pytest.raises(SangboError, match="both sides"):
        compare_cores(network, chips.load("loihi-1"), text)
