"""Compressed tensors beside a graph: the same network, and no broken file gets in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from networks import converted, letters, llama
from sangbo import compress
from sangbo.compress import COMPRESSED_FILE, Coded, Generated, Recipe
from sangbo.convert.pipeline import code_tensors
from sangbo.errors import GraphError, SangboError
from sangbo.ledger import Ledger
from sangbo.network import Network, load
from sangbo.progress import silent
from sangbo.waterfall.weights import stored_bytes


@pytest.fixture
def network() -> Network:
    graph = converted(llama(channels=96, hidden=256), 8)
    coded = code_tensors(graph, {}, silent)
    assert coded
    return Network(graph, letters(), Ledger(), compressed=coded)


def test_a_coded_network_is_the_same_network(network: Network, tmp_path: Path) -> None:
    network.save(tmp_path)
    again = load(tmp_path)
    assert again.graph.sha256() == network.graph.sha256()
    assert again.compressed.keys() == network.compressed.keys()
    plain = tmp_path / "plain"
    plain.mkdir()
    Network(network.graph, letters(), Ledger()).save(plain)
    size = {folder: sum(f.stat().st_size for f in folder.glob("*.safetensors"))
            for folder in (tmp_path, plain)}  # fmt: skip
    assert size[tmp_path] < size[plain]


def test_stored_bytes_count_codes_where_there_are_some(network: Network) -> None:
    graph = network.graph
    plain = stored_bytes(graph, {})
    held = stored_bytes(graph, network.compressed)
    assert plain.keys() == held.keys()
    assert all(held[name] <= plain[name] for name in plain)
    operation = graph.synaptic[0]
    names = [n for w in operation.weights() for n in w.tensors()]
    assert plain[operation.output] == sum(graph.tensors[n].nbytes for n in names)


def test_generated_tensors_are_written_and_read(tmp_path: Path) -> None:
    recipe = Recipe(13, 10, 7)
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 256, (4, sum(recipe.sizes(20))), np.uint8)
    coefficients = rng.integers(0, 256, (4, len(recipe.blocks(20))), np.uint8)
    places, values = np.array([7, 79], np.uint32), np.array([-127, 120], np.int8)
    one = Generated(recipe, (20, 4), bits, coefficients, places, values)
    compress.save({"a": one}, tmp_path)
    again = compress.load(tmp_path)["a"]
    assert isinstance(again, Generated)
    assert (again.recipe, again.shape, again.nbytes) == (recipe, one.shape, one.nbytes)
    assert np.array_equal(again.tensor(), one.tensor())


def test_nothing_compressed_makes_no_file(tmp_path: Path) -> None:
    compress.save({}, tmp_path)
    assert not (tmp_path / COMPRESSED_FILE).exists()
    assert compress.load(tmp_path) == {}


CODED = {"kind": "coded", "dtype": "int8", "shape": [50, 40]}
GENERATED = {"kind": "generated", "shape": [5, 3], "quarters": 12, "state_bits": 12, "block": 64}


@pytest.mark.parametrize(
    "about",
    [
        {"a": {**CODED, "shape": [50, 41]}},
        {"a": {**CODED, "shape": [-50, -40]}},
        {"a": {**CODED, "shape": [2.5, 4]}},
        {"a": {**CODED, "shape": 7}},
        {"a": {**CODED, "dtype": "object"}},
        {"a": {**CODED, "kind": "pickled"}},
        {"b": CODED},
        {"a": GENERATED},
        {"g": GENERATED},
        {"g": {**GENERATED, "shape": [5, 3, 1]}},
        {"g": {**GENERATED, "state_bits": 40}},
        {"g": {**GENERATED, "block": 0}},
        {"g": {**GENERATED, "quarters": True}},
        [],
        "a",
    ],
)
def test_hostile_files_are_refused(about: Any, tmp_path: Path) -> None:
    tensor = np.rint(np.random.default_rng(0).standard_normal((50, 40)) * 5).astype(np.int8)
    coded = Coded.of(tensor)
    assert coded is not None
    tensors: dict[str, Any] = {
        "a": coded.code,
        "g": np.zeros((3, 4), np.uint8),
        "g.coefficients": np.zeros((3, 1), np.uint8),
        "g.places": np.array([15], np.uint32),  # one more than the matrix has
        "g.values": np.zeros(1, np.int8),
    }
    metadata = {"format": "1", "tensors": json.dumps(about)}
    save_file(tensors, tmp_path / COMPRESSED_FILE, metadata)
    with pytest.raises(GraphError):
        compress.decode(compress.load(tmp_path), tmp_path / COMPRESSED_FILE)


@pytest.mark.parametrize(
    "metadata", [None, {"format": "2"}, {"format": "1"}, {"format": "1", "tensors": "["}]
)
def test_files_of_other_formats_are_refused(metadata: Any, tmp_path: Path) -> None:
    save_file({"a": np.zeros(3, np.uint8)}, tmp_path / COMPRESSED_FILE, metadata)
    with pytest.raises(GraphError):
        compress.load(tmp_path)


def test_a_cut_file_is_refused(network: Network, tmp_path: Path) -> None:
    network.save(tmp_path)
    path = tmp_path / COMPRESSED_FILE
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(SangboError):
        load(tmp_path)
