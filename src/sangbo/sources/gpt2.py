"""The GPT-2 family (Radford et al. 2019): learned positions, layer norms, GELU.

Per layer: layer norm, attention, layer norm, and down(gelu(up·x)), each of the two halves added to
its input.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sangbo.errors import SourceError, UnsupportedError
from sangbo.graph import Graph
from sangbo.sources.blocks import Block, attend, feed_forward
from sangbo.sources.builder import EMBEDDING, HEAD, MOST_LAYERS, Builder, rename
from sangbo.sources.facts import Facts
from sangbo.sources.source import Array

OUTER = {"wte": EMBEDDING, "wpe": "positions", "ln_f": "norm", "lm_head": HEAD}
DERIVED = (".attn.bias", ".attn.masked_bias")
"""The causal mask and the number that it fills in."""

_INNER = {
    "ln_1": "attention.norm",
    "attn.c_attn": "attention.fused",
    "attn.c_proj": "attention.output",
    "ln_2": "mlp.norm",
    "mlp.c_fc": "mlp.up",
    "mlp.c_proj": "mlp.down",
}
LAYERS = {"h.": ("layers.", _INNER)}
FUSED = ("query", "key", "value")


@dataclass(frozen=True, slots=True)
class Gpt2Config:
    """What the tensors of a GPT-2-type network do not say.

    Attributes:
        heads: attention heads.
        channels: width of the network; a multiple of ``heads``.
        context: positions that the network was made for.
        epsilon: ε of the norms.
        scales: per layer, what query·key is multiplied by.
    """

    heads: int
    channels: int
    context: int
    epsilon: float
    scales: tuple[float, ...]


def build(
    name: str, config: Gpt2Config, tensors: Mapping[str, Array], metadata: Mapping[str, Any]
) -> Graph:
    """The float graph of a GPT-2-type network; see `Builder.finish` for what is refused."""
    net = Builder(tensors)
    hidden = net.sum(
        "embedding.sum", net.embed(EMBEDDING, "tokens"), net.embed("positions", "positions")
    )
    for layer, scale in enumerate(config.scales):
        block = Block(config.heads, scale, "layer", config.epsilon, "gelu_tanh")
        hidden = attend(net, f"layers.{layer}.attention", hidden, block)
        hidden = feed_forward(net, f"layers.{layer}.mlp", hidden, block)
    net.head(net.norm("norm", net.choose(hidden), "layer", config.epsilon))
    return net.finish(name, {"context_length": config.context, **metadata})


def from_huggingface(
    name: str, facts: Facts, tensors: Mapping[str, Array], metadata: Mapping[str, Any]
) -> Graph:
    """The graph of a GPT2LMHeadModel checkpoint.

    Raises:
        SourceError: where the configuration or a tensor is missing or malformed.
        UnsupportedError: where the network has cross attention or another activation.
    """
    function = facts.text("activation_function", "gelu_new")
    if function not in ("gelu_new", "gelu_pytorch_tanh"):
        raise UnsupportedError(f"expected activation_function gelu_new, found {function!r}")
    if facts.flag("add_cross_attention", False):
        raise UnsupportedError("expected a network without cross attention, found one with it")
    tied = facts.flag("tie_word_embeddings", True)
    plain = {n.removeprefix("transformer."): t for n, t in tensors.items()}
    kept = {
        n: t
        for n, t in plain.items()
        if not (n == "lm_head.weight" and tied)  # a copy
    }
    renamed = rename(kept, OUTER, LAYERS, facts.where)
    if HEAD not in renamed and not tied:
        raise SourceError(f"expected a tensor 'lm_head.weight' beside {facts.where}, found none")
    config = _config(facts)
    return build(name, config, _split(renamed, config), {"family": "gpt2", **metadata})


def _config(facts: Facts) -> Gpt2Config:
    layers, heads = facts.whole("n_layer", highest=MOST_LAYERS), facts.whole("n_head")
    channels = facts.whole("n_embd")
    if channels % heads:
        raise SourceError(
            f"expected n_embd in {facts.where} to be a multiple of {heads} heads, found {channels}"
        )
    scale = 1 / math.sqrt(channels // heads) if facts.flag("scale_attn_weights", True) else 1.0
    by_layer = facts.flag("scale_attn_by_inverse_layer_idx", False)
    return Gpt2Config(
        heads=heads,
        channels=channels,
        context=facts.whole("n_positions"),
        epsilon=facts.real("layer_norm_epsilon", 1e-5),
        scales=tuple(scale / (layer + 1 if by_layer else 1) for layer in range(layers)),
    )


def _split(tensors: Mapping[str, Array], config: Gpt2Config) -> dict[str, Array]:
    """Weights as (outputs, inputs), and query, key and value apart.

    GPT-2 stores its matrices as (inputs, outputs), and query, key and value in one.
    """
    channels = config.channels
    split: dict[str, Array] = {}
    for name, tensor in tensors.items():
        matrix = name.startswith("layers.") and tensor.ndim == 2
        stored = np.ascontiguousarray(tensor.T) if matrix else tensor
        before, fused, after = name.partition("fused")
        if not fused:
            split[name] = stored
            continue
        if len(stored) != 3 * channels:
            raise SourceError(
                f"expected {name!r} to hold query, key and value of {channels} channels, "
                f"found shape {tensor.shape}"
            )
        for index, part in enumerate(FUSED):
            split[f"{before}{part}{after}"] = stored[index * channels : (index + 1) * channels]
    return split
