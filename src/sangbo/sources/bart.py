"""The BART family (Lewis et al. 2020, arXiv 1910.13461); mBART and Marian are of it.

An encoder and a decoder with learned or given positions and layer norms, which stand after each sum
or, in mBART, before each half.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sangbo.graph import Graph
from sangbo.sources.blocks import Block, decode, encode, read_function
from sangbo.sources.builder import (
    EMBEDDING,
    HEAD,
    MOST_LAYERS,
    SOURCE_TEXT,
    TARGET,
    TEXT,
    Builder,
    drop_copy,
    rename,
    take,
    take_words,
)
from sangbo.sources.facts import Facts
from sangbo.sources.generation import generation
from sangbo.sources.source import Array

EPSILON = 1e-5
"""ε of the norms: PyTorch's own, for no configuration states it."""

OFFSET = 2
"""Rows of BART's position tables that stand for no position."""

_HALVES = {
    "self_attn.q_proj": "attention.query",
    "self_attn.k_proj": "attention.key",
    "self_attn.v_proj": "attention.value",
    "self_attn.out_proj": "attention.output",
    "self_attn_layer_norm": "attention.norm",
    "fc1": "mlp.up",
    "fc2": "mlp.down",
    "final_layer_norm": "mlp.norm",
}
_CROSS = {
    "encoder_attn.q_proj": "cross.query",
    "encoder_attn.k_proj": "cross.key",
    "encoder_attn.v_proj": "cross.value",
    "encoder_attn.out_proj": "cross.output",
    "encoder_attn_layer_norm": "cross.norm",
}
LAYERS = {
    "model.encoder.layers.": ("encoder.layers.", _HALVES),
    "model.decoder.layers.": ("decoder.layers.", _HALVES | _CROSS),
}
OUTER = {
    f"model.{side}.{theirs}": f"{side}.{ours}"
    for side in ("encoder", "decoder")
    for theirs, ours in {
        "embed_positions": "positions",
        "layernorm_embedding": "embedding.norm",
        "layer_norm": "norm",
    }.items()
}


def from_huggingface(
    name: str, facts: Facts, tensors: Mapping[str, Array], metadata: Mapping[str, Any]
) -> Graph:
    """The graph of a BartForConditionalGeneration checkpoint.

    Raises:
        SourceError: where the configuration or a tensor is missing or malformed.
        UnsupportedError: where a tensor or the activation is not known.
    """
    return _learned(name, facts, tensors, {"family": "bart", **metadata}, norm_first=False)


def mbart_from_huggingface(
    name: str, facts: Facts, tensors: Mapping[str, Array], metadata: Mapping[str, Any]
) -> Graph:
    """The graph of an MBartForConditionalGeneration checkpoint; see `from_huggingface`."""
    return _learned(name, facts, tensors, {"family": "bart", **metadata}, norm_first=True)


def _learned(
    name: str,
    facts: Facts,
    tensors: Mapping[str, Array],
    metadata: Mapping[str, Any],
    *,
    norm_first: bool,
) -> Graph:
    mine = dict(tensors)
    for side in ("encoder", "decoder"):
        table = f"model.{side}.embed_positions.weight"
        mine[table] = take(mine, table, 2, facts.where)[OFFSET:]
    return build(name, facts, mine, metadata, norm_first=norm_first)


def build(
    name: str,
    facts: Facts,
    tensors: Mapping[str, Array],
    metadata: Mapping[str, Any],
    *,
    norm_first: bool,
) -> Graph:
    """The graph of a checkpoint of BART's modules, with position tables that begin at 0.

    Args:
        name: what people call it.
        facts: its configuration.
        tensors: by their names in the file.
        metadata: facts to keep with it.
        norm_first: whether norms stand before each half of a layer and after the last.
    """
    net = Builder(_rename(facts, tensors), SOURCE_TEXT | TEXT)
    source = _embed(net, facts, "encoder", EMBEDDING, "source_tokens", "source_positions")
    layers = facts.whole("encoder_layers", highest=MOST_LAYERS)
    memory = encode(net, source, _block(facts, "encoder", norm_first), layers)
    if norm_first:
        memory = net.norm("encoder.norm", memory, "layer", EPSILON)
    table = TARGET if TARGET in net.tensors else EMBEDDING
    target = _embed(net, facts, "decoder", table, "tokens", "positions")
    layers = facts.whole("decoder_layers", highest=MOST_LAYERS)
    hidden = decode(net, target, memory, _block(facts, "decoder", norm_first), layers)
    chosen = net.choose(hidden)
    net.head(net.norm("decoder.norm", chosen, "layer", EPSILON) if norm_first else chosen, table)
    context = len(net.tensors["decoder.positions"])
    lengths = {"context_length": context, "source_length": len(net.tensors["encoder.positions"])}
    return net.finish(name, {**lengths, **generation(facts), **metadata})


def _rename(facts: Facts, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The tensors under our names: tables of words once, a head only where it is not tied."""
    mine = dict(tensors)
    shared, source, target = (
        f"model.{part}.weight"
        for part in ("shared", "encoder.embed_tokens", "decoder.embed_tokens")
    )
    tables = take_words(mine, shared, source, target, facts.where)
    if facts.flag("tie_word_embeddings", True):
        drop_copy(mine, "lm_head.weight", tables.get(TARGET, tables[EMBEDDING]), facts.where)
    else:
        tables[HEAD] = take(mine, "lm_head.weight", 2, facts.where)
    bias = mine.pop("final_logits_bias", None)
    if bias is not None and bias.any():
        tables[f"{HEAD}.bias"] = bias.reshape(-1)
    return tables | rename(mine, OUTER, LAYERS, facts.where)


def _embed(net: Builder, facts: Facts, side: str, table: str, tokens: str, positions: str) -> str:
    """Words and positions added, and normalised where there is a norm for it."""
    at, channels = f"{side}.embedding", facts.whole("d_model")
    factor = math.sqrt(channels) if facts.flag("scale_embedding", False) else 1.0
    words = net.scale(f"{at}.scaled", net.embed(table, tokens, f"{at}.rows"), factor, channels)
    total = net.sum(f"{at}.sum", words, net.embed(f"{side}.positions", positions))
    if f"{at}.norm" not in net.tensors:
        return total
    return net.norm(f"{at}.norm", total, "layer", EPSILON)


def _block(facts: Facts, side: str, norm_first: bool) -> Block:
    heads = facts.whole(f"{side}_attention_heads")
    return Block(
        heads=heads,
        scale=1 / math.sqrt(max(1, facts.whole("d_model") // heads)),
        form="layer",
        epsilon=EPSILON,
        function=read_function(facts, "activation_function", "gelu"),
        norm_first=norm_first,
    )
