"""The BERT family (Devlin et al. 2019, arXiv 1810.04805): an encoder normalised after each sum.

The graph takes ``types`` beside tokens and positions: which of two texts a row belongs to. Its
result is ``hidden``, one vector for each row; a classifier's are ``logits`` of the selected rows,
those of the first token of each text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sangbo.errors import UnsupportedError
from sangbo.graph import Graph, ValueType
from sangbo.sources.blocks import Block, encode, read_function
from sangbo.sources.builder import EMBEDDING, HEAD, LOGITS, MOST_LAYERS, TEXT, Builder, rename
from sangbo.sources.facts import Facts
from sangbo.sources.source import Array

DERIVED = (".position_ids",)
"""The numbers 0, 1, 2 …"""

HIDDEN = "hidden"
OUTER = {
    "embeddings.word_embeddings": EMBEDDING,
    "embeddings.position_embeddings": "positions",
    "embeddings.token_type_embeddings": "types",
    "embeddings.LayerNorm": "embedding.norm",
    "pooler.dense": "pooler",
    "classifier": HEAD,
}
_INNER = {
    "attention.self.query": "attention.query",
    "attention.self.key": "attention.key",
    "attention.self.value": "attention.value",
    "attention.output.dense": "attention.output",
    "attention.output.LayerNorm": "attention.norm",
    "intermediate.dense": "mlp.up",
    "output.dense": "mlp.down",
    "output.LayerNorm": "mlp.norm",
}
LAYERS = {"encoder.layer.": ("encoder.layers.", _INNER)}


def from_huggingface(
    name: str, facts: Facts, tensors: Mapping[str, Array], metadata: Mapping[str, Any]
) -> Graph:
    """The graph of a BertModel checkpoint, whose ``pooler`` is left out.

    The pooler was trained to tell whether two texts follow each other; sentence embeddings are made
    of ``hidden``. The metadata names it under ``left_out``.

    Raises:
        SourceError: where the configuration or a tensor is missing or malformed.
        UnsupportedError: where the network is a decoder or has relative positions.
    """
    renamed = rename(_plain(tensors), OUTER, LAYERS, facts.where)
    pooler = [renamed.pop(n) for n in ("pooler", "pooler.bias") if n in renamed]
    net, _ = _encoder(facts, renamed)
    left_out = ["pooler"] if pooler else []
    return net.finish(
        name, {**_metadata(facts), "left_out": left_out, **metadata}, outputs=(net.call(HIDDEN),)
    )


def classifier_from_huggingface(
    name: str, facts: Facts, tensors: Mapping[str, Array], metadata: Mapping[str, Any]
) -> Graph:
    """The graph of a BertForSequenceClassification checkpoint; see `from_huggingface`."""
    net, hidden = _encoder(facts, rename(_plain(tensors), OUTER, LAYERS, facts.where))
    pooled = net.linear("pooler", net.choose(hidden))
    net.head(net.activate("pooler.activation", pooled, "tanh"))
    return net.finish(name, {**_metadata(facts), **metadata}, outputs=(LOGITS,))


def _plain(tensors: Mapping[str, Array]) -> dict[str, Array]:
    return {n.removeprefix("bert."): t for n, t in tensors.items()}


def _metadata(facts: Facts) -> dict[str, Any]:
    return {"family": "bert", "context_length": facts.whole("max_position_embeddings")}


def _encoder(facts: Facts, tensors: Mapping[str, Array]) -> tuple[Builder, str]:
    """The network up to its hidden vectors, and their name."""
    if (kind := facts.text("position_embedding_type", "absolute")) != "absolute":
        raise UnsupportedError(f"expected position_embedding_type absolute, found {kind!r}")
    if facts.flag("is_decoder", False):
        raise UnsupportedError("expected an encoder, found is_decoder")
    heads, channels = facts.whole("num_attention_heads"), facts.whole("hidden_size")
    block = Block(
        heads=heads,
        scale=1 / math.sqrt(max(1, channels // heads)),
        form="layer",
        epsilon=facts.real("layer_norm_eps", 1e-12),
        function=read_function(facts, "hidden_act", "gelu"),
        norm_first=False,
    )
    layers = facts.whole("num_hidden_layers", highest=MOST_LAYERS)
    inputs = {**TEXT, "types": ValueType("index", ("rows",))}
    if HEAD not in tensors:
        del inputs["selected"]
    net = Builder(tensors, inputs)
    words = net.embed(EMBEDDING, "tokens")
    hidden = net.sum("embedding.typed", words, net.embed("types", "types"))
    hidden = net.sum("embedding.sum", hidden, net.embed("positions", "positions"))
    hidden = net.norm("embedding.norm", hidden, block.form, block.epsilon)
    return net, encode(net, hidden, block, layers)
