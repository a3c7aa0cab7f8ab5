from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import networks
from sangbo.engines import Reference
from sangbo.errors import EngineError, SangboError
from sangbo.ledger import Ledger
from sangbo.tasks.language import (
    Mean,
    Reader,
    Sampling,
    Text,
    draw,
    generate,
    windows,
)
from sangbo.tasks.likelihood import divergence, log_softmax

LOGITS = np.array([0.0, 3.0, 1.0, 2.0], np.float32)


def counts(sampling: Sampling, times: int = 4000) -> Any:
    rng = np.random.default_rng(0)
    return np.bincount([draw(LOGITS, sampling, rng) for _ in range(times)], minlength=4) / times


def test_zero_temperature_takes_the_likeliest() -> None:
    assert counts(Sampling())[1] == 1


def test_temperature_draws_from_the_softmax() -> None:
    expected = np.exp(LOGITS / 1.5)
    assert counts(Sampling(1.5)) == pytest.approx(expected / expected.sum(), abs=0.03)


def test_top_k_keeps_the_likeliest_and_their_ratio() -> None:
    found = counts(Sampling(1.0, top_k=2))
    assert found[[0, 2]].tolist() == [0, 0]
    assert found[1] / found[3] == pytest.approx(np.e, rel=0.15)


def test_top_p_keeps_the_fewest_that_reach_it() -> None:
    p = np.exp(LOGITS) / np.exp(LOGITS).sum()
    assert 0.6 < p[1] < 0.7
    assert counts(Sampling(1.0, top_p=0.6)).tolist() == [0, 1, 0, 0]
    assert (counts(Sampling(1.0, top_p=0.7)) > 0).tolist() == [False, True, False, True]
    assert (counts(Sampling(1.0, top_p=1.0)) > 0).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"temperature": -1.0}, "temperature"), ({"temperature": float("nan")}, "temperature"),
        ({"top_k": -1}, "top-k"), ({"top_p": 0.0}, "top-p"), ({"top_p": 1.5}, "top-p"),
    ],
)  # fmt: skip
def test_sampling_refuses_nonsense(fields: Any, message: str) -> None:
    with pytest.raises(SangboError, match=message):
        Sampling(**fields)


@pytest.fixture(scope="module")
def engine() -> Reference:
    return Reference(networks.converted(networks.llama()))


def spoken(engine: Reference, prompt: list[int], **options: Any) -> list[int]:
    options = {"context": 64, "max_tokens": 10, **options}
    return list(generate(engine, prompt, **options))


def test_greedy_tokens_are_what_reading_the_whole_text_says(engine: Reference) -> None:
    prompt = [3, 1, 4]
    reply = spoken(engine, prompt)
    assert len(reply) == 10
    logits = Reader(engine, 64).read([*prompt, *reply], every=True)
    assert logits[2:12].argmax(axis=-1).tolist() == reply


def test_generation_stops_at_a_stop_token_and_at_the_context(engine: Reference) -> None:
    reply = spoken(engine, [3, 1, 4])
    assert spoken(engine, [3, 1, 4], stop={reply[4]}) == reply[: reply.index(reply[4])]
    assert spoken(engine, [3, 1, 4], context=8) == reply[:6]


def test_the_same_seed_gives_the_same_text(engine: Reference) -> None:
    hot = [spoken(engine, [5], sampling=Sampling(2.0, seed=s), max_tokens=20) for s in (1, 1, 2)]
    assert hot[0] == hot[1] != hot[2]


def test_generation_refuses_prompts_that_do_not_fit(engine: Reference) -> None:
    with pytest.raises(SangboError, match="at least one token"):
        spoken(engine, [])
    with pytest.raises(SangboError, match="shorter than the context of 4 tokens, found 4"):
        spoken(engine, [1, 2, 3, 4], context=4)
    with pytest.raises(EngineError, match="at least one token"):
        Reader(engine, 8).read([])


def test_a_run_counts_every_token_it_read(engine: Reference) -> None:
    ledger = Ledger()
    assert len(spoken(engine, [3, 1, 4], max_tokens=5, ledger=ledger)) == 5
    assert ledger.samples == 3 + 4
    assert ledger.operations["logits"].rows == 1 + 4


@given(st.integers(2, 40), st.integers(1, 12))
def test_windows_predict_every_token_once(length: int, context: int) -> None:
    ids = list(range(length))
    found = list(windows(ids, context))
    assert [int(t) for w in found for t in np.asarray(w.targets)] == ids[1:]
    for window in found:
        targets = np.asarray(window.targets)
        assert window.size == len(targets) <= context
        assert np.array_equal(targets, window.tokens + 1)


def test_a_text_of_one_token_predicts_nothing() -> None:
    with pytest.raises(SangboError, match="at least two tokens, found 1"):
        list(windows([1], 8))


def test_log_softmax_is_normalised() -> None:
    logits = np.array([[1e4, 0, -1e4], [1, 2, 3]], np.float32)
    assert np.exp(log_softmax(logits)).sum(axis=-1) == pytest.approx([1, 1])


@pytest.mark.parametrize("rows", [1, 7, 20, 64])
def test_blocks_of_rows_read_the_same_text(rows: int) -> None:
    engine = Reference(networks.converted(networks.llama()))
    ids = networks.tokens(20)
    text = Text.of(ids)
    caches = text.caches(engine)
    parts = [engine.run(p.inputs, p.segments(caches))["logits"] for p in text.pieces(rows)]
    assert np.array_equal(np.concatenate(parts), Reader(engine, 20).read(ids, every=True))


def test_a_mean_knows_how_well_it_is_known() -> None:
    values = np.random.default_rng(0).gamma(1.0, 2.0, 500)
    mean = Mean()
    for part in np.split(values, [3, 200]):
        mean.add(part)
    assert mean.count == 500
    assert mean.mean == pytest.approx(values.mean())
    assert mean.error == pytest.approx(values.std(ddof=1) / np.sqrt(500))
    one = Mean()
    one.add(values[:1])
    assert one.error == one.mean == values[0]


def test_divergence_is_that_of_kullback_and_leibler() -> None:
    p, q = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.25, 0.5])
    found = divergence(np.log([p, p]), np.log([q, p]))
    assert found == pytest.approx([0.25 * np.log(2), 0], abs=1e-15)
