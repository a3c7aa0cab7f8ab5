from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import networks
from sangbo.agreement import END_TO_END, agree
from sangbo.engines import Native, Reference
from sangbo.engines.forced import UNIT
from sangbo.graph import Graph, Linear


@pytest.mark.parametrize("family", [networks.llama, networks.gpt2])
@pytest.mark.parametrize("bits", [4, 8])
def test_native_and_reference_agree_everywhere(family: Any, bits: int) -> None:
    graph = networks.converted(family(), bits)
    passages = [networks.tokens(30), networks.tokens(9, seed=1)]
    seen = agree(graph, Native, passages, 16)
    assert (seen.different, seen.first, seen.tokens) == (0, None, 37)
    outputs = sum(
        graph.values[o.output].channels for o in graph.operations if isinstance(o, Linear)
    )
    assert seen.accumulators == 37 * outputs
    assert seen.compared > seen.accumulators + 37 * networks.VOCABULARY
    again = agree(graph, Native, passages, 16)
    assert again.accumulators_sha256 == seen.accumulators_sha256


class Wrong(Reference):
    """A reference engine whose graph is not quite the one it was given."""

    def __init__(self, graph: Graph, name: str, place: int = 0) -> None:
        tensors = dict(graph.tensors)
        values = tensors[name].copy()
        values.reshape(-1)[place] += values.dtype.type(1)
        tensors[name] = values
        super().__init__(replace(graph, tensors=tensors))


@pytest.mark.parametrize(
    ("tensor", "first"),
    [
        ("layers.0.mlp.up", "layers.0.mlp.up"),
        ("layers.1.attention.norm", "layers.1.attention.norm"),
        ("layers.1.attention.mix.probability.inverse", "layers.1.attention.mix"),
        ("layers.0.mlp.product.inverse", "layers.0.mlp.product.levels"),
    ],
)
def test_the_first_operation_that_differs_is_named(tensor: str, first: str) -> None:
    graph = networks.converted(networks.llama())
    seen = agree(graph, lambda g: Wrong(g, tensor), [networks.tokens(20)], 64)
    assert seen.first == first
    assert 0 < seen.different < seen.compared


def test_what_only_whole_texts_show_is_named_so() -> None:
    """Scales are left out of accumulators, so that only the logits show this one."""
    graph = networks.converted(networks.llama())
    scale = next(
        str(o.weight.scale) for o in graph.operations if isinstance(o, Linear) and "up" in o.output
    )

    def make(given: Graph) -> Reference:
        return Reference(given) if UNIT in given.tensors else Wrong(given, scale)

    assert agree(graph, make, [networks.tokens(20)], 64).first == END_TO_END
