"""The LLaMA family (Touvron et al. 2023, arXiv 2302.13971); Mistral, Qwen2 and SmolLM2 are of it.

Per layer: RMS norm, attention with rotary positions and shared key heads, RMS norm, and
down(silu(gate·x) · (up·x)), each of the two halves added to its input. Biases are taken wherever
the file has them (Qwen2 has them on query, key and value).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from sangbo.errors import SourceError, UnsupportedError
from sangbo.graph import Graph
from sangbo.sources.blocks import COSINE, SINE, Block, attend, feed_forward
from sangbo.sources.builder import EMBEDDING, HEAD, MOST_LAYERS, Builder, rename
from sangbo.sources.facts import Facts
from sangbo.sources.source import Array, Real

LARGEST_TABLE = 2**28
Half: TypeAlias = Callable[[Builder, str, str, Block], str]

HUGGINGFACE_OUTER = {"model.embed_tokens": EMBEDDING, "model.norm": "norm", "lm_head": HEAD}
DERIVED = (".rotary_emb.inv_freq",)
"""The rotary rates, which follow from θ."""

ATTENTION_NAMES = {
    "input_layernorm": "attention.norm",
    "self_attn.q_proj": "attention.query",
    "self_attn.k_proj": "attention.key",
    "self_attn.v_proj": "attention.value",
    "self_attn.o_proj": "attention.output",
    "post_attention_layernorm": "mlp.norm",
}
MLP_NAMES = {
    "mlp.gate_proj": "mlp.gate",
    "mlp.up_proj": "mlp.up",
    "mlp.down_proj": "mlp.down",
}
GGUF_OUTER = {"token_embd": EMBEDDING, "output_norm": "norm", "output": HEAD}
_GGUF_INNER = {
    "attn_norm": "attention.norm",
    "attn_q": "attention.query",
    "attn_k": "attention.key",
    "attn_v": "attention.value",
    "attn_output": "attention.output",
    "ffn_norm": "mlp.norm",
    "ffn_gate": "mlp.gate",
    "ffn_up": "mlp.up",
    "ffn_down": "mlp.down",
}
GGUF_LAYERS = {"blk.": ("layers.", _GGUF_INNER)}


@dataclass(frozen=True, slots=True)
class LlamaConfig:
    """What the tensors of a LLaMA-type network do not say.

    Attributes:
        layers: number of layers.
        heads: query heads.
        key_heads: key and value heads; divides ``heads``.
        head_size: channels of a head, even.
        context: positions that the network was made for.
        theta: base of the rotary angles.
        epsilon: ε of the norms.
    """

    layers: int
    heads: int
    key_heads: int
    head_size: int
    context: int
    theta: float
    epsilon: float


def build(
    name: str,
    config: LlamaConfig,
    tensors: Mapping[str, Array],
    metadata: Mapping[str, Any],
    second: Half = feed_forward,
) -> Graph:
    """The float graph of a LLaMA-type network; see `Builder.finish` for what is refused.

    Args:
        name: what people call it.
        config: what its tensors do not say.
        tensors: its tensors under our names.
        metadata: facts to keep with it.
        second: makes the second half of each layer.
    """
    net = Builder(tensors)
    net.tensors[COSINE], net.tensors[SINE] = rotary_tables(
        config.context, config.head_size, config.theta
    )
    block = Block(
        config.heads, 1 / math.sqrt(config.head_size), "rms", config.epsilon, "silu",
        config.key_heads, gated=True, rotary=True,
    )  # fmt: skip
    hidden = net.embed(EMBEDDING, "tokens")
    for layer in range(config.layers):
        hidden = attend(net, f"layers.{layer}.attention", hidden, block)
        hidden = second(net, f"layers.{layer}.mlp", hidden, block)
    net.head(net.norm("norm", net.choose(hidden), "rms", config.epsilon))
    return net.finish(name, {"context_length": config.context, **metadata})


def rotary_tables(context: int, head_size: int, theta: float) -> tuple[Real, Real]:
    """Cosines and sines of position·θ^(−2i/D), float32 (context, D/2), computed in float64."""
    if head_size % 2:
        raise SourceError(f"expected heads of an even size, found {head_size}")
    if context * head_size > LARGEST_TABLE:
        raise SourceError(
            f"expected a context times head size of at most {LARGEST_TABLE}, "
            f"found {context} times {head_size}"
        )
    rates = theta ** -(np.arange(0, head_size, 2, dtype=np.float64) / head_size)
    angles = np.arange(context, dtype=np.float64)[:, None] * rates
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def from_huggingface(
    name: str, facts: Facts, tensors: Mapping[str, Array], metadata: Mapping[str, Any]
) -> Graph:
    """The graph of a LlamaForCausalLM, MistralForCausalLM or Qwen2ForCausalLM checkpoint.

    Raises:
        SourceError: where the configuration or a tensor is missing or malformed.
        UnsupportedError: where the network is scaled, windowed or otherwise not plain.
    """
    config = huggingface_config(facts)
    renamed = huggingface_names(facts, tensors, ATTENTION_NAMES | MLP_NAMES)
    return build(name, config, renamed, {"family": "llama", **metadata})


def huggingface_config(facts: Facts) -> LlamaConfig:
    """The configuration in a ``config.json``; see `from_huggingface`."""
    if (function := facts.text("hidden_act", "silu")) != "silu":
        raise UnsupportedError(f"expected hidden_act silu, found {function!r}")
    context = facts.whole("max_position_embeddings")
    _refuse_windows(facts, context)
    heads = facts.whole("num_attention_heads")
    return LlamaConfig(
        layers=facts.whole("num_hidden_layers", highest=MOST_LAYERS),
        heads=heads,
        key_heads=facts.whole("num_key_value_heads", heads),
        head_size=facts.whole("head_dim", facts.whole("hidden_size") // heads),
        context=context,
        theta=_huggingface_theta(facts),
        epsilon=facts.real("rms_norm_eps"),
    )


def huggingface_names(
    facts: Facts, tensors: Mapping[str, Array], inner: Mapping[str, str]
) -> dict[str, Array]:
    """The tensors under our names, the head only where it is not tied.

    Args:
        facts: the configuration.
        tensors: by their names in the file.
        inner: names within a layer → ours.
    """
    tied = facts.flag("tie_word_embeddings", False)
    kept = {
        n: t
        for n, t in tensors.items()
        if not (n == "lm_head.weight" and tied)  # a copy
    }
    layers = {"model.layers.": ("layers.", inner)}
    renamed = rename(kept, HUGGINGFACE_OUTER, layers, facts.where)
    if HEAD not in renamed and not tied:
        raise SourceError(f"expected a tensor 'lm_head.weight' beside {facts.where}, found none")
    return renamed


def _refuse_windows(facts: Facts, context: int) -> None:
    """Raise `UnsupportedError` where a row may not see all rows before it."""
    if "layer_types" in facts:
        if other := [t for t in facts.items("layer_types") if t != "full_attention"]:
            raise UnsupportedError(f"expected layers of full_attention, found {other[0]!r}")
    elif "sliding_window" in facts and facts.flag("use_sliding_window", True):
        window = facts.whole("sliding_window")
        if window < context:
            raise UnsupportedError(
                f"expected no sliding window below the context of {context}, found {window}"
            )


def _huggingface_theta(facts: Facts) -> float:
    """θ from either place where transformers has written it; scaled angles are refused."""
    parameters, scaling = facts.inner("rope_parameters"), facts.inner("rope_scaling")
    for place in (parameters, scaling):
        kind = place.text("rope_type", place.text("type", "default"))
        if kind != "default":
            raise UnsupportedError(f"expected rotary angles without scaling, found {kind!r}")
    for place in (parameters, scaling, facts):
        part = place.real("partial_rotary_factor", 1.0)
        if part != 1:
            raise UnsupportedError(f"expected rotary angles on whole heads, found a part of {part}")
    return parameters.real("rope_theta", facts.real("rope_theta", 10000.0))


def from_gguf(facts: Facts, architecture: str) -> LlamaConfig:
    """The configuration in the metadata of a GGUF file of architecture ``llama`` or ``qwen2``.

    Raises:
        SourceError: where a value is missing or malformed.
        UnsupportedError: where the network has experts, a window or scaled rotary angles.
    """

    def at(key: str) -> str:
        return f"{architecture}.{key}"

    scaling = facts.text(at("rope.scaling.type"), "none")
    if scaling != "none":
        raise UnsupportedError(f"expected rotary angles without scaling, found {scaling!r}")
    if experts := facts.whole(at("expert_count"), 0, lowest=0):
        raise UnsupportedError(f"expected a network without experts, found {experts}")
    context = facts.whole(at("context_length"))
    window = facts.whole(at("attention.sliding_window"), context)
    if window < context:
        raise UnsupportedError(
            f"expected no sliding window below the context of {context}, found {window}"
        )
    heads = facts.whole(at("attention.head_count"))
    head_size = facts.whole(
        at("attention.key_length"), facts.whole(at("embedding_length")) // heads
    )
    for key in ("rope.dimension_count", "attention.value_length"):
        if (found := facts.whole(at(key), head_size)) != head_size:
            raise UnsupportedError(f"expected {at(key)} to be {head_size}, found {found}")
    return LlamaConfig(
        layers=facts.whole(at("block_count"), highest=MOST_LAYERS),
        heads=heads,
        key_heads=facts.whole(at("attention.head_count_kv"), heads),
        head_size=head_size,
        context=context,
        theta=facts.real(at("rope.freq_base"), 10000.0),
        epsilon=facts.real(at("attention.layer_norm_rms_epsilon")),
    )
