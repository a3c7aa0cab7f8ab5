"""The native engine against the reference on the real network."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from prose import prose
from sangbo.engines import Native, Reference, Segment
from sangbo.graph import Graph, Linear, Neuron, ValueType, Weight
from sangbo.network import Network
from sangbo.tasks.language import Reader, generate

pytestmark = [pytest.mark.oracle, pytest.mark.network, pytest.mark.timeout(1800)]

ROWS = 512
PROMPTS = (
    "Why is the sky blue?",
    "Write a short story about a lighthouse.",
    "Explain how a transistor works to a child.",
    "What are the main causes of inflation?",
    "Give me a recipe for bread.",
)


def accumulators(graph: Graph, operation: Linear) -> Graph:
    """One product of ``graph`` by itself: levels in as reals, int32 accumulators out as reals."""
    weight = operation.weight
    values = graph.tensors[weight.values]
    one = np.array(1, np.float32)
    tensors: dict[str, Any] = {
        "w": values, "scale": np.ones((len(values), 1), np.float32), "one": one,
    }  # fmt: skip
    levels = Neuron("levels", "x", "one", "one")
    product = Linear("sums", "levels", Weight("w", 8, values.shape[1], "scale"))
    inputs = {"x": ValueType("real", ("rows", values.shape[1]))}
    return Graph(operation.output, inputs, (levels, product), ("sums",), tensors)


def test_no_accumulator_differs(network: Network) -> None:
    """Every linear product, given the same levels: all int32 sums, over 10⁸ of them."""
    graph = network.graph
    products = [o for o in graph.operations if isinstance(o, Linear)]
    ids = np.asarray(network.text_tokenizer().encode(prose())[:ROWS], np.int32)
    rows = np.arange(ROWS, dtype=np.int32)
    inputs = {"tokens": ids, "positions": rows, "selected": rows}
    reference = Reference(graph)
    levels = reference.run(
        inputs, [Segment(reference.cache(ROWS), ROWS)], keep=[o.input for o in products]
    )
    compared = different = 0
    for operation in products:
        alone = accumulators(graph, operation)
        x = {"x": levels[operation.input].astype(np.float32)}
        expected, found = (e.run(x, [])["sums"] for e in (Reference(alone), Native(alone)))
        assert np.abs(expected).max() < 2**24  # so that float32 shows every unit of the sums
        compared += expected.size
        different += int((expected != found).sum())
    assert compared >= 10**8
    assert different == 0


def test_the_same_greedy_text_for_256_tokens(network: Network) -> None:
    reference = Reference(network.graph)
    for prompt in PROMPTS:
        ids = network.encode_prompt(prompt)
        text = list(generate(network.engine, ids, context=network.context, max_tokens=256))
        assert len(text) == 256
        logits = Reader(reference, 512).read([*ids, *text], every=True)
        assert logits[len(ids) - 1 : -1].argmax(axis=-1).tolist() == text
        native = Reader(network.engine, 512).read([*ids, *text], every=True)
        assert np.array_equal(logits.view(np.uint32), native.view(np.uint32))


MEMORY = """
import sys, sangbo
network = sangbo.load(sys.argv[1])
list(network.stream("Hello", max_tokens=2))
pages = int(open("/proc/self/statm").read().split()[1])
print(pages * 4096, network.graph.weight_bytes)
"""
EMPTY = "import sangbo; print(int(open('/proc/self/statm').read().split()[1]) * 4096)"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_is_little_more_than_the_weights(network: Network) -> None:
    def printed(*arguments: str) -> list[int]:
        command = [sys.executable, "-c", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        return [int(n) for n in done.stdout.split()]

    resident, weights = printed(MEMORY, str(network.folder))
    assert resident - printed(EMPTY)[0] <= 1.25 * weights
