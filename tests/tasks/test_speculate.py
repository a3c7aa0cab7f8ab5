from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import networks
from sangbo.engines import Native
from sangbo.engines.base import Index
from sangbo.tasks.drafts import Guess, Lookup
from sangbo.tasks.language import Sampling, generate
from sangbo.tasks.speculate import MOST_GUESSES, Doubt, Record, speculate


class Oracle:
    """Knows the text, and spoils some guesses."""

    step = 0.0
    bytes_read = 0

    def __init__(self, text: Sequence[int], spoilt: Sequence[bool]) -> None:
        self.text, self.spoilt = [*text], [*spoilt] or [False]
        self.told: list[int] = []

    def heard(self, tokens: Sequence[int] | Index, outputs: Mapping[str, Any]) -> None:
        self.told += map(int, tokens)

    def draft(self, token: int, most: int, least: float) -> list[Guess]:
        at = len(self.told) + 1
        assert [*self.told, token] == self.text[:at]
        return [
            Guess((t + self.spoilt[(at + i) % len(self.spoilt)]) % networks.VOCABULARY, 1.0)
            for i, t in enumerate(self.text[at : at + most])
        ]


@pytest.fixture(scope="module")
def engine() -> Native:
    return Native(networks.converted(networks.llama()), threads=1)


@settings(max_examples=25)
@given(
    prompt=st.lists(st.integers(0, networks.VOCABULARY - 1), min_size=1, max_size=12),
    most=st.integers(0, 40),
    context=st.integers(13, 64),
    spoilt=st.lists(st.booleans(), max_size=5),
    temperature=st.sampled_from([0.0, 1.0]),
    stop=st.lists(st.integers(0, networks.VOCABULARY - 1), max_size=3),
)
def test_what_is_written_does_not_depend_on_guesses(
    engine: Native, prompt: list[int], most: int, context: int, spoilt: list[bool],
    temperature: float, stop: list[int],
) -> None:  # fmt: skip
    options: Any = {
        "context": context, "max_tokens": most, "stop": stop,
        "sampling": Sampling(temperature, seed=3),
    }  # fmt: skip
    expected = list(generate(engine, prompt, **options))
    record = Record()
    drafter = Oracle([*prompt, *expected], spoilt)
    assert list(speculate(engine, prompt, drafter, **options, record=record)) == expected
    assert list(speculate(engine, prompt, Lookup(), **options)) == expected
    assert record.tokens == len(expected)
    assert record.lossy == 0


def test_a_tolerance_keeps_guesses_that_are_likely_enough(engine: Native) -> None:
    prompt = [5, 9, 2]
    options: Any = {"context": 64, "max_tokens": 30}
    greedy = list(generate(engine, prompt, **options))
    spoilt = Oracle([*prompt, *greedy], [False, False, True])
    record = Record()

    class Trusting(Oracle):
        def draft(self, token: int, most: int, least: float) -> list[Guess]:
            assert least == 0.25
            return [Guess((token + 1) % networks.VOCABULARY, 1.0)] * most

    everything = Doubt(fallback=0.25, tolerance=float("inf"))
    found = list(
        speculate(engine, prompt, Trusting([], []), **options, doubt=everything, record=record)
    )
    assert len(found) == 30
    assert record.kept == record.guesses > 0
    assert 0 < record.lossy <= record.kept
    nothing = Doubt(tolerance=0.0)
    assert list(speculate(engine, prompt, spoilt, **options, doubt=nothing)) == greedy


def test_right_guesses_are_read_in_one_run(engine: Native) -> None:
    prompt = [5, 9, 2]
    options: Any = {"context": 64, "max_tokens": 33}
    greedy = list(generate(engine, prompt, **options))
    record, ledger = Record(), engine.ledger()
    found = speculate(
        engine, prompt, Oracle([*prompt, *greedy], []), **options, record=record, ledger=ledger
    )
    assert list(found) == greedy
    assert record.runs == 32 / (MOST_GUESSES + 1)  # the first token is the prompt's
    assert record.rows == 4 * record.runs
    assert record.kept == record.guesses
    assert ledger.samples == len(prompt) + record.rows


def test_lookup_finds_the_longest_match_and_goes_on_with_what_repeats() -> None:
    lookup = Lookup()
    lookup.heard([1, 2, 3, 4, 9, 2, 3, 5], {})
    assert [g.token for g in lookup.draft(1, 3, 0.0)] == []
    lookup.heard([1], {})
    assert [g.token for g in lookup.draft(2, 3, 0.0)] == [3, 4, 9]  # 1 2, not the later 2
    lookup.heard([7, 8, 7, 8], {})
    assert [g.token for g in lookup.draft(7, 5, 0.0)] == [8, 7, 8, 7, 8]


def test_lookup_learns_how_likely_its_guesses_are() -> None:
    lookup = Lookup()
    lookup.heard([1, 2, 3] * 20, {})
    sure = lookup.draft(1, 1, 0.0)[0].chance
    lookup = Lookup()
    lookup.heard([t for i in range(20) for t in (1, 2, 10 + i)], {})
    lookup.heard([1], {})
    unsure = lookup.draft(2, 1, 0.0)[0].chance
    assert sure > 0.9
    assert unsure < 0.2
    assert lookup.draft(2, 5, 0.5) == []
