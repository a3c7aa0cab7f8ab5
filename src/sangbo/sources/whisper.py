"""The Whisper family (Radford et al. 2022, arXiv 2212.04356): 30 seconds of speech to text.

The encoder reads ``features``, the logarithms of a mel spectrogram, (samples, frames, bands), by
two convolutions; the decoder attends to it. Norms stand before each half of a layer and after the
last.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sangbo.graph import Affine, Graph, ValueType
from sangbo.graph.operations.rows import Function
from sangbo.sources.bart import EPSILON, LAYERS
from sangbo.sources.blocks import Block, decode, encode, read_function
from sangbo.sources.builder import (
    EMBEDDING,
    MOST_LAYERS,
    TEXT,
    Builder,
    by_taps,
    drop_copy,
    look,
    rename,
    take,
)
from sangbo.sources.facts import Facts
from sangbo.sources.generation import generation
from sangbo.sources.source import Array

CONVOLUTIONS = ("encoder.convolution.0", "encoder.convolution.1")
STRIDES = (1, 2)
TAPS = 3
SOUND = {"sampling_rate": 16_000, "window": 400, "hop": 160}
"""How speech becomes features, in samples of sound."""

OUTER = {
    "model.encoder.conv1": CONVOLUTIONS[0],
    "model.encoder.conv2": CONVOLUTIONS[1],
    "model.encoder.embed_positions": "encoder.positions",
    "model.encoder.layer_norm": "encoder.norm",
    "model.decoder.embed_positions": "decoder.positions",
    "model.decoder.layer_norm": "decoder.norm",
}


@dataclass(frozen=True, slots=True)
class WhisperConfig:
    """What the tensors of a Whisper-type network do not say.

    Attributes:
        encoder_layers: layers of the encoder.
        decoder_layers: layers of the decoder.
        encoder_heads: attention heads in each of its layers.
        decoder_heads: the same of the decoder.
        function: activation of the feed-forward halves.
    """

    encoder_layers: int
    decoder_layers: int
    encoder_heads: int
    decoder_heads: int
    function: Function = "gelu"


def build(
    name: str, config: WhisperConfig, tensors: Mapping[str, Array], metadata: Mapping[str, Any]
) -> Graph:
    """The float graph of a Whisper-type network; see `Builder.finish` for what is refused.

    Args:
        name: what people call it.
        config: what its tensors do not say.
        tensors: under our names; weights of convolutions as (outputs, inputs, taps).
        metadata: facts to keep with it.

    Raises:
        SourceError: also where a tensor that the shapes are read from has another number of axes.
    """
    mine = dict(tensors)
    for convolution in CONVOLUTIONS:
        mine[convolution] = by_taps(look(mine, convolution, 3, name))
    bands = mine[CONVOLUTIONS[0]].shape[1] // TAPS
    places, channels = look(mine, "encoder.positions", 2, name).shape
    context = len(look(mine, "decoder.positions", 2, name))
    frames = places * STRIDES[1]
    net = Builder(mine, {"features": ValueType("real", ("samples", frames, bands)), **TEXT})
    hidden = "features"
    for convolution, stride in zip(CONVOLUTIONS, STRIDES, strict=True):
        hidden = net.convolve(convolution, hidden, (TAPS,), (stride,), ((1, 1),))
        hidden = net.activate(f"{convolution}.activation", hidden, "gelu")
    hidden = net.add(Affine("encoder.embedding.sum", hidden, None, "encoder.positions"))
    block = _block(config.encoder_heads, channels, config.function)
    memory = encode(net, hidden, block, config.encoder_layers)
    memory = net.norm("encoder.norm", memory, "layer", EPSILON)
    words = net.embed(EMBEDDING, "tokens", "decoder.embedding.rows")
    target = net.sum("decoder.embedding.sum", words, net.embed("decoder.positions", "positions"))
    block = _block(config.decoder_heads, channels, config.function)
    hidden = decode(net, target, memory, block, config.decoder_layers)
    net.head(net.norm("decoder.norm", net.choose(hidden), "layer", EPSILON))
    known = {"task": "transcribe", "family": "whisper", "context_length": context, "sound": SOUND}
    return net.finish(name, {**known, **metadata})


def from_huggingface(
    name: str, facts: Facts, tensors: Mapping[str, Array], metadata: Mapping[str, Any]
) -> Graph:
    """The graph of a WhisperForConditionalGeneration checkpoint.

    Raises:
        SourceError: where the configuration or a tensor is missing or malformed.
        UnsupportedError: where a tensor or the activation is not known.
    """
    mine = dict(tensors)
    words = take(mine, "model.decoder.embed_tokens.weight", 2, facts.where)
    drop_copy(mine, "proj_out.weight", words, facts.where)
    config = WhisperConfig(
        encoder_layers=facts.whole("encoder_layers", highest=MOST_LAYERS),
        decoder_layers=facts.whole("decoder_layers", highest=MOST_LAYERS),
        encoder_heads=facts.whole("encoder_attention_heads"),
        decoder_heads=facts.whole("decoder_attention_heads"),
        function=read_function(facts, "activation_function", "gelu"),
    )
    renamed = {EMBEDDING: words, **rename(mine, OUTER, LAYERS, facts.where)}
    return build(name, config, renamed, {**generation(facts), **metadata})


def _block(heads: int, channels: int, function: Function) -> Block:
    return Block(heads, 1 / math.sqrt(max(1, channels // heads)), "layer", EPSILON, function)
