"""The T5 family (Raffel et al. 2020, arXiv 1910.10683): RMS norms and no positions but distances.

Attention adds a bias that depends on the distance of two rows, by buckets that widen with it; the
first layer holds the table and all layers use it. Query·key is not scaled. Version 1.1 and mT5 have
gated feed-forward halves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from sangbo.errors import SourceError, UnsupportedError
from sangbo.graph import Graph
from sangbo.graph.operations.rows import Function
from sangbo.sources.blocks import Block, decode, encode
from sangbo.sources.builder import (
    EMBEDDING,
    HEAD,
    MOST_LAYERS,
    SOURCE_TEXT,
    TARGET,
    TEXT,
    Builder,
    rename,
    take,
    take_words,
)
from sangbo.sources.facts import Facts
from sangbo.sources.generation import generation
from sangbo.sources.source import Array, Real

LARGEST_DISTANCE = 2**16

_FUNCTIONS: Mapping[str, tuple[Function, bool]] = {
    "relu": ("relu", False),
    "gelu": ("gelu", False),
    "gelu_new": ("gelu_tanh", False),
    "gated-relu": ("relu", True),
    "gated-gelu": ("gelu_tanh", True),
    "gated-silu": ("silu", True),
}
_ATTENTION = {"q": "query", "k": "key", "v": "value", "o": "output"}
_MLP = {"wi": "up", "wi_0": "gate", "wi_1": "up", "wo": "down"}
OUTER = {f"{side}.final_layer_norm": f"{side}.norm" for side in ("encoder", "decoder")}


def _stack(*halves: tuple[str, str]) -> dict[str, str]:
    """The names within a layer, from those of its halves in their order and ours."""
    names: dict[str, str] = {}
    for index, (theirs, ours) in enumerate(halves):
        parts = _MLP if ours == "mlp" else _ATTENTION
        names |= {f"layer.{index}.{theirs}.{p}": f"{ours}.{o}" for p, o in parts.items()}
        names[f"layer.{index}.layer_norm"] = f"{ours}.norm"
    return names


_SELF, _CROSS = ("SelfAttention", "attention"), ("EncDecAttention", "cross")
_LAST = ("DenseReluDense", "mlp")
LAYERS = {
    "encoder.block.": ("encoder.layers.", _stack(_SELF, _LAST)),
    "decoder.block.": ("decoder.layers.", _stack(_SELF, _CROSS, _LAST)),
}


def from_huggingface(
    name: str, facts: Facts, tensors: Mapping[str, Array], metadata: Mapping[str, Any]
) -> Graph:
    """The graph of a T5ForConditionalGeneration checkpoint.

    What enters the head is divided by √d where configurations say so: by a flag of its own in new
    ones, and in old ones by tied words, which need not be stored tied.

    Raises:
        SourceError: where the configuration or a tensor is missing or malformed.
        UnsupportedError: where a tensor or the activation is not known.
    """
    scaled = facts.flag("scale_decoder_outputs", facts.flag("tie_word_embeddings", True))
    return _build(name, facts, tensors, metadata, scaled=scaled)


def mt5_from_huggingface(
    name: str, facts: Facts, tensors: Mapping[str, Array], metadata: Mapping[str, Any]
) -> Graph:
    """The graph of an MT5ForConditionalGeneration checkpoint; see `from_huggingface`."""
    return _build(name, facts, tensors, metadata, scaled=False)


def _build(
    name: str,
    facts: Facts,
    tensors: Mapping[str, Array],
    metadata: Mapping[str, Any],
    *,
    scaled: bool,
) -> Graph:
    kind = facts.text("feed_forward_proj", "relu")
    if kind not in _FUNCTIONS:
        raise UnsupportedError(
            f"expected feed_forward_proj of {', '.join(_FUNCTIONS)}, found {kind!r}"
        )
    function, gated = _FUNCTIONS[kind]
    block = Block(
        heads=facts.whole("num_heads"),
        scale=1.0,
        form="rms",
        epsilon=facts.real("layer_norm_epsilon", 1e-6),
        function=function,
        gated=gated,
    )
    renamed = _rename(facts, tensors)
    inputs = {n: t for n, t in (SOURCE_TEXT | TEXT).items() if not n.endswith("positions")}
    net = Builder(renamed, inputs)
    layers = facts.whole("num_layers", highest=MOST_LAYERS)
    source = net.embed(EMBEDDING, "source_tokens", "encoder.embedding.rows")
    memory = encode(net, source, block, layers, "encoder.distances")
    memory = net.norm("encoder.norm", memory, "rms", block.epsilon)
    table = TARGET if TARGET in renamed else EMBEDDING
    target = net.embed(table, "tokens", "decoder.embedding.rows")
    layers = facts.whole("num_decoder_layers", layers, highest=MOST_LAYERS)
    hidden = decode(net, target, memory, block, layers, "decoder.distances")
    last = net.norm("decoder.norm", net.choose(hidden), "rms", block.epsilon)
    channels = facts.whole("d_model")
    factor = 1 / math.sqrt(channels) if scaled else 1.0
    net.head(net.scale("decoder.scaled", last, factor, channels), table)
    context = facts.whole("n_positions", 512)
    known = {"family": "t5", "context_length": context, "source_length": context}
    return net.finish(name, {**known, **generation(facts), **metadata})


def _rename(facts: Facts, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The tensors under our names, with a bias for each distance in place of buckets."""
    mine = dict(tensors)
    words = ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    ours = take_words(mine, *words, facts.where)
    if "lm_head.weight" in mine:
        head = take(mine, "lm_head.weight", 2, facts.where)
        if not np.array_equal(head, ours.get(TARGET, ours[EMBEDDING])):
            ours[HEAD] = head
    furthest = facts.whole("relative_attention_max_distance", 128, highest=LARGEST_DISTANCE)
    count = facts.whole("relative_attention_num_buckets", 32, lowest=4)
    distances = np.arange(-furthest, furthest + 1)
    for side in ("encoder", "decoder"):
        stored = f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        table = take(mine, stored, 2, facts.where)
        if len(table) != count:
            raise SourceError(f"expected {stored!r} to have {count} rows, found {len(table)}")
        ours[f"{side}.distances"] = by_distance(table, distances, furthest, side == "encoder")
    return ours | rename(mine, OUTER, LAYERS, facts.where)


def by_distance(table: Array, distances: Array, furthest: int, both: bool) -> Real:
    """The bias of each head at each distance key − query, float32 (heads, distances).

    Half of the buckets hold one distance each and the others widen with its logarithm, in float32
    as in transformers; the last holds all from ``furthest`` on. Where rows see both sides, half of
    all buckets are for distances above 0; else those count as 0.

    Args:
        table: (buckets, heads).
        distances: whole numbers.
        furthest: distance from which all share a bucket.
        both: whether rows see both sides.
    """
    buckets = len(table) // 2 if both else len(table)
    size = np.abs(distances) if both else np.maximum(-distances, 0)
    exact = buckets // 2
    with np.errstate(divide="ignore"):
        growth = np.log(size.astype(np.float32) / np.float32(exact))
    growth = growth / np.float32(math.log(furthest / exact)) * np.float32(buckets - exact)
    wide = np.where(size < exact, 0, growth)
    index = np.where(size < exact, size, np.minimum(exact + wide.astype(np.int64), buckets - 1))
    if both:
        index = index + np.where(distances > 0, buckets, 0)
    return np.ascontiguousarray(table[index].T, np.float32)
