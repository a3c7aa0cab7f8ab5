"""The waterfall's steps that guess: sums that stop early, tokens read several at a time."""

from __future__ import annotations

import pytest

from networks import converted, letters, llama, tokens
from sangbo import chips
from sangbo.network import Network
from sangbo.stopping import TOKENS
from sangbo.tasks.language import Text
from sangbo.waterfall import Costs, Step, Subject
from sangbo.waterfall.guesses import big_and_little, early_sums, predicted_sums

BEFORE = Step("before", Costs(100.0, 200.0, 50.0), 0.25, 7.0)


def subject(texts: int, code: str = "csd") -> Subject:
    conversion = {"settings": {"code": code}}
    network = Network(converted(llama()), letters(), conversion=conversion)
    windows = [Text.of(tokens(50, seed), tokens(50, seed + 9)) for seed in range(texts)]
    return Subject(network, chips.load("c-transformer-28nm"), None, windows)


def test_compute_falls_by_the_additions_that_are_skipped() -> None:
    found = early_sums(subject(5), BEFORE)
    assert found is not None
    evidence = found.evidence["exact_speculation"]
    assert evidence["different"] == 0
    assert evidence["compared"] > TOKENS
    assert 0 < evidence["additions_saved"] < 1
    assert found.costs == Costs(100.0 * (1 - evidence["additions_saved"]), 200.0, 50.0)


def test_steps_are_left_out_where_there_is_nothing_to_show() -> None:
    assert early_sums(subject(1), BEFORE) is None
    assert early_sums(subject(5, "rate"), BEFORE) is None
    assert big_and_little(subject(5), BEFORE) is None  # the tiny context holds no answer


def test_predicted_sums_skip_more_and_say_what_that_costs() -> None:
    of = subject(5)
    proof, found = early_sums(of, BEFORE), predicted_sums(of, BEFORE)
    assert proof is not None
    assert found is not None
    evidence = found.evidence["predictive_speculation"]
    assert evidence["additions_saved"] > proof.evidence["exact_speculation"]["additions_saved"]
    assert found.perplexity_change == pytest.approx(
        1.25 * (1 + evidence["perplexity_relative_change"]) - 1
    )
    share = (1 - evidence["additions_saved"]) / (
        1 - proof.evidence["exact_speculation"]["additions_saved"]
    )
    assert found.costs.compute == pytest.approx(100 * share)
