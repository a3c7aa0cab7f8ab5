"""Small complementary graphs of LLaMA and GPT-2 type with random weights, for engine tests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sangbo.graph import (
    Activation,
    Add,
    Attention,
    Embedding,
    Graph,
    Linear,
    Multiply,
    Neuron,
    Norm,
    Operation,
    Rotary,
    Select,
    ValueType,
    Weight,
)

VOCABULARY = 37
CONTEXT = 64


@dataclass
class Builder:
    """Collects operations and tensors; every method returns the name of what it made."""

    seed: int
    bits: int = 8
    group: int = 0
    """Inputs that share a scale; 0 for all of them."""
    minima: bool = False
    half: bool = True
    gain: float = 8.0
    """How many thresholds a typical value is."""
    highest: int = 2**20
    gains: bool = False
    """Whether neurons have one 1/θ per channel."""
    tensors: dict[str, NDArray[Any]] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def tensor(self, name: str, values: Any, dtype: Any = np.float32) -> str:
        self.tensors[name] = np.asarray(values, dtype)
        return name

    def normal(self, name: str, *shape: int, scale: float = 1.0, mean: float = 0.0) -> str:
        return self.tensor(name, mean + scale * self.random.standard_normal(shape))

    def weight(self, name: str, outputs: int, inputs: int, group: int | None = None) -> Weight:
        group = (self.group if group is None else group) or inputs
        dtype = np.float16 if self.half else np.float32
        grid = (outputs, inputs // group)
        shifted = self.bits == 4 or self.minima
        scale = self.random.uniform(0.5, 1.5, grid) / (8 if self.bits == 4 else 100)
        if self.bits == 4:
            values = self.random.integers(0, 256, (outputs, inputs // 2))
            self.tensor(f"{name}.values", values, np.uint8)
        else:
            values = self.random.integers(-127, 128, (outputs, inputs))
            self.tensor(f"{name}.values", values, np.int8)
        self.tensor(f"{name}.scale", scale / np.sqrt(inputs), dtype)
        if shifted:
            minimum = -8 * scale if self.bits == 4 else self.random.normal(0, 0.01, grid)
            self.tensor(f"{name}.minimum", minimum / np.sqrt(inputs), dtype)
        return Weight(f"{name}.values", self.bits, group, f"{name}.scale",
                      f"{name}.minimum" if shifted else None)  # fmt: skip

    def add(self, operation: Operation) -> str:
        self.operations.append(operation)
        return operation.output

    def linear(self, name: str, source: str, outputs: int, inputs: int, bias: bool) -> str:
        weight = self.weight(f"{name}.weight", outputs, inputs)
        shift = self.normal(f"{name}.bias", outputs, scale=0.1) if bias else None
        return self.add(Linear(name, source, weight, shift))

    def neuron(self, name: str, source: str, channels: int, highest: int | None = None) -> str:
        theta = np.float32(self.random.uniform(0.7, 1.3) / self.gain)
        spread = self.random.uniform(0.5, 2, channels) if self.gains else np.float32(1)
        self.tensor(f"{name}.threshold", theta)
        self.tensor(f"{name}.inverse", np.float32(1) / (theta * spread))
        top = self.highest if highest is None else highest
        return self.add(Neuron(name, source, f"{name}.threshold", f"{name}.inverse", -top, top))

    def graph(self, name: str, outputs: tuple[str, ...], **inputs: ValueType) -> Graph:
        return Graph(name, inputs, tuple(self.operations), outputs, self.tensors)


def language_model(
    builder: Builder,
    *,
    gpt2: bool = False,
    layers: int = 2,
    heads: int = 4,
    key_heads: int = 2,
    size: int = 8,
    hidden: int = 40,
    causal: bool = True,
    cached: int = 127,
    probability: int = 255,
    tied: bool = True,
) -> Graph:
    """A decoder: tokens, positions and the rows to choose in, logits out."""
    b = builder
    if gpt2:
        key_heads = heads
    width = heads * size
    table = b.weight("table", VOCABULARY, width)
    x = b.add(Embedding("x", "tokens", table))
    if gpt2:
        b.normal("places", CONTEXT, width)
        x = b.add(Add("x.placed", x, b.add(Embedding("p", "positions", Weight("places")))))
    else:
        angles = np.outer(np.arange(CONTEXT), 1 / 100 ** (np.arange(size // 2) / (size // 2)))
        b.tensor("cosine", np.cos(angles))
        b.tensor("sine", np.sin(angles))
    for i in range(layers):
        x = _block(b, f"l{i}", x, gpt2, heads, key_heads, size, hidden, causal, cached, probability)
    chosen = b.add(Select("chosen.x", x, "chosen"))
    final = b.neuron("final.levels", _norm(b, "final", chosen, width, gpt2), width)
    head = table if tied else b.weight("head.weight", VOCABULARY, width)
    logits = b.add(Linear("logits", final, head))
    return b.graph(
        "gpt2" if gpt2 else "llama",
        (logits,),
        tokens=ValueType("index", ("rows",)),
        positions=ValueType("index", ("rows",)),
        chosen=ValueType("index", ("chosen",)),
    )


def _norm(b: Builder, name: str, x: str, width: int, layer: bool) -> str:
    weight = b.normal(f"{name}.norm.weight", width, scale=0.2, mean=1)
    bias = b.normal(f"{name}.norm.bias", width, scale=0.1) if layer else None
    return b.add(Norm(f"{name}.norm", x, "layer" if layer else "rms", weight, bias))


def _block(
    b: Builder, n: str, x: str, gpt2: bool, heads: int, key_heads: int, size: int, hidden: int,
    causal: bool, cached: int, probability: int,
) -> str:  # fmt: skip
    width, kept = heads * size, key_heads * size
    a = b.neuron(f"{n}.a", _norm(b, f"{n}.first", x, width, gpt2), width)
    levels = []
    for part, channels, count in (("q", width, heads), ("k", kept, key_heads),
                                  ("v", kept, key_heads)):  # fmt: skip
        y = b.linear(f"{n}.{part}", a, channels, width, gpt2)
        if part != "v" and not gpt2:
            y = b.add(Rotary(f"{n}.{part}.r", y, "positions", "cosine", "sine", count))
        top = None if part == "q" else cached
        levels.append(b.neuron(f"{n}.{part}.n", y, channels, top))
    b.tensor(f"{n}.theta", np.float32(1 / probability))
    b.tensor(f"{n}.inverse", np.float32(probability))
    mixed = b.add(
        Attention(f"{n}.attention", levels[0], levels[1], levels[2], heads, key_heads,
                  float(1 / np.sqrt(size)), causal, f"{n}.theta", f"{n}.inverse", probability)
    )  # fmt: skip
    y = b.linear(f"{n}.o", b.neuron(f"{n}.o.n", mixed, width), width, width, gpt2)
    x = b.add(Add(f"{n}.x", x, y))
    m = b.neuron(f"{n}.m", _norm(b, f"{n}.second", x, width, gpt2), width)
    up = b.linear(f"{n}.up", m, hidden, width, gpt2)
    if gpt2:
        act = b.add(Activation(f"{n}.act", up, "gelu_tanh"))
    else:
        gate = b.linear(f"{n}.gate", m, hidden, width, gpt2)
        act = b.add(Multiply(f"{n}.act", b.add(Activation(f"{n}.silu", gate, "silu")), up))
    down = b.linear(f"{n}.down", b.neuron(f"{n}.down.n", act, hidden), width, hidden, gpt2)
    return b.add(Add(f"{n}.out", x, down))


def all_values(graph: Graph) -> Graph:
    """The same graph, returning everything that it computes."""
    return replace(graph, outputs=tuple(o.output for o in graph.operations))
