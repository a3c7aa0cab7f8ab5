"""Ledgers: exact histograms, merging, and JSON that is refused where it is not a ledger."""

from __future__ import annotations

import copy
import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sangbo.errors import LedgerError
from sangbo.ledger import Histogram, Ledger

levels = st.lists(
    st.one_of(st.integers(-9, 9), st.integers(-5000, 5000), st.integers(-(2**31) + 1, 2**31 - 1))
)
weights = st.integers(0, 2**40)
histograms = st.dictionaries(st.integers(0, 2**31 - 1), st.integers(1, 2**40), max_size=5)


@st.composite
def ledgers(draw: st.DrawFn) -> Ledger:
    """Ledgers of one network: an operation has the same source and weights in all of them."""
    ledger = Ledger(samples=draw(st.integers(0, 9)))
    for index in draw(st.sets(st.integers(0, 2))):
        ledger.neuron(f"n{index}").merge(Histogram(draw(histograms)))
        count = ledger.operation(f"o{index}", f"n{index}", 10 * index)
        count.rows, count.rescales = draw(weights), draw(weights)
        count.accumulators, count.cache_bytes = draw(weights), draw(weights)
        count.pairs.merge(Histogram(draw(histograms)))
    return ledger


def merged(*parts: Ledger) -> dict[str, Any]:
    whole = Ledger()
    for part in parts:
        whole.merge(part)
    return whole.to_dict()


@given(levels, levels)
def test_histogram_counts_like_a_counter(first: list[int], second: list[int]) -> None:
    histogram = Histogram()
    histogram.add(np.array(first, np.int32))
    histogram.add(np.array(second, np.int64).reshape(-1, 1))
    expected = Counter(map(abs, first + second))
    assert histogram.counts == expected
    assert histogram.total == len(first) + len(second)
    assert histogram.nonzero == sum(n != 0 for n in first + second)
    assert histogram.magnitudes.tolist() == sorted(expected)
    assert histogram.occurrences.tolist() == [expected[m] for m in sorted(expected)]


@given(st.lists(st.tuples(st.sampled_from([0, 1, -1, 4095, 4096, -(2**20)]), weights)))
def test_histogram_weights_are_exact(pairs: list[tuple[int, int]]) -> None:
    expected: Counter[int] = Counter()
    for level, times in pairs:
        expected[abs(level)] += times
    histogram = Histogram()
    histogram.add(
        np.array([level for level, _ in pairs], np.int32),
        np.array([times for _, times in pairs], np.int64),
    )
    assert histogram.counts == +expected


def test_histogram_weights_broadcast() -> None:
    histogram = Histogram()
    histogram.add(np.array([[1, -2], [9999, 2]]), np.array([[3], [5]]))
    assert histogram.counts == {1: 3, 2: 8, 9999: 5}
    histogram.add(np.array([1, 9999]), 4)
    assert histogram.counts == {1: 7, 2: 8, 9999: 9}
    histogram.add(np.array([3, 7000]), 0)
    assert histogram.counts == {1: 7, 2: 8, 9999: 9}


@given(histograms, histograms, st.integers(0, 7))
def test_histogram_merge(first: dict[int, int], second: dict[int, int], times: int) -> None:
    histogram = Histogram(dict(first))
    histogram.merge(Histogram(dict(second)), times)
    expected = Counter(first)
    for magnitude, count in second.items():
        expected[magnitude] += count * times
    assert histogram.counts == +expected


@given(ledgers(), ledgers(), ledgers())
def test_merging_is_associative_and_commutative(a: Ledger, b: Ledger, c: Ledger) -> None:
    left = Ledger.from_dict(merged(a, b))
    left.merge(c)
    right = Ledger.from_dict(merged(b, c))
    right.merge(a)
    assert left == right


@given(ledgers())
def test_json_keeps_everything(ledger: Ledger) -> None:
    assert Ledger.loads(ledger.dumps()) == ledger
    assert Ledger.from_dict(ledger.to_dict()) == ledger


@pytest.mark.parametrize("other", [("elsewhere", 8), ("n", 9)])
def test_operations_that_differ_are_not_merged(other: tuple[str, int]) -> None:
    ledger, second = Ledger(samples=1), Ledger(samples=1)
    ledger.operation("o", "n", 8).rows = 1
    second.operation("a", "n", 8).rows = 1
    second.operation("o", *other)
    before = copy.deepcopy(ledger)
    with pytest.raises(LedgerError, match="expected counts of one operation, found sources 'n'"):
        ledger.merge(second)
    assert ledger == before
    with pytest.raises(LedgerError, match="expected counts of one operation"):
        ledger.operation("o", *other)
    with pytest.raises(LedgerError, match="expected counts of one operation"):
        ledger.operations["o"].merge(second.operations["o"])


def document() -> dict[str, Any]:
    ledger = Ledger(samples=2)
    ledger.neuron("n").add(np.array([0, 1, 70000]))
    count = ledger.operation("o", "n", 6)
    count.pairs.merge(ledger.neuron("n"), 2)
    return ledger.to_dict()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), 2),
        (("samples",), -1),
        (("samples",), True),
        (("samples",), 1.0),
        (("samples",), 2**63),
        (("neurons",), []),
        (("neurons", "n"), [[0, 1], [1]]),
        (("neurons", "n"), [[1, 1], [1, 1]]),
        (("neurons", "n"), [[2**31], [1]]),
        (("neurons", "n"), [[-1], [1]]),
        (("neurons", "n"), "ab"),
        (("neurons", "n"), {"0": 1, "1": 1}),
        (("neurons", "n"), 5),
        (("operations",), None),
        (("operations", "o"), 7),
        (("operations", "o", "source"), 7),
        (("operations", "o", "rows"), "1"),
        (("operations", "o", "pairs"), [[], [], []]),
    ],
)
def test_malformed_documents_are_refused(path: tuple[str, ...], value: Any) -> None:
    broken = document()
    inner = broken
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(LedgerError, match="expected"):
        Ledger.from_dict(broken)


@pytest.mark.parametrize("key", ["samples", "neurons", "operations", "format"])
def test_missing_keys_are_named(key: str) -> None:
    broken = document()
    del broken[key]
    with pytest.raises(LedgerError, match=f"expected a key '{key}'"):
        Ledger.from_dict(broken)


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, "null", "[]", "3", b"\xff\xfe\x00", "NaN"]
)
def test_malformed_text_is_refused(text: str | bytes) -> None:
    with pytest.raises(LedgerError, match="expected a"):
        Ledger.loads(text)


def test_truncated_text_is_refused_everywhere() -> None:
    text = json.dumps(document())
    for length in range(len(text)):
        with pytest.raises(LedgerError):
            Ledger.loads(text[:length])
