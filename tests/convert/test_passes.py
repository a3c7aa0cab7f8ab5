"""Each pass of a conversion by itself: equalise, quantise, rewrite."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import families
import networks
import sangbo
from sangbo.convert.equalise import equalise, find_seams
from sangbo.convert.sites import find_sites
from sangbo.convert.weights import four_bit, per_channel, per_group, quantise
from sangbo.engines import Native, Reading, Reference, Segment
from sangbo.errors import ConversionError
from sangbo.graph import Convolution, Linear, Neuron
from sangbo.progress import silent
from sangbo.sources import Source

MATRICES = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.sampled_from([32, 64])),
    elements=st.floats(-100, 100, width=32),
)


@pytest.mark.parametrize("family", [networks.llama, networks.gpt2])
@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_equalising_keeps_every_bit_of_the_float_network(family: Any, strength: float) -> None:
    graph, ids = family(), networks.tokens(7)
    rng = np.random.default_rng(0)
    seams = find_seams(graph)
    largest = {
        s.value: rng.uniform(0, 30, graph.values[s.value].channels).astype(np.float32)
        for s in seams
    }
    balanced = equalise(graph, largest, strength)
    engines = Reference(graph), Reference(balanced)
    first, second = (
        e.run(networks.inputs(ids), [Segment(e.cache(7), 7)])["logits"] for e in engines
    )
    assert np.array_equal(first, second)
    changed = {n for n, t in graph.tensors.items() if not np.array_equal(t, balanced.tensors[n])}
    assert (
        changed
        == {n for s in seams for n in (*s.vectors, *s.rows, *s.columns, *s.multiplied)} & changed
    )
    assert len(changed) > 10


def test_seams_are_norms_gates_values_and_keys() -> None:
    values = [s.value for s in find_seams(networks.llama(layers=1))]
    at = "layers.0"
    assert values == [
        f"{at}.attention.norm", f"{at}.attention.value", f"{at}.attention.key.rotary",
        f"{at}.mlp.norm", f"{at}.mlp.product",
    ]  # fmt: skip
    untied = [s.value for s in find_seams(networks.llama(layers=1, tied=False))]
    assert untied == [*values, "norm"]


@given(MATRICES)
def test_eight_bits_are_within_half_a_step(weights: np.ndarray) -> None:
    grid = per_channel(weights)
    assert grid.values.min() >= -127
    error = np.abs(grid.values * grid.scale.astype(np.float64) - weights)
    assert (error <= grid.scale * (0.5 + 1e-4) + 1e-30).all()


@given(MATRICES)
def test_groups_of_inputs_are_channels_of_their_own(weights: np.ndarray) -> None:
    grid = per_group(weights, 32)
    alone = per_channel(weights.reshape(-1, 32))
    assert np.array_equal(grid.values.reshape(-1, 32), alone.values)
    assert np.array_equal(grid.scale.reshape(-1, 1), alone.scale)


def test_convolutions_of_pictures_get_a_scale_for_each_row_of_a_kernel() -> None:
    graph = families.cnn()
    grids = quantise(graph, None, {}, silent)
    groups = {o.output: grids[o.weight.values].group for o in graph.operations
              if isinstance(o, Convolution)}  # fmt: skip
    assert groups["first.out"] == 3
    assert groups["last.out"] == 72
    assert groups["deep.out"] == 9
    pictures = np.random.default_rng(0).normal(size=(3, 4, 8, 8, 1)).astype(np.float32)
    network = sangbo.convert(Source(graph), calibration=[Reading({"x": x}) for x in pictures])
    given = {"x": pictures[0]}
    ours, reference = Native(network.graph), Reference(network.graph)
    assert np.array_equal(ours.run(given, [])["logits"], reference.run(given, [])["logits"])


@given(MATRICES)
def test_four_bits_are_within_half_a_step(weights: np.ndarray) -> None:
    grid = four_bit(weights)
    assert grid.minimum is not None
    values = np.empty(weights.shape)
    values[:, 0::2], values[:, 1::2] = grid.values & 15, grid.values >> 4
    scale = np.repeat(grid.scale.astype(np.float64), 32, axis=1)
    reals = values * scale + np.repeat(grid.minimum.astype(np.float64), 32, axis=1)
    # float16 rounds the minimum by up to 2⁻¹¹ of its size, and the scale likewise over 15 steps.
    slack = 2.0**-10 * np.abs(weights).max() + 2.0**-10 * 15 * scale
    assert (np.abs(reals - weights) <= scale * 0.5 + slack + 1e-6).all()


def test_four_bits_refuse_what_does_not_fit() -> None:
    with pytest.raises(ConversionError, match=r"multiple of 32 inputs .* found 33"):
        four_bit(np.zeros((2, 33), np.float32))
    with pytest.raises(ConversionError, match="float16"):
        four_bit(np.full((1, 32), 1e5, np.float32))


def test_a_held_grid_is_kept_only_for_four_bits() -> None:
    graph = networks.llama(layers=1)
    held = {"layers.0.mlp.up": four_bit(graph.tensors["layers.0.mlp.up"])}
    four, eight = (quantise(graph, bits, held, silent) for bits in (4, 8))
    assert four["layers.0.mlp.up"] is held["layers.0.mlp.up"]
    assert eight["layers.0.mlp.up"].bits == 8
    assert four["layers.0.mlp.gate"].bits == 4
    assert four["embedding"].bits == 8


def test_sites_cover_every_product_with_its_fan_out() -> None:
    graph = networks.llama(layers=1, heads=4, key_heads=2, channels=32, hidden=64)
    found = {s.name: (s.role, s.fan_out, s.highest) for s in find_sites(graph, levels=100)}
    at = "layers.0"
    assert found == {
        f"{at}.attention.norm": ("sent", 32 + 16 + 16, 100),
        f"{at}.attention.query.rotary": ("query", 0, 100),
        f"{at}.attention.key.rotary": ("cached", 0, 2047),
        f"{at}.attention.value": ("cached", 0, 2047),
        f"{at}.attention.mix.probability": ("probability", 8, 100),
        f"{at}.attention.mix": ("sent", 32, 100),
        f"{at}.mlp.norm": ("sent", 128, 100),
        f"{at}.mlp.product": ("sent", 32, 100),
        "norm": ("sent", 61, 100),
    }


@pytest.mark.parametrize("family", [networks.llama, networks.gpt2])
def test_rewriting_keeps_all_else(family: Any) -> None:
    original = family()
    done = networks.converted(original)
    kept = [o for o in done.operations if not isinstance(o, Neuron)]
    assert [type(o) for o in kept] == [type(o) for o in original.operations]
    for before, after in zip(original.operations, kept, strict=True):
        if not isinstance(before, Linear) and not before.synaptic:
            assert before.output == after.output
    used = {n for o in done.operations for n in o.parameters()}
    used |= {n for o in done.operations for w in o.weights() for n in w.tensors()}
    assert set(done.tensors) == used
