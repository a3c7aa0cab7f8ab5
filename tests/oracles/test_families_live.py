"""Imported networks of every family against transformers, on seeded random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from oracles.families import LENGTHS, NETWORKS, features, make, words
from sangbo.engines.base import Segment
from sangbo.engines.reference import Reference
from sangbo.graph import Graph
from sangbo.sources import open_source

pytestmark = pytest.mark.oracle

ROUNDING = 2e-5
"""Of the largest result: float32 in another order of summation, through a few layers."""

TARGET = 7
Real = NDArray[np.float32]


def close(found: Real, expected: Real) -> None:
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDING * np.abs(expected).max())


def take(graph: Graph, inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: inputs[name] for name in graph.inputs}


def rows(count: int, first: int = 0) -> NDArray[np.int32]:
    return np.arange(first, first + count, dtype=np.int32)


def encoders() -> list[str]:
    return [n for n in NETWORKS if n.startswith("bert")]


def decoders() -> list[str]:
    return [n for n in NETWORKS if n.startswith("mixtral")]


def pairs() -> list[str]:
    return [n for n in NETWORKS if n not in (*encoders(), *decoders())]


@pytest.mark.parametrize("name", encoders())
def test_encoder(name: str, tmp_path: Path) -> None:
    import torch

    model = make(name, tmp_path)
    graph = open_source(tmp_path).graph
    engine = Reference(graph)
    texts = [words(length, 3) for length in LENGTHS]
    types = [(text % 2).astype(np.int32) for text in texts]
    firsts = np.cumsum([0, *LENGTHS[:-1]]).astype(np.int32)
    inputs = {
        "tokens": np.concatenate(texts), "types": np.concatenate(types),
        "positions": np.concatenate([rows(n) for n in LENGTHS]), "selected": firsts,
    }  # fmt: skip
    segments = [Segment(engine.cache(length), length) for length in LENGTHS]
    found = engine.run(take(graph, inputs), segments)
    expected = []
    with torch.no_grad():
        for text, kinds in zip(texts, types, strict=True):
            given = {
                "input_ids": torch.tensor(text[None]),
                "token_type_ids": torch.tensor(kinds[None]),
            }
            given = {key: value.long() for key, value in given.items()}
            answer = model(**given)
            expected.append(answer[0].numpy().reshape(-1, answer[0].shape[-1]))
    close(found[graph.outputs[0]], np.concatenate(expected))


@pytest.mark.parametrize("name", decoders())
def test_mixture_of_experts(name: str, tmp_path: Path) -> None:
    import torch

    model = make(name, tmp_path)
    graph = open_source(tmp_path).graph
    engine = Reference(graph)
    tokens = words(20, 3)
    inputs = {"tokens": tokens, "positions": rows(20), "selected": rows(20)}
    found = engine.run(inputs, [Segment(engine.cache(20), 20)])["logits"]
    with torch.no_grad():
        close(found, model(torch.tensor(tokens[None]).long()).logits[0].numpy())


@pytest.mark.parametrize("name", pairs())
def test_encoder_and_decoder(name: str, tmp_path: Path) -> None:
    """Two pairs of texts in one run; then the second alone, its target row by row."""
    import torch

    model = make(name, tmp_path)
    settings = NETWORKS[name]
    graph = open_source(tmp_path).graph
    engine = Reference(graph)
    target = words(TARGET, 5, settings.get("decoder_vocab_size", 61))
    speech = settings["model_type"] == "whisper"
    axis = "samples" if speech else "source"
    sources = [features(settings, n) if speech else words(n, 3) for n in LENGTHS]
    sizes = [1 if speech else n for n in LENGTHS]
    expected = []
    with torch.no_grad():
        for source in sources:
            heard = torch.tensor(source[None])
            named = {"input_features": heard.mT} if speech else {"input_ids": heard.long()}
            labels = torch.tensor(target[None]).long()
            expected.append(model(**named, decoder_input_ids=labels).logits[0].numpy())

    def given(chosen: list[Any], first: int, count: int) -> dict[str, Any]:
        """Inputs of a run: ``count`` target rows of each of the chosen sources, or of one."""
        times = max(1, len(chosen))
        texts = [np.zeros(0, np.int32), *([] if speech else chosen)]
        inputs = {
            "source_tokens": np.concatenate(texts),
            "source_positions": np.concatenate([rows(len(text)) for text in texts]),
            "tokens": np.tile(target[first : first + count], times),
            "positions": np.tile(rows(count, first), times),
            "selected": rows(count * times),
        }
        if speech:
            shape = graph.inputs["features"].inner()
            inputs["features"] = np.reshape(chosen, (-1, *shape)).astype(np.float32)
        return take(graph, inputs)

    segments = [Segment(engine.cache(TARGET), TARGET, {axis: size}) for size in sizes]
    found = engine.run(given(sources, 0, TARGET), segments)["logits"]
    close(found, np.concatenate(expected))
    cache = engine.cache(TARGET)
    for row in range(TARGET):
        new = sources[1:] if row == 0 else []
        others = {axis: sizes[1]} if row == 0 else {}
        found = engine.run(given(new, row, 1), [Segment(cache, 1, others)])["logits"]
        close(found, expected[1][row : row + 1])
