"""Generation and gradients of the float graph against transformers and PyTorch, live."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oracles.record import CATALOGUE_NAME, make_network, network_tokens
from oracles.record import smollm2 as transformers_smollm2
from oracles.running import smollm2
from sangbo.convert.gradients import backward
from sangbo.convert.sites import find_sites
from sangbo.engines import Reference, Segment
from sangbo.graph import Rotary
from sangbo.sources import entries, fetch, open_source
from sangbo.tasks.language import generate

pytestmark = pytest.mark.oracle


@pytest.mark.network
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("prompt", ["The capital of France is", "def fibonacci(n):"])
def test_greedy_text_is_the_same_for_64_tokens(prompt: str) -> None:
    import torch

    tokenizer, model = transformers_smollm2(fetch(entries()[CATALOGUE_NAME]))
    ids = tokenizer(prompt)["input_ids"]
    with torch.no_grad():
        theirs = model.generate(
            torch.tensor([ids]), max_new_tokens=64, do_sample=False, eos_token_id=None,
            pad_token_id=0,
        )[0].tolist()  # fmt: skip
    ours = list(generate(Reference(smollm2().graph), ids, context=256, max_tokens=64))
    assert ours == theirs[len(ids) :]


@pytest.mark.parametrize("name", ["llama-6-heads-2-key-tied", "gpt2-4-heads-untied"])
def test_gradients_are_autograds(name: str, tmp_path: Path) -> None:
    """∂ Σ seed·logits at the inputs of the down and output projections, by hooks."""
    import torch
    from transformers import AutoModelForCausalLM

    make_network(name, tmp_path)
    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    tokens = network_tokens()
    held: dict[str, Any] = {}

    def hold(place: str) -> Any:
        def hook(_: Any, arguments: Any) -> None:
            arguments[0].retain_grad()
            held[place] = arguments[0]

        return hook

    blocks = model.model.layers if name.startswith("llama") else model.transformer.h
    for number, block in enumerate(blocks):
        at = f"layers.{number}"
        if name.startswith("llama"):
            block.mlp.down_proj.register_forward_pre_hook(hold(f"{at}.mlp.product"))
            block.self_attn.o_proj.register_forward_pre_hook(hold(f"{at}.attention.mix"))
        else:
            block.mlp.c_proj.register_forward_pre_hook(hold(f"{at}.mlp.activation"))
            block.attn.c_proj.register_forward_pre_hook(hold(f"{at}.attention.mix"))
    logits = model(torch.tensor([tokens])).logits
    seed = np.random.default_rng(0).normal(size=logits.shape[1:]).astype(np.float32)
    (logits[0] * torch.from_numpy(seed)).sum().backward()

    graph = open_source(tmp_path).graph
    engine, rows = Reference(graph), np.arange(len(tokens), dtype=np.int32)
    inputs = {"tokens": np.array(tokens, np.int32), "positions": rows, "selected": rows}
    keep = [o.output for o in graph.operations]
    values = engine.run(inputs, [Segment(engine.cache(len(rows)), len(rows))], keep=keep)
    wanted = [s.name for s in find_sites(graph)]
    found = backward(graph, {**values, **inputs}, "logits", seed, wanted)
    assert any(isinstance(o, Rotary) for o in graph.operations) == name.startswith("llama")
    assert len(held) == 4
    for place, tensor in held.items():
        expected = tensor.grad[0].numpy()
        assert np.abs(expected).max() > 1e-3
        np.testing.assert_allclose(
            found[place], expected, rtol=0, atol=1e-4 * np.abs(expected).max()
        )
