"""Spikes per value: the three ways of counting, and what a dense side leaves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import networks
import sangbo
from sangbo import codes
from sangbo.convert.spikes import found, left
from sangbo.graph import Attention, Linear
from sangbo.sources import Source


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.floats(0, 0.9))
def test_the_values_of_most_spikes_go_dense(spikes: list[int], dense: float) -> None:
    """By brute force: the sorted values, each in a thousand pieces."""
    pieces = np.repeat(np.sort(spikes), 1000)
    kept = len(pieces) - round(dense * len(pieces))
    expected = pieces[:kept].sum() / len(pieces)
    assert left(np.bincount(spikes).astype(float), dense) == pytest.approx(expected, abs=0.007)


def test_what_sends_nothing_has_no_spikes() -> None:
    assert left(np.zeros(4), 0.05) == 0.0


def test_each_way_counts_its_own_values() -> None:
    """Into weights: what a `Linear` reads; as sent: queries and probabilities too."""
    settings = sangbo.Settings(sequences=2, length=24, budget="perplexity=2%")
    network = sangbo.convert(Source(networks.llama()), settings=settings)
    graph, ledger, csd = network.graph, network.ledger, codes.code("csd")
    weights = {o.input for o in graph.operations if isinstance(o, Linear)}
    attending = [o for o in graph.operations if isinstance(o, Attention)]
    aside = {o.query for o in attending} | {f"{o.output}.probability" for o in attending}

    def mean(names: set[str]) -> float:
        levels = [
            np.repeat(ledger.neurons[n].magnitudes, ledger.neurons[n].occurrences) for n in names
        ]
        return float(csd.spikes(np.concatenate(levels)).mean())

    seen = found(graph, ledger, csd)
    assert seen.into_weights == pytest.approx(mean(weights))
    assert seen.as_sent == pytest.approx(mean(weights | aside))
    pairs = [o.pairs for o in ledger.operations.values()]
    spikes = sum(int((csd.spikes(p.magnitudes) * p.occurrences).sum()) for p in pairs)
    assert seen.by_targets == pytest.approx(spikes / sum(p.total for p in pairs))
    assert network.conversion["summary"]["spikes_per_value"] == seen.to_dict()
