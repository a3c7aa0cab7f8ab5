"""The native engine against the reference on the real network."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from prose import prose
from sangbo.agreement import Contender, agree
from sangbo.engines import Native, Reference
from sangbo.network import Network
from sangbo.tasks.language import Reader, generate, windows

pytestmark = [pytest.mark.oracle, pytest.mark.network, pytest.mark.timeout(1800)]

ROWS = 512
PROMPTS = (
    "Why is the sky blue?",
    "Write a short story about a lighthouse.",
    "Explain how a transistor works to a child.",
    "What are the main causes of inflation?",
    "Give me a recipe for bread.",
)


def test_no_accumulator_differs(network: Network) -> None:
    """Every operation, given the same inputs: over 10⁸ int32 sums of linear products."""
    ids = np.asarray(network.text_tokenizer().encode(prose())[: ROWS + 1], np.int32)
    agreement = agree(network.graph, Contender({"": Native}, ROWS), [*windows(ids, ROWS)])
    assert agreement.accumulators >= 10**8
    assert agreement.different == 0


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
# The libraries and the tokenizer, which are no part of the network.
WITHOUT = """
import sys, numpy.random, tokenizers, sangbo
kept = tokenizers.Tokenizer.from_file(sys.argv[1] + "/tokenizer.json")
print(int(open("/proc/self/statm").read().split()[1]) * 4096)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_is_little_more_than_the_weights(network: Network) -> None:
    def printed(*arguments: str) -> list[int]:
        command = [sys.executable, "-c", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        return [int(n) for n in done.stdout.split()]

    resident, weights = printed(MEMORY, str(network.folder))
    assert resident - printed(WITHOUT, str(network.folder))[0] <= 1.25 * weights
