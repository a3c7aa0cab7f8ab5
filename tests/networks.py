"""Small seeded networks that tests share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

import sangbo
from sangbo.convert.rewrite import complementary
from sangbo.convert.sites import find_sites
from sangbo.convert.weights import four_bit, per_channel
from sangbo.graph import Attention, Graph, Linear, Neuron
from sangbo.sources import Source, Tokenizer
from sangbo.sources.gpt2 import Gpt2Config
from sangbo.sources.gpt2 import build as build_gpt2
from sangbo.sources.llama import LlamaConfig
from sangbo.sources.llama import build as build_llama

VOCABULARY = 61


def _random(rng: np.random.Generator, *shape: int) -> Any:
    return rng.normal(0, 1 / np.sqrt(shape[-1]), shape).astype(np.float32)


def llama(
    seed: int = 0, layers: int = 2, heads: int = 4, key_heads: int = 2, channels: int = 32,
    hidden: int = 64, tied: bool = True,
) -> Graph:  # fmt: skip
    rng = np.random.default_rng(seed)
    size = channels // heads
    tensors = {"embedding": _random(rng, VOCABULARY, channels)}
    for layer in range(layers):
        at = f"layers.{layer}"
        shapes = {
            "attention.query": (channels, channels),
            "attention.key": (key_heads * size, channels),
            "attention.value": (key_heads * size, channels),
            "attention.output": (channels, channels),
            "mlp.gate": (hidden, channels),
            "mlp.up": (hidden, channels),
            "mlp.down": (channels, hidden),
        }
        tensors |= {f"{at}.{n}": _random(rng, *shape) for n, shape in shapes.items()}
        for norm in ("attention.norm", "mlp.norm"):
            tensors[f"{at}.{norm}"] = rng.uniform(0.5, 2, channels).astype(np.float32)
    tensors["norm"] = rng.uniform(0.5, 2, channels).astype(np.float32)
    if not tied:
        tensors["head"] = _random(rng, VOCABULARY, channels)
    config = LlamaConfig(layers, heads, key_heads, size, 64, 10_000.0, 1e-5)
    return build_llama("tiny llama", config, tensors, {"task": "generate"})


def gpt2(seed: int = 0, layers: int = 2, heads: int = 2, channels: int = 32) -> Graph:
    rng = np.random.default_rng(seed)
    tensors = {
        "embedding": _random(rng, VOCABULARY, channels),
        "positions": _random(rng, 64, channels),
    }
    for layer in range(layers):
        at = f"layers.{layer}"
        shapes = {
            **{f"attention.{n}": (channels, channels) for n in ("query", "key", "value", "output")},
            "mlp.up": (4 * channels, channels),
            "mlp.down": (channels, 4 * channels),
        }
        for name, shape in shapes.items():
            tensors[f"{at}.{name}"] = _random(rng, *shape)
            tensors[f"{at}.{name}.bias"] = _random(rng, shape[0])
        for norm in ("attention.norm", "mlp.norm"):
            tensors[f"{at}.{norm}"] = rng.uniform(0.5, 2, channels).astype(np.float32)
            tensors[f"{at}.{norm}.bias"] = _random(rng, channels)
    tensors["norm"] = rng.uniform(0.5, 2, channels).astype(np.float32)
    tensors["norm.bias"] = _random(rng, channels)
    scale = float((channels // heads) ** -0.5)
    config = Gpt2Config(heads, channels, 64, 1e-5, (scale,) * layers)
    return build_gpt2("tiny gpt2", config, tensors, {"task": "generate"})


def converted(original: Graph, bits: int = 8, threshold: float = 0.05) -> Graph:
    """The complementary form with one threshold for all; probabilities have 1/15."""
    thresholds = {
        site: np.float32(1 / 15 if site.role == "probability" else threshold)
        for site in find_sites(original)
    }
    names = {o.weight.values for o in original.operations if isinstance(o, Linear)}
    quantise = per_channel if bits == 8 else four_bit
    grids = {n: quantise(original.tensors[n]) for n in names}
    return complementary(original, thresholds, grids, {})


def tokens(rows: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, VOCABULARY, rows).astype(np.int32)


def letters() -> Tokenizer:
    """Bytes for letters: 61 tokens, the last of them ends a turn."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())[:60]
    vocabulary = {letter: i for i, letter in enumerate(letters)} | {"<|end|>": 60}
    inner = tokenizers.Tokenizer(models.BPE(vocabulary, [], unk_token=letters[0]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(["<|end|>"])
    return Tokenizer(inner, ends=["<|end|>"])


def inputs(ids: Any, start: int = 0) -> dict[str, Any]:
    rows = np.arange(len(ids), dtype=np.int32)
    return {"tokens": ids, "positions": rows + np.int32(start), "selected": rows}


def with_levels(graph: Graph, highest: int) -> Graph:
    """The same graph with every neuron's range cut to ±highest."""
    operations = tuple(
        replace(o, lowest=-highest, highest=highest)
        if isinstance(o, Neuron)
        else replace(o, highest=highest)
        if isinstance(o, Attention)
        else o
        for o in graph.operations
    )
    return replace(graph, operations=operations)


def written(folder: Path) -> Path:
    """A LLaMA that reads letters, converted into ``folder`` by what it writes in little time."""
    settings = sangbo.Settings(sequences=2, length=16)
    sangbo.convert(Source(llama(), letters()), folder, settings)
    return folder
