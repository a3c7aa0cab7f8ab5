from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import single
from attending import HEADS, KEY_HEADS, SIZE, drawn, made, slow
from sangbo.engines import Reference, Segment
from sangbo.errors import EngineError
from sangbo.ledger import Ledger

OPTIONS = pytest.mark.parametrize(
    ("distances", "levels"), [(False, False), (True, False), (False, True), (True, True)]
)


@OPTIONS
@pytest.mark.parametrize("causal", [False, True])
def test_whole_sequences_attend_within_themselves(
    causal: bool, distances: bool, levels: bool
) -> None:
    shape = ("samples", 5)
    graph, table = made(shape, shape, causal=causal, distances=distances, levels=levels)
    rng = np.random.default_rng(0)
    q, k, v = (drawn(rng, 15, h).reshape(3, 5, -1) for h in (HEADS, KEY_HEADS, KEY_HEADS))
    ledger = Ledger()
    found = single.run(graph, ledger, q=q, k=k, v=v)
    for sample in range(3):
        expected = slow(
            q[sample], k[sample], v[sample], causal=causal,
            table=table if distances else None, levels=15 if levels else 0,
        )  # fmt: skip
        np.testing.assert_allclose(found[sample], expected, atol=1e-5)
    assert single.run(graph, q=q[:0], k=k[:0], v=v[:0]).shape == (0, 5, HEADS * SIZE)
    if levels:
        seen = 3 * (15 if causal else 25)
        assert ledger.neurons["y.probability"].total == seen * HEADS
        assert ledger.operations["y.scores"].pairs.total == seen * HEADS * SIZE


@OPTIONS
def test_queries_attend_to_keys_along_another_inner_axis(distances: bool, levels: bool) -> None:
    graph, table = made(
        ("samples", 4), ("samples", 6), causal=False, distances=distances, levels=levels
    )
    rng = np.random.default_rng(1)
    q = drawn(rng, 8, HEADS).reshape(2, 4, -1)
    k, v = (drawn(rng, 12, KEY_HEADS).reshape(2, 6, -1) for _ in range(2))
    found = single.run(graph, q=q, k=k, v=v)
    for sample in range(2):
        expected = slow(q[sample], k[sample], v[sample], causal=False,
                        table=table if distances else None, levels=15 if levels else 0)  # fmt: skip
        np.testing.assert_allclose(found[sample], expected, atol=1e-5)


@OPTIONS
@pytest.mark.parametrize("whole", [False, True])
def test_queries_attend_to_a_source_that_is_kept(
    whole: bool, distances: bool, levels: bool
) -> None:
    """Rows of targets come in several runs; the source in the first, as rows or as one sample."""
    key = ("samples", 5) if whole else ("source",)
    graph, table = made(("rows",), key, causal=False, distances=distances, levels=levels)
    engine = Reference(graph)
    rng = np.random.default_rng(2)
    lengths = (5, 5) if whole else (5, 2)
    kept = [[drawn(rng, n, KEY_HEADS) for _ in range(2)] for n in lengths]
    queries = [drawn(rng, 6, HEADS) for _ in lengths]
    caches = [engine.cache(8) for _ in lengths]
    axis = "samples" if whole else "source"
    found: list[list[Any]] = [[], []]
    for step, cuts in enumerate(((2, 0), (1, 4), (3, 2))):
        starts = [c.length for c in caches]
        q = np.concatenate([t[s : s + n] for t, s, n in zip(queries, starts, cuts, strict=True)])
        parts = [np.concatenate([pair[i] for pair in kept]) for i in range(2)]
        if whole:
            parts = [p.reshape(2, 5, -1) for p in parts]
        news = [1, 1] if whole else list(lengths)
        if step:
            parts, news = [p[:0] for p in parts], [0, 0]
        segments = [
            Segment(c, n, {axis: new}) for c, n, new in zip(caches, cuts, news, strict=True)
            if n or new
        ]  # fmt: skip
        y = engine.run({"q": q, "k": parts[0], "v": parts[1]}, segments)["y"]
        found[0].append(y[: cuts[0]])
        found[1].append(y[cuts[0] :])
    for parts, query, (k, v) in zip(found, queries, kept, strict=True):
        expected = slow(query, k, v, causal=False, table=table if distances else None,
                        levels=15 if levels else 0)  # fmt: skip
        np.testing.assert_allclose(np.concatenate(parts), expected, atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.booleans(), st.integers(0, 99))
def test_distances_are_counted_from_the_beginning_of_a_sequence(
    cuts: list[int], levels: bool, seed: int
) -> None:
    graph, table = made(("rows",), ("rows",), causal=True, distances=True, levels=levels)
    engine, rng, rows = Reference(graph), np.random.default_rng(seed), sum(cuts)
    q, k, v = (drawn(rng, rows, h) for h in (HEADS, KEY_HEADS, KEY_HEADS))
    cache, parts = engine.cache(rows), []
    for cut in cuts:
        part = slice(cache.length, cache.length + cut)
        parts.append(engine.run({"q": q[part], "k": k[part], "v": v[part]},
                                [Segment(cache, cut)])["y"])  # fmt: skip
    expected = slow(q, k, v, causal=True, table=table, levels=15 if levels else 0)
    np.testing.assert_allclose(np.concatenate(parts), expected, atol=1e-5)


def test_segments_say_which_rows_of_each_axis_are_whose() -> None:
    graph, _ = made(("rows",), ("source",), causal=False, distances=False)
    engine, rng = Reference(graph), np.random.default_rng(3)
    q, k = drawn(rng, 2, HEADS), drawn(rng, 3, KEY_HEADS)
    inputs = {"q": q, "k": k, "v": k}
    for segments, message in (
        ([Segment(engine.cache(4), 2, {"source": 2})], "3 rows in all, found 2 along 'source'"),
        ([Segment(engine.cache(4), 2)], "3 rows in all, found 0 along 'source'"),
        ([Segment(engine.cache(4), 1, {"source": 3})], "2 rows in all, found 1 along 'rows'"),
        ([Segment(engine.cache(4), 2, {"sauce": 3})], "0 rows in all, found 3 along 'sauce'"),
        ([], "2 rows in all, found 0"),
    ):
        with pytest.raises(EngineError, match=message):
            engine.run(inputs, segments)
    with pytest.raises(EngineError, match="some rows each"):
        engine.run(
            inputs, [Segment(engine.cache(4), 2, {"source": 3}), Segment(engine.cache(4), 0)]
        )
    with pytest.raises(EngineError, match="rows of 'source' before 'y' attends"):
        engine.run({"q": q, "k": k[:0], "v": k[:0]}, [Segment(engine.cache(4), 2)])


def test_a_sequence_has_one_sample() -> None:
    graph, _ = made(("rows",), ("samples", 3), causal=False, distances=False)
    engine, rng = Reference(graph), np.random.default_rng(4)
    q, k = drawn(rng, 1, HEADS), drawn(rng, 3, KEY_HEADS)[None]
    cache = engine.cache(4)
    engine.run({"q": q, "k": k, "v": k}, [Segment(cache, 1, {"samples": 1})])
    with pytest.raises(EngineError, match="one sample of 'samples' for each sequence, found 2"):
        engine.run({"q": q, "k": k, "v": k}, [Segment(cache, 1, {"samples": 1})])
