from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import networks
from sangbo.errors import GraphError
from sangbo.graph import GRAPH_FILE, WEIGHTS_FILE, Graph, load, save


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(networks.converted(networks.llama()), tmp_path)
    return tmp_path


@pytest.mark.parametrize("bits", [4, 8, 32])
@pytest.mark.parametrize("family", [networks.llama, networks.gpt2])
def test_a_saved_graph_loads_as_it_was(bits: int, family: Any, tmp_path: Path) -> None:
    graph: Graph = family() if bits == 32 else networks.converted(family(), bits)
    save(graph, tmp_path)
    again = load(tmp_path)
    assert again.operations == graph.operations
    assert (again.name, again.inputs, again.outputs) == (graph.name, graph.inputs, graph.outputs)
    assert again.metadata == graph.metadata
    assert again.tensors.keys() == graph.tensors.keys()
    for name, tensor in graph.tensors.items():
        assert again.tensors[name].dtype == tensor.dtype
        assert again.tensors[name].shape == tensor.shape
        assert np.array_equal(again.tensors[name], tensor)


def test_tensors_stay_on_disk(folder: Path) -> None:
    tensor = load(folder).tensors["embedding"]
    assert not tensor.flags.writeable
    assert not tensor.flags.owndata


def _change(folder: Path, change: Any) -> None:
    document = json.loads((folder / GRAPH_FILE).read_text())
    change(document)
    (folder / GRAPH_FILE).write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("operations"), "operations"),
        (lambda d: d.update(format=99), "format 1"),
        (lambda d: d["operations"][0].update(type="Exec"), "Exec"),
        (lambda d: d["operations"][0].update(evil=1), "evil"),
        (lambda d: d["operations"][0].update(output=5), "output"),
        (lambda d: d["operations"][0].pop("input"), "malformed"),
        (lambda d: d["operations"][1].update(epsilon="1"), "epsilon"),
        (lambda d: d["operations"][1].update(form="max"), "form"),
        (lambda d: d["operations"].append("x"), "malformed"),
        (lambda d: d.update(inputs=[]), "malformed"),
        (lambda d: d["inputs"]["tokens"].update(shape=[-1]), "positive sizes"),
        (lambda d: d["inputs"]["tokens"].update(kind="levels"), "real or index"),
        (lambda d: d.update(outputs=["nothing"]), "nothing"),
        (lambda d: d.update(name=7), "name"),
        (lambda d: d["operations"][0]["weight"].update(values="absent"), "absent"),
        (lambda d: d["operations"].reverse(), "before its use"),
    ],
)
def test_a_changed_document_is_refused(change: Any, message: str, folder: Path) -> None:
    _change(folder, change)
    with pytest.raises(GraphError, match=message):
        load(folder)


@pytest.mark.parametrize("name", [GRAPH_FILE, WEIGHTS_FILE])
def test_missing_and_empty_files_are_named(name: str, folder: Path) -> None:
    (folder / name).write_bytes(b"")
    with pytest.raises(GraphError, match=name):
        load(folder)
    (folder / name).unlink()
    with pytest.raises(GraphError, match=f"{name}, found no such file"):
        load(folder)


def test_truncated_weights_are_refused(folder: Path) -> None:
    path = folder / WEIGHTS_FILE
    whole = path.read_bytes()
    for length in (4, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(GraphError, match=WEIGHTS_FILE):
            load(folder)


def test_deeply_nested_json_is_refused(folder: Path) -> None:
    (folder / GRAPH_FILE).write_text("[" * 200_000)
    with pytest.raises(GraphError, match="JSON"):
        load(folder)


@given(data=st.binary(max_size=300))
def test_random_bytes_never_load(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / GRAPH_FILE).write_bytes(data)
    (folder / WEIGHTS_FILE).write_bytes(data)
    with pytest.raises(GraphError):
        load(folder)
