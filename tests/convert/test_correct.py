from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import families
import networks
from sangbo.convert.correct import corrected
from sangbo.convert.provisional import provisional
from sangbo.engines import Reference
from sangbo.graph import Convolution, Graph
from sangbo.progress import silent


def coarse(graph: Graph) -> Graph:
    """A complementary form whose thresholds are large."""
    fine = provisional(graph, 0)
    tensors = dict(fine.tensors)
    for name in tensors:
        if name.endswith(".threshold"):
            tensors[name] = tensors[name] * np.float32(64)
        elif name.endswith(".inverse"):
            tensors[name] = tensors[name] / np.float32(64)
    return Graph(fine.name, fine.inputs, fine.operations, fine.outputs, tensors, fine.metadata)


def errors(original: Graph, converted: Graph, reading: Any) -> Any:
    """Mean error of each channel of the first convolution, whose inputs both share."""
    first = next(o for o in original.operations if isinstance(o, Convolution)).output
    before, after = (reading.run(Reference(g), keep=[first])[first] for g in (original, converted))
    return (before - after).reshape(-1, before.shape[-1]).mean(axis=0)


@pytest.mark.parametrize("name", ["cnn", "vision transformer", "bidirectional"])
def test_channels_have_no_error_in_the_mean(name: str) -> None:
    graph = families.FAMILIES[name]()
    reading = families.readings(graph, 1)[0]
    rough = coarse(graph)
    better = corrected(graph, rough, [reading], silent)
    assert np.abs(errors(graph, rough, reading)).max() > 1e-3
    assert np.abs(errors(graph, better, reading)).max() < 1e-5
    changed = [n for n in better.tensors if n not in rough.tensors]
    assert changed
    assert all(n.endswith(".corrected_bias") for n in changed)


def test_what_has_no_convolution_stays_as_it_is() -> None:
    graph = networks.converted(networks.llama())
    assert corrected(networks.llama(), graph, [], silent) is graph
