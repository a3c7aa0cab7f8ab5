"""Checkpoints of encoder and mixture families: what their configurations must say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from sangbo.errors import SourceError, UnsupportedError
from sangbo.sources import open_source
from sangbo.sources.t5 import by_distance

SIZE, WORDS, INNER = 8, 11, 12


def t5(folder: Path, changes: dict[str, Any], **config: Any) -> Path:
    """A T5 of one layer on each side, as transformers stores it."""
    rng = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {"shared.weight": (WORDS, SIZE)}
    for side, halves in (
        ("encoder", ("SelfAttention", "DenseReluDense")),
        ("decoder", ("SelfAttention", "EncDecAttention", "DenseReluDense")),
    ):
        shapes[f"{side}.final_layer_norm.weight"] = (SIZE,)
        for index, half in enumerate(halves):
            at = f"{side}.block.0.layer.{index}"
            shapes[f"{at}.layer_norm.weight"] = (SIZE,)
            if half == "DenseReluDense":
                shapes |= {f"{at}.{half}.wi.weight": (INNER, SIZE)}
                shapes |= {f"{at}.{half}.wo.weight": (SIZE, INNER)}
            else:
                shapes |= {f"{at}.{half}.{part}.weight": (SIZE, SIZE) for part in "qkvo"}
        table = f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        shapes[table] = (32, 2)
    tensors = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    stored = {n: t for n, t in (tensors | changes).items() if t is not None}
    save_file(stored, folder / "model.safetensors")
    facts = {
        "architectures": ["T5ForConditionalGeneration"], "d_model": SIZE, "num_heads": 2,
        "num_layers": 1, "d_kv": 4, "d_ff": INNER, "decoder_start_token_id": 0, "eos_token_id": 1,
        **config,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(facts))
    return folder


def test_what_begins_and_ends_a_text_is_kept(tmp_path: Path) -> None:
    graph = open_source(t5(tmp_path, {}, bad_words_ids=[[3], [4, 5]])).graph
    known = {key: graph.metadata[key] for key in ("task", "start", "end", "suppressed")}
    assert known == {"task": "translate", "start": [0], "end": [1], "suppressed": [3]}
    generation = {"eos_token_id": [7, 8], "forced_bos_token_id": 6, "suppress_tokens": [9, -1]}
    (tmp_path / "generation_config.json").write_text(json.dumps(generation))
    graph = open_source(tmp_path).graph
    known = {key: graph.metadata[key] for key in ("start", "end", "suppressed")}
    assert known == {"start": [0, 6], "end": [1], "suppressed": [3, 9]}


def test_words_may_differ_between_the_sides(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    words = rng.normal(size=(7, SIZE)).astype(np.float32)
    graph = open_source(t5(tmp_path, {"decoder.embed_tokens.weight": words})).graph
    np.testing.assert_array_equal(graph.tensors["decoder.embedding"], words)
    assert str(graph.values["logits"]) == "real[selected, 7]"
    head = rng.normal(size=(5, SIZE)).astype(np.float32)
    graph = open_source(t5(tmp_path, {"lm_head.weight": head})).graph
    np.testing.assert_array_equal(graph.tensors["head"], head)


@pytest.mark.parametrize(
    ("changes", "config", "error", "message"),
    [
        ({"shared.weight": None}, {}, SourceError, "shared"),
        ({}, {"feed_forward_proj": "gated-tanh"}, UnsupportedError, "gated-tanh"),
        ({}, {"num_layers": 2}, SourceError, r"layers\.1"),
        ({}, {"num_heads": 3}, SourceError, "3 heads"),
        ({}, {"relative_attention_num_buckets": 16}, SourceError, "16 rows"),
        ({}, {"relative_attention_max_distance": 10**9}, SourceError, "max_distance"),
        ({"odd.weight": np.zeros(3, np.float32)}, {}, UnsupportedError, "odd"),
        (
            {"encoder.block.0.layer.0.SelfAttention.q.weight": np.zeros((4, SIZE), np.float32)},
            {}, SourceError, "attention",
        ),
    ],
)  # fmt: skip
def test_odd_checkpoints_are_refused(
    tmp_path: Path,
    changes: dict[str, Any],
    config: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        open_source(t5(tmp_path, changes, **config))


def test_buckets_widen_with_distance() -> None:
    table = np.arange(16, dtype=np.float32)[:, None]
    distances = np.arange(-40, 41)
    both = by_distance(table, distances, 20, both=True)[0]
    assert both[40] == 0
    assert (both[:40] < 8).all()
    assert (both[41:] >= 8).all()
    np.testing.assert_array_equal(both[41:] - 8, both[39::-1])
    assert (np.diff(both[41:]) >= 0).all()
    assert (both[-20:] == 15).all()
    back = by_distance(table, distances, 20, both=False)[0]
    np.testing.assert_array_equal(back[40:], 0)
    np.testing.assert_array_equal(back[40:31:-1], np.arange(9))
    assert (back[:20] == 15).all()
