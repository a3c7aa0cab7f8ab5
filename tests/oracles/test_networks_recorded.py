"""Imported networks against what transformers said when `record.py` ran."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from oracles.record import (
    CHAT,
    COLUMNS,
    DIGIT_TEXTS,
    NETWORKS,
    RECORDED,
    SMOLLM2,
    TEXTS,
    network_tokens,
)
from oracles.running import logits, smollm2
from sangbo.sources import open_source

BOUND = 1e-3


@pytest.fixture(scope="module")
def recorded() -> Any:
    return json.loads(SMOLLM2.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", RECORDED)
def test_random_network_gives_recorded_logits(name: str) -> None:
    expected = np.array(json.loads((NETWORKS / name / "expected.json").read_text()), np.float32)
    tokens = network_tokens()
    source = open_source(NETWORKS / name)
    found = logits(source.graph, tokens, list(range(0, len(tokens), 5)))
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(found, expected, rtol=0, atol=BOUND)
    assert source.tokenizer is None
    assert source.graph.metadata["context_length"] == 32


@pytest.mark.network
@pytest.mark.parametrize("text", TEXTS[:4])
def test_smollm2_gives_recorded_logits(recorded: Any, text: str) -> None:
    source = smollm2()
    tokens = recorded["control"][text]
    found = logits(source.graph, tokens, [len(tokens) - 1])[0]
    assert int(found.argmax()) == recorded["logits"][text]["best"]
    expected = np.array(recorded["logits"][text]["values"], np.float32)
    np.testing.assert_allclose(found[::COLUMNS], expected, rtol=0, atol=BOUND)


@pytest.mark.network
def test_smollm2_tokens_are_the_recorded(recorded: Any) -> None:
    tokenizer = smollm2().tokenizer
    assert tokenizer is not None
    for text in TEXTS:
        assert tokenizer.encode(text, control=True) == recorded["control"][text]
        assert tokenizer.encode(text) == recorded["plain"][text]
        assert tokenizer.decode(tokenizer.encode(text)) == text
    for text in DIGIT_TEXTS:
        assert tokenizer.encode(text) == recorded["digits"][text]


@pytest.mark.network
def test_smollm2_chat_is_the_recorded(recorded: Any) -> None:
    tokenizer = smollm2().tokenizer
    assert tokenizer is not None
    assert tokenizer.render(CHAT) == recorded["chat"]
    assert tokenizer.encode_chat(CHAT) == recorded["chat_ids"]
