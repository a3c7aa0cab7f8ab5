"""Imported networks against transformers, live."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oracles.record import (
    CATALOGUE_NAME,
    CHAT,
    DIGIT_TEXTS,
    LIVE,
    TEXTS,
    make_network,
    network_logits,
    network_tokens,
    published_rule,
)
from oracles.record import smollm2 as transformers_smollm2
from oracles.running import logits, smollm2
from sangbo.sources import entries, fetch, open_source

pytestmark = pytest.mark.oracle
BOUND = 1e-3


@pytest.mark.parametrize("name", LIVE)
def test_random_network_matches(name: str, tmp_path: Path) -> None:
    make_network(name, tmp_path)
    tokens = network_tokens()
    found = logits(open_source(tmp_path).graph, tokens, list(range(len(tokens))))
    expected = network_logits(tmp_path)
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(found, expected, rtol=0, atol=BOUND)


@pytest.mark.network
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_smollm2_matches() -> None:
    import torch

    source = smollm2()
    ours = source.tokenizer
    assert ours is not None
    theirs, model = transformers_smollm2(fetch(entries()[CATALOGUE_NAME]))
    for text in TEXTS[:5]:
        tokens = theirs(text)["input_ids"]
        assert ours.encode(text) == tokens
        with torch.no_grad():
            expected = model(torch.tensor([tokens])).logits[0].numpy()
        found = logits(source.graph, tokens, list(range(len(tokens))))
        np.testing.assert_allclose(found, expected, rtol=0, atol=BOUND)
    chat = list(CHAT)
    assert ours.render(CHAT) == theirs.apply_chat_template(
        chat, tokenize=False, add_generation_prompt=True
    )
    published = published_rule(theirs)
    for text in (*TEXTS, *DIGIT_TEXTS):
        assert ours.encode(text, control=True) == published(text)["input_ids"]
