"""Tallies against a loop over every level, and against the histograms beside them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sangbo.codes import CODES
from sangbo.errors import LedgerError
from sangbo.ledger import Histogram, Ledger
from sangbo.tallies import COLUMN, PAIRS, SENT, SPLITS, TOTAL, Tallies, split

TALLIED = ["token", "channel", "tile"]
sizes = st.tuples(st.sampled_from([1, 2, 4]), st.integers(1, 4))


@st.composite
def layers(draw: st.DrawFn) -> Any:
    """Levels (rows, channels) with the targets of each row."""
    rows, channels = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    row = st.lists(st.integers(-40, 40), min_size=channels, max_size=channels)
    levels = draw(st.lists(row, min_size=rows, max_size=rows))
    fan = draw(st.lists(st.integers(0, 9), min_size=rows, max_size=rows))
    return np.array(levels, np.int32), np.array(fan)


def expected(levels: Any, fan: Any, rows: int, channels: int) -> list[Any]:
    """Sums and largest counts of every block, level by level."""
    found = []
    for top, left in itertools.product(
        range(0, levels.shape[0], rows), range(0, levels.shape[1], channels)
    ):
        sums = np.zeros((2, 1 + len(CODES)), np.int64)
        most = np.zeros(len(CODES), np.int64)
        for r, c in itertools.product(range(rows), range(channels)):
            if top + r < levels.shape[0] and left + c < levels.shape[1]:
                level = levels[top + r, left + c]
                spikes = [int(code.spikes(level[np.newaxis])[0]) for code in CODES.values()]
                sums[SENT] += [1, *spikes]
                sums[PAIRS] += [n * int(fan[top + r]) for n in (1, *spikes)]
                most = np.maximum(most, spikes)
        found.append((sums.tolist(), most.tolist()))
    return found


@given(layers(), sizes)
def test_every_group_is_the_sum_over_its_levels(layer: Any, tile: tuple[int, int]) -> None:
    levels, fan = layer
    tallies = Tallies.of(SPLITS, tile)
    tallies.count("n", levels, fan)
    assert list(tallies.layers) == TALLIED
    for kept in tallies.splits:
        tally = tallies.layers[kept.name]["n"]
        rows, channels = kept.rows or levels.shape[0], kept.channels or levels.shape[1]
        found = list(zip(tally.sums.tolist(), tally.most.tolist(), strict=True))
        assert found == expected(levels, fan, rows, channels)


def test_probabilities_of_heads_and_positions() -> None:
    levels = np.array([[[1, 0, 0], [2, 0, 0]], [[3, 4, 0], [5, 6, 0]]], np.int32)
    seen = np.array([[[1, 0, 0]] * 2, [[1, 1, 0]] * 2], np.bool_)
    tallies = Tallies.of(TALLIED, (2, 1))
    tallies.count("p", levels, np.array([8, 8]), seen)
    sent = {
        name: found["p"].sums[:, SENT, [TOTAL, COLUMN["rate"]]].tolist()
        for name, found in tallies.layers.items()
    }
    assert sent["token"] == [[2, 3], [4, 18]]
    assert sent["channel"] == [[3, 8], [3, 13]]  # a channel of probabilities is a head
    assert sent["tile"] == [[2, 4], [1, 4], [2, 7], [1, 6]]  # none for what nobody sees
    tallies.count("p", levels[:, :, :2], np.array([8, 8]), seen[:, :, :2])
    assert len(tallies.layers["channel"]["p"]) == 2


@given(st.lists(layers(), min_size=1, max_size=3))
def test_ledgers_with_tallies_merge_and_survive(found: list[Any]) -> None:
    whole = Ledger(tallies=Tallies.of(TALLIED, (2, 3)))
    for index, (levels, fan) in enumerate(found):
        part = Ledger(samples=len(levels), tallies=Tallies.of(TALLIED, (2, 3)))
        name = f"n{index % 2}.{levels.shape[1]}"
        part.neuron(name).add(levels)
        part.operation(f"{name}.o", name).pairs.add(levels, fan[:, np.newaxis])
        assert part.tallies is not None
        part.tallies.count(name, levels, fan)
        part.check_tallies()
        whole.merge(part)
    whole.check_tallies()
    assert Ledger.loads(whole.dumps()) == whole
    for name in TALLIED:
        for source, tally in whole.groups(name).items():
            assert tally.joined() == whole.groups("layer")[source]
            assert whole.groups("value")[source].joined() == tally.joined()


def ledger() -> Ledger:
    found = Ledger(samples=2, tallies=Tallies.of(["token"]))
    levels = np.array([[3, -1], [0, 2]], np.int32)
    found.neuron("n").add(levels)
    found.operation("o", "n").pairs.add(levels, 4)
    assert found.tallies is not None
    found.tallies.count("n", levels, np.array([4, 4]))
    return found


def test_ledgers_that_do_not_fit_are_refused_whole() -> None:
    first = ledger()
    before = first.dumps()
    with pytest.raises(LedgerError, match=r"of the same groups, found token \(1×None\) and none$"):
        first.merge(Ledger(samples=1))
    with pytest.raises(LedgerError, match="tallies of the same groups"):
        Ledger().merge(first)
    with pytest.raises(LedgerError, match="tallies of the same groups"):
        first.merge(Ledger(tallies=Tallies.of(["channel"])))
    assert first.dumps() == before
    wide, narrow = (Ledger(tallies=Tallies.of(["channel"])) for _ in range(2))
    for into, channels in ((wide, 3), (narrow, 2)):
        assert into.tallies is not None
        into.tallies.count("n", np.ones((1, channels), np.int32), np.ones(1, np.int64))
    with pytest.raises(LedgerError, match="expected 3 groups of 'n', found 2"):
        wide.merge(narrow)
    with pytest.raises(LedgerError, match="with tallies by tile, found none"):
        first.groups("tile")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(codes=["morse"]), "tallies of the codes"),
        (lambda d: d["splits"][0].update(name="value"), "the groups of a split by value"),
        (lambda d: d["splits"][0].update(name="tile", rows=3, channels=1), "rows that divide 256"),
        (lambda d: d["splits"][0].update(name="tile", rows=2**70), "a whole number"),
        (lambda d: d["splits"][0].update(rows=2), "the groups of a split by token"),
        (lambda d: d["splits"].append(d["splits"][0]), "each split once"),
        (lambda d: d["splits"][0]["layers"].clear(), "found 0 layers"),
        (lambda d: d["splits"][0]["layers"]["n"]["sums"].pop(), "malformed"),
        (lambda d: d["splits"][0]["layers"]["n"]["most"].extend([0] * 4), "2 groups in a tally"),
        (lambda d: d["splits"][0]["layers"]["n"]["sums"].__setitem__(0, -1), "a whole number"),
        (lambda d: d["splits"][0]["layers"]["n"]["sums"].__setitem__(0, 3), "to sum up to"),
        (lambda d: d["splits"][0]["layers"]["n"]["most"].__setitem__(0, 2), "to sum up to"),
        (lambda d: d["splits"][0]["layers"]["n"]["sums"].__setitem__(0, 2**63 - 1), "larger one"),
        (lambda d: d.pop("splits"), "key 'splits'"),
    ],
)
def test_broken_tallies_are_refused(change: Any, message: str) -> None:
    document = ledger().to_dict()
    change(document["tallies"])
    with pytest.raises(LedgerError, match=message):
        Ledger.from_dict(document)


def test_splits_are_blocks() -> None:
    with pytest.raises(LedgerError, match="value, token, channel, tile, layer, found 'row'"):
        split("row")
    for rows, channels in ((0, 1), (3, 1), (512, 1), (1, 0)):
        with pytest.raises(LedgerError, match=f"found {rows}×{channels}"):
            split("tile", (rows, channels))
    assert [s.name for s in SPLITS.values() if s.fixed] == ["channel", "layer"]
    empty = Tallies.of(["token"])
    empty.count("n", np.zeros((0, 3), np.int32), np.zeros(0, np.int64))
    assert not empty.layers["token"]


def test_counts_beyond_64_bits_are_refused() -> None:
    found = Ledger(samples=1)
    found.neuron("n").merge(Histogram({2**20: 2**50}))
    found.operation("o", "n").pairs.merge(found.neuron("n"), 1)
    with pytest.raises(LedgerError, match="sums of spikes up to"):
        found.groups("value")
    found.neuron("n").merge(Histogram({0: 2**64}))
    with pytest.raises(LedgerError, match="expected counts up to"):
        found.groups("layer")
