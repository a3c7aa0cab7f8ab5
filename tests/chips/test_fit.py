"""Cores and chips that a network takes, and the limits that a layer breaks, by hand."""

from __future__ import annotations

import numpy as np
import pytest

import networks
from sangbo import chips
from sangbo.chips.fit import Layer, fit, layers_of, layers_of_nests
from sangbo.chips.nests import attention, convolution
from sangbo.graph import Attention, Linear

LOIHI = chips.load("loihi-1")


def test_a_layer_takes_cores_for_its_neurons_or_its_synapses() -> None:
    # 1,024 neurons and 128 KiB of synapses in a core; 8-bit weights.
    few = fit([Layer("few", 1025, 10, 8)], LOIHI)
    assert (few.cores, few.chips, few.breaches) == ({"few": 2}, 1, ())
    heavy = fit([Layer("heavy", 1024, 1024, 8)], LOIHI)  # 128 neurons fill a core
    assert heavy.cores == {"heavy": 8}
    many = fit([Layer(f"l{i}", 1024, 1024, 8) for i in range(17)], LOIHI)
    assert (sum(many.cores.values()), many.chips, many.reason) == (136, 2, "cores")


def test_limits_are_named_with_layer_needed_and_allowed() -> None:
    found = fit(
        [Layer("wide", 10, 2049, 8), Layer("deep", 10, 8, 10), Layer("mix", 8, 8, 0)], LOIHI
    )
    assert [str(b) for b in found.breaches] == [
        "wide needs 4098 input axons of a core, 4096 are allowed",
        "deep needs 10 bits of a weight, 9 are allowed",
        "mix needs units for products of two activations, of which there are none",
    ]
    assert found.to_dict()["breaches"][0] == {
        "layer": "wide", "limit": "input axons of a core", "needed": 4098, "allowed": 4096,
    }  # fmt: skip
    assert "3 limits broken" in str(found)
    huge = fit([Layer("huge", 1, 200_000, 8)], LOIHI)
    assert any("synaptic memory for one neuron" in b.limit for b in huge.breaches)


def test_chips_that_state_totals_alone() -> None:
    found = fit([Layer("l", 1000, 250_000, 8)], chips.load("loihi-2"))
    assert (found.cores, found.chips, found.reason) == ({}, 3, "synapses")
    nothing = fit([Layer("l", 1000, 1000, 8)], chips.load("horowitz-45nm"))
    assert nothing.chips is None
    assert str(nothing) == "horowitz-45nm: states no limits of size"


def test_layers_of_graphs_and_of_plain_shapes() -> None:
    graph = networks.llama()
    synaptic = [o for o in graph.operations if isinstance(o, (Linear, Attention))]
    found = layers_of(graph)
    assert [layer.name for layer in found] == [o.output for o in synaptic]
    linear = next(o for o in synaptic if isinstance(o, Linear))
    layer = next(x for x in found if x.name == linear.output)
    assert (layer.neurons, layer.fan_in) == graph.tensors[linear.weight.values].shape
    shapes = layers_of_nests([convolution("c", 16, 8, 5, 3), *attention("a", 4, 2, 8, 10)])
    assert shapes[0] == Layer("c", 16 * 25, 8 * 9, 8)
    assert shapes[1] == Layer("a.scores", 4 * 10, 8, 0)


@pytest.mark.parametrize("seed", range(5))
def test_more_never_takes_fewer_cores(seed: int) -> None:
    random = np.random.default_rng(seed)
    neurons, fan_in = (int(n) for n in random.integers(1, 3000, 2))
    before = fit([Layer("l", neurons, fan_in, 8)], LOIHI).cores["l"]
    for more in (Layer("l", neurons + 50, fan_in, 8), Layer("l", neurons, fan_in + 50, 8)):
        assert fit([more], LOIHI).cores["l"] >= before
    # Every core holds what it was given.
    each = -(-neurons // before)
    assert each <= 1024
    assert each * fan_in <= 131072
