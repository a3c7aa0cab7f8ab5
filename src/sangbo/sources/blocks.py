"""The two halves of a transformer's layer, which families put together in their own ways.

Each half reads the network's hidden value and adds to it (Vaswani et al. 2017, arXiv 1706.03762),
normalised either before the half or after the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from sangbo.errors import UnsupportedError
from sangbo.graph import Attention, Multiply, Rotary
from sangbo.graph.operations.rows import Function
from sangbo.sources.builder import Builder
from sangbo.sources.facts import Facts

FUNCTIONS: Mapping[str, Function] = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}
"""Activations by the names that transformers gives them."""

COSINE, SINE = "rotary.cosine", "rotary.sine"


@dataclass(frozen=True, slots=True)
class Block:
    """What the layers of a transformer have in common.

    Attributes:
        heads: query heads.
        scale: what query·key is multiplied by.
        form: form of the norms.
        epsilon: ε of the norms.
        function: activation of the feed-forward half.
        key_heads: key and value heads; as many as query heads where None.
        norm_first: whether each half's input is normalised, or its sum.
        gated: whether the activation's result multiplies a second product.
        rotary: whether queries and keys are turned by their positions, with the tables `COSINE` and
            `SINE`.
    """

    heads: int
    scale: float
    form: Literal["rms", "layer"]
    epsilon: float
    function: Function
    key_heads: int | None = None
    norm_first: bool = True
    gated: bool = False
    rotary: bool = False


def attend(
    net: Builder,
    at: str,
    hidden: str,
    block: Block,
    *,
    memory: str | None = None,
    causal: bool = True,
    distances: str | None = None,
) -> str:
    """The half of a layer that attends, added to ``hidden``.

    Args:
        net: takes the operations.
        at: name of the half, as ``layers.3.attention``.
        hidden: value to read and to add to.
        block: how it is made.
        memory: value that keys and values are made from; ``hidden`` itself where None.
        causal: whether rows see only the rows up to themselves.
        distances: tensor of the bias by distance, if any.
    """

    def mix(source: str) -> str:
        key_heads = block.key_heads or block.heads
        query = net.linear(f"{at}.query", source)
        key, value = (net.linear(f"{at}.{part}", memory or source) for part in ("key", "value"))
        if block.rotary:
            query, key = (
                net.add(Rotary(f"{name}.rotary", name, "positions", COSINE, SINE, heads))
                for name, heads in ((query, block.heads), (key, key_heads))
            )
        mixed = Attention(
            f"{at}.mix", query, key, value, block.heads, key_heads, block.scale, causal,
            distances=distances,
        )  # fmt: skip
        return net.linear(f"{at}.output", net.add(mixed))

    return residual(net, at, hidden, block, mix)


def feed_forward(net: Builder, at: str, hidden: str, block: Block) -> str:
    """The half of a layer that works on each row alone, added to ``hidden``; see `attend`."""
    return residual(net, at, hidden, block, lambda source: perceptron(net, at, source, block))


def perceptron(net: Builder, at: str, source: str, block: Block, gate: str | None = None) -> str:
    """down(f(up·x)), or down(f(gate·x) ∘ (up·x)) where it is gated.

    Args:
        net: takes the operations.
        at: name of the half.
        source: value to read.
        block: how it is made.
        gate: value whose rows of 0 are left out (the router of a mixture of experts).
    """
    if not block.gated:
        up = net.linear(f"{at}.up", source, gate)
        return net.linear(f"{at}.down", net.activate(f"{at}.activation", up, block.function), gate)
    inner = net.linear(f"{at}.gate", source, gate)
    up = net.linear(f"{at}.up", source, gate)
    inner = net.activate(f"{at}.activation", inner, block.function)
    return net.linear(f"{at}.down", net.add(Multiply(f"{at}.product", inner, up)), gate)


def residual(net: Builder, at: str, hidden: str, block: Block, inner: Callable[[str], str]) -> str:
    """``hidden`` plus what ``inner`` makes of it, with the norm where ``block`` has it."""

    def norm(source: str) -> str:
        return net.norm(f"{at}.norm", source, block.form, block.epsilon)

    total = net.sum(f"{at}.sum", hidden, inner(norm(hidden) if block.norm_first else hidden))
    return total if block.norm_first else norm(total)


def encode(
    net: Builder, hidden: str, block: Block, layers: int, distances: str | None = None
) -> str:
    """The layers of an encoder, ``encoder.layers.N``, in which every row sees all."""
    for layer in range(layers):
        at = f"encoder.layers.{layer}"
        hidden = attend(net, f"{at}.attention", hidden, block, causal=False, distances=distances)
        hidden = feed_forward(net, f"{at}.mlp", hidden, block)
    return hidden


def decode(
    net: Builder, hidden: str, memory: str, block: Block, layers: int, distances: str | None = None
) -> str:
    """The layers of a decoder, ``decoder.layers.N``, which attend to ``memory`` too."""
    for layer in range(layers):
        at = f"decoder.layers.{layer}"
        hidden = attend(net, f"{at}.attention", hidden, block, distances=distances)
        hidden = attend(net, f"{at}.cross", hidden, block, memory=memory, causal=False)
        hidden = feed_forward(net, f"{at}.mlp", hidden, block)
    return hidden


def read_function(facts: Facts, key: str, default: str | None = None) -> Function:
    """The activation that a configuration names; `UnsupportedError` where it is not known."""
    name = facts.text(key, default)
    if name not in FUNCTIONS:
        raise UnsupportedError(
            f"expected {key} in {facts.where} to be one of {', '.join(FUNCTIONS)}, found {name!r}"
        )
    return FUNCTIONS[name]
