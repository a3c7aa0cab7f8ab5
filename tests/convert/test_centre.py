"""Centring: the same network, and fewer spikes where values lie off zero."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import networks
from sangbo import codes
from sangbo.convert.centre import centre, centres_of, find_centred, measure_centres
from sangbo.convert.equalise import equalise, find_seams
from sangbo.convert.gains import gains
from sangbo.convert.layers import measure_layers
from sangbo.engines import Reference, Segment
from sangbo.graph import Graph
from sangbo.progress import silent
from sangbo.tasks.language import Text, whole_reading


def off_zero(family: Any, **options: Any) -> Graph:
    """A network whose attention hands on values that lie far from zero."""
    graph: Graph = family(**options)
    rng = np.random.default_rng(1)
    centres: dict[str, Any] = {
        p.attention.output: rng.normal(0, 3, graph.values[p.writer.output].channels)
        for p in find_centred(graph)
    }
    moved = centre(graph, centres)
    names = {p.writer.output for p in find_centred(graph)}
    biases = {o.output: o for o in moved.operations}
    operations = tuple(biases[o.output] if o.output in names else o for o in graph.operations)
    return replace(graph, operations=operations, tensors=moved.tensors)


def values(graph: Graph, tokens: Any, *names: str) -> dict[str, Any]:
    engine = Reference(graph)
    segment = Segment(engine.cache(len(tokens)), len(tokens))
    return engine.run(whole_reading(tokens), [segment], keep=names)


@pytest.mark.parametrize("family", [networks.llama, networks.gpt2])
def test_the_network_stays_the_same_and_its_values_lie_about_zero(family: Any) -> None:
    original, tokens = off_zero(family), networks.tokens(40)
    places = find_centred(original)
    assert len(places) == 2
    mixed = [p.attention.output for p in places]
    middle = measure_centres(original, [Text.of(tokens)], silent)
    centred = centre(original, middle)
    before, after = (values(g, tokens, "logits", *mixed) for g in (original, centred))
    np.testing.assert_allclose(after["logits"], before["logits"], rtol=2e-3, atol=2e-3)
    levels = [
        codes.code("csd").spikes(np.rint(v[name] / 0.25).astype(np.int64)).mean()
        for name in mixed
        for v in (before, after)
    ]
    assert levels[1] < 0.8 * levels[0]
    assert levels[3] < 0.8 * levels[2]
    for place in places:
        name = place.attention.output
        moved = before[name] - after[name]
        np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-4)
        assert abs(float(np.median(after[name]))) < 0.2


def test_heads_that_share_values_share_the_centre() -> None:
    """By brute force: the median over the tokens of both query heads of each key head."""
    original, tokens = off_zero(networks.llama), networks.tokens(30)
    place = find_centred(original)[0]
    name = place.attention.output
    found = measure_centres(original, [Text.of(tokens)], silent)[name]
    y = values(original, tokens, name)[name]
    for head in range(2):
        for channel in range(8):
            both = np.concatenate([y[:, 8 * (2 * head + i) + channel] for i in (0, 1)])
            assert found[8 * head + channel] == pytest.approx(np.median(both), rel=1e-6)


@pytest.mark.parametrize("balanced", [False, True])
def test_layers_are_compared_where_they_were(balanced: bool) -> None:
    """A fine conversion loses as little in every layer as one that moved no value."""
    original, tokens = off_zero(networks.llama, tied=False), networks.tokens(24)
    graph = original
    if balanced:
        names = [s.value for s in find_seams(original)]
        seen = values(original, tokens, *names)
        graph = equalise(original, {n: np.abs(seen[n]).max(axis=0) for n in names})
    centred = centre(graph, measure_centres(graph, [Text.of(tokens)], silent))
    plain, fine = (networks.converted(g, threshold=0.002) for g in (graph, centred))
    assert centres_of(original, fine, gains(original, fine))
    assert not centres_of(original, plain, gains(original, plain))
    usual, found = (measure_layers(original, g, [Text.of(tokens)]).layers for g in (plain, fine))
    assert [e.name for e in found] == [e.name for e in usual]
    for one, other in zip(found, usual, strict=True):
        assert one.local < 1.3 * other.local + 1e-3
        assert one.accumulated < 1.3 * other.accumulated + 1e-3
