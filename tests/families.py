"""A small seeded network of each family, and readings of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sangbo.engines import Part, Reading
from sangbo.graph import (
    Activation,
    Add,
    Affine,
    Attention,
    Concatenate,
    Constant,
    Convolution,
    Embedding,
    Graph,
    Linear,
    Multiply,
    Norm,
    Operation,
    Pool,
    Recurrent,
    Reshape,
    Softmax,
    Take,
    Transpose,
    ValueType,
    Weight,
)

CLASSES, WORDS, WIDTH = 10, 17, 16
INDEX = ValueType("index", ("rows",))


@dataclass
class Maker:
    """Collects operations and random tensors; methods return the name of what they made."""

    seed: int = 0
    tensors: dict[str, Any] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def tensor(self, name: str, *shape: int, mean: float = 0.0, scale: float = 1.0) -> str:
        self.tensors[name] = (mean + scale * self.rng.normal(size=shape)).astype(np.float32)
        return name

    def weight(self, name: str, outputs: int, inputs: int) -> Weight:
        return Weight(self.tensor(name, outputs, inputs, scale=float(1.5 / np.sqrt(inputs))))

    def add(self, operation: Operation) -> str:
        self.operations.append(operation)
        return operation.output

    def linear(self, name: str, x: str, outputs: int, inputs: int, gate: str | None = None) -> str:
        weight = self.weight(f"{name}.weight", outputs, inputs)
        bias = self.tensor(f"{name}.bias", outputs, scale=0.1)
        return self.add(Linear(name, x, weight, bias, gate))

    def convolution(
        self, name: str, x: str, outputs: int, inputs: int, *, stride: int = 1, groups: int = 1,
        spread: int = 1,
    ) -> str:  # fmt: skip
        weight = self.weight(name, outputs, 9 * inputs // groups)
        bias = self.tensor(f"{name}.bias", outputs, scale=0.1)
        return self.add(
            Convolution(f"{name}.out", x, weight, (3, 3), (stride,) * 2, ((1, 1),) * 2, (1, 1),
                        (spread,) * 2, groups, bias)
        )  # fmt: skip

    def activation(self, name: str, x: str, function: Any) -> str:
        return self.add(Activation(name, x, function))

    def norm(self, name: str, x: str) -> str:
        parts = (
            self.tensor(f"{name}.weight", WIDTH, mean=1, scale=0.2),
            self.tensor(f"{name}.bias", WIDTH, scale=0.1),
        )
        return self.add(Norm(name, x, "layer", *parts))

    def attention(
        self, name: str, x: str, y: str, *, causal: bool = False, distances: bool = False
    ) -> str:
        q, k, v = (
            self.linear(f"{name}.{n}", z, WIDTH, WIDTH) for n, z in (("q", x), ("k", y), ("v", y))
        )
        table = self.tensor(f"{name}.distances", 2, 7) if distances else None
        mixed = self.add(
            Attention(f"{name}.mix", q, k, v, 2, 2, 0.3, causal, distances=table)
        )  # fmt: skip
        return self.linear(f"{name}.o", mixed, WIDTH, WIDTH)

    def words(self, name: str, tokens: str) -> str:
        return self.add(Embedding(name, tokens, self.weight(f"{name}.table", WORDS, WIDTH)))

    def graph(self, name: str, output: str, **inputs: ValueType) -> Graph:
        return Graph(name, inputs, tuple(self.operations), (output,), self.tensors)


def cnn() -> Graph:
    """Residual, depthwise and strided convolutions, pools and an output layer."""
    m = Maker()
    x = m.activation("a", m.convolution("first", "x", 8, 1), "relu")
    x = m.add(Pool("pool", x, "max", (2, 2), (2, 2), ((0, 0), (0, 0))))
    y = m.activation("b", m.convolution("deep", x, 8, 8, groups=8), "relu6")
    x = m.add(Add("sum", x, m.convolution("point", y, 8, 8)))
    weight, bias = m.tensor("fold.w", 8, mean=1, scale=0.1), m.tensor("fold.b", 8, scale=0.1)
    x = m.activation("c", m.add(Affine("fold", x, weight, bias)), "hardswish")
    x = m.activation("d", m.convolution("last", x, 12, 8, stride=2), "leaky_relu")
    m.operations[-1] = Activation("d", "last.out", "leaky_relu", 0.1)
    x = m.add(Pool("mean", x, "mean", (2, 2), (2, 2), ((0, 0), (0, 0))))
    flat = m.add(Reshape("flat", x, (12,)))
    return m.graph("cnn", m.linear("logits", flat, CLASSES, 12),
                   x=ValueType("real", ("samples", 8, 8, 1)))  # fmt: skip


def generator() -> Graph:
    """Transposed convolutions from a code to an image."""
    m = Maker(1)
    x = m.activation("a", m.linear("open", "z", 32, 6), "relu")
    x = m.add(Reshape("image", x, (2, 2, 8)))
    for i in range(2):
        x = m.activation(f"r{i}", m.convolution(f"up{i}", x, 8, 8, spread=2), "relu")
    return m.graph("generator", m.activation("picture", m.convolution("out", x, 1, 8), "tanh"),
                   z=ValueType("real", ("samples", 6)))  # fmt: skip


def vision_transformer() -> Graph:
    """Patches, a class token, whole sequences that attend within themselves."""
    m = Maker(2)
    weight = m.weight("patches", WIDTH, 16)
    x = m.add(Convolution("patched", "x", weight, (4, 4), (4, 4), ((0, 0),) * 2, (1, 1), (1, 1)))
    x = m.add(Reshape("rows", x, (4, WIDTH)))
    token = m.add(Constant("class", "x", m.tensor("token", 1, WIDTH)))
    x = m.add(Concatenate("joined", (token, x), 1))
    x = m.add(Affine("placed", x, None, m.tensor("places", 5, WIDTH, scale=0.3)))
    x = m.add(Add("one", x, m.attention("attention", m.norm("n1", x), "n1")))
    up = m.activation("act", m.linear("up", m.norm("n2", x), 24, WIDTH), "gelu")
    x = m.add(Add("two", x, m.linear("down", up, WIDTH, 24)))
    first = m.add(Reshape("head", m.add(Take("first", x, 1, (0,))), (WIDTH,)))
    return m.graph("vision transformer", m.linear("logits", first, CLASSES, WIDTH),
                   x=ValueType("real", ("samples", 8, 8, 1)))  # fmt: skip


def recurrent(cell: Any) -> Callable[[], Graph]:
    """A language model of cells; its sequences are continued."""

    def make() -> Graph:
        m = Maker(3)
        gates = {"lstm": 4, "gru": 3, "ssru": 2}[cell]
        x = m.linear("in", m.words("words", "tokens"), gates * WIDTH, WIDTH)
        weight = bias = None
        if cell != "ssru":
            weight = m.weight("cells.weight", gates * WIDTH, WIDTH)
            bias = m.tensor("cells.bias", gates * WIDTH, scale=0.1)
        x = m.add(Recurrent("cells", x, cell, weight, bias))
        return m.graph(cell, m.linear("logits", x, WORDS, WIDTH), tokens=INDEX)

    return make


def bidirectional() -> Graph:
    """Columns of an image, read forwards and backwards."""
    m = Maker(4)
    x = m.activation("a", m.convolution("first", "x", 4, 1), "relu")
    x = m.add(Transpose("turned", x, (2, 1, 3)))
    x = m.add(Reshape("columns", x, (6, 32)))
    sides = []
    for side in ("there", "back"):
        y = m.linear(f"{side}.in", x, 4 * 8, 32)
        weight = m.weight(f"{side}.weight", 4 * 8, 8)
        sides.append(m.add(Recurrent(side, y, "lstm", weight, reverse=side == "back")))
    x = m.add(Concatenate("both", tuple(sides), 2))
    return m.graph("bidirectional", m.linear("logits", x, CLASSES, 16),
                   x=ValueType("real", ("samples", 8, 6, 1)))  # fmt: skip


def encoder() -> Graph:
    """Rows that all see each other, with relative positions."""
    m = Maker(5)
    x = m.words("words", "tokens")
    y = m.attention("attention", m.norm("n1", x), "n1", distances=True)
    x = m.add(Add("one", x, y))
    up = m.activation("act", m.linear("up", m.norm("n2", x), 24, WIDTH), "quick_gelu")
    x = m.add(Add("two", x, m.linear("down", up, WIDTH, 24)))
    return m.graph("encoder", m.linear("logits", m.norm("n3", x), WORDS, WIDTH), tokens=INDEX)


def translator() -> Graph:
    """A source that all see, and targets that see it and what came before them."""
    m = Maker(6)
    source = m.words("words", "source")
    source = m.add(Add("s1", source, m.attention("encoder", m.norm("n1", source), "n1")))
    x = m.words("targets", "tokens")
    x = m.add(Add("t1", x, m.attention("decoder", m.norm("n2", x), "n2", causal=True)))
    cells = m.linear("cells.in", m.norm("n3", x), 2 * WIDTH, WIDTH)
    x = m.add(Add("t2", x, m.add(Recurrent("cells", cells, "ssru", initial="s1"))))
    x = m.add(Add("t3", x, m.attention("cross", m.norm("n4", x), m.norm("n5", "s1"))))
    return m.graph("translator", m.linear("logits", x, WORDS, WIDTH), tokens=INDEX,
                   source=ValueType("index", ("source",)))  # fmt: skip


def mixture() -> Graph:
    """Rows that go to two of four experts."""
    m = Maker(7)
    x = m.words("words", "tokens")
    y = m.norm("n1", x)
    router = m.add(Softmax("chances", m.linear("router", y, 4, WIDTH), 2))
    for i in range(4):
        gate = m.add(Take(f"gate{i}", router, 1, (i,)))
        up = m.activation(f"act{i}", m.linear(f"up{i}", y, 24, WIDTH, gate), "silu")
        down = m.linear(f"down{i}", up, WIDTH, 24, gate)
        x = m.add(Add(f"sum{i}", x, m.add(Multiply(f"part{i}", down, gate))))
    return m.graph("mixture", m.linear("logits", x, WORDS, WIDTH), tokens=INDEX)


FAMILIES: dict[str, Callable[[], Graph]] = {
    "cnn": cnn,
    "generator": generator,
    "vision transformer": vision_transformer,
    "lstm": recurrent("lstm"),
    "gru": recurrent("gru"),
    "ssru": recurrent("ssru"),
    "bidirectional": bidirectional,
    "encoder": encoder,
    "translator": translator,
    "mixture": mixture,
}


def readings(graph: Graph, count: int, seed: int = 0, rows: int = 12) -> list[Reading]:
    """Random inputs; each reading is one sequence, or some samples."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        sizes = {"rows": rows, "source": 7, "samples": 3}
        inputs = {}
        for name, kind in graph.inputs.items():
            shape = tuple(sizes[d] if isinstance(d, str) else d for d in kind.shape)
            inputs[name] = (
                rng.integers(0, WORDS, shape).astype(np.int32)
                if kind.kind == "index"
                else rng.normal(size=shape).astype(np.float32)
            )
        parts: tuple[Part, ...] = ()
        if "rows" in graph.axes:
            parts = (Part(rows, {"source": 7} if "source" in graph.axes else {}),)
        found.append(Reading(inputs, parts))
    return found
