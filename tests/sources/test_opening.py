from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from sangbo.errors import SourceError
from sangbo.graph import load, save
from sangbo.sources import entries, open_source
from sangbo.sources.source import sha256_of
from sources.made_gguf import random_tensors, write_gguf

NETWORKS = Path(__file__).parents[1] / "oracles" / "networks"
LLAMA = "llama-6-heads-2-key-tied"


def test_file_and_folder_give_graph_and_provenance(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "Net.GGUF", random_tensors())
    seen: list[tuple[str, float]] = []
    source = open_source(str(path), lambda doing, part: seen.append((doing, part)))
    assert source.graph.name == "Net"
    assert source.graph.metadata == {
        "task": "generate", "family": "llama", "context_length": 16, "source": "Net.GGUF",
        "licence": "unknown",
    }  # fmt: skip
    assert source.origin["sha256"] == {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
    assert source.tokenizer is not None
    assert seen
    assert all(0 <= part <= 1 for _, part in seen)
    source = open_source(NETWORKS / LLAMA)
    assert source.graph.name == LLAMA
    assert set(source.origin["sha256"]) == {"config.json", "model.safetensors"}
    assert source.grids == {}


def test_graph_takes_tokens_positions_and_chosen_rows() -> None:
    graph = open_source(NETWORKS / LLAMA).graph
    assert {n: str(t) for n, t in graph.inputs.items()} == {
        "tokens": "index[rows]", "positions": "index[rows]", "selected": "index[selected]"
    }  # fmt: skip
    assert str(graph.values["logits"]) == "real[selected, 61]"
    assert [type(o).__name__ for o in graph.operations[-3:]] == ["Select", "Norm", "Linear"]


def test_graph_saves_and_loads(tmp_path: Path) -> None:
    graph = open_source(NETWORKS / LLAMA).graph
    save(graph, tmp_path)
    again = load(tmp_path)
    assert (again.operations, again.metadata) == (graph.operations, graph.metadata)
    for name, tensor in graph.tensors.items():
        np.testing.assert_array_equal(again.tensors[name], tensor)


@pytest.mark.parametrize("spec", ["", "smolm2-135m", "none.gguf", "/nowhere/net"])
def test_what_is_accepted_is_listed(spec: str) -> None:
    with pytest.raises(SourceError, match=r"catalogue name, a folder .*hf:org/name") as caught:
        open_source(spec)
    assert ("smollm2-135m-instruct" in str(caught.value)) == (spec == "smolm2-135m")


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "net.bin").touch()
    for path in (tmp_path / "net.bin", tmp_path):
        with pytest.raises(SourceError, match="expected"):
            open_source(path)


WEIGHTS_OF_PYTORCH = (".pth", ".pt", ".tar")


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected to read"):
        sha256_of(tmp_path / "none")


@pytest.mark.network
@pytest.mark.parametrize("name", entries())
def test_catalogue_entry_is_what_it_says(name: str) -> None:
    entry = entries()[name]
    if any(Path(file.name).suffix in WEIGHTS_OF_PYTORCH for file in entry.files):
        pytest.importorskip("torch", reason="PyTorch, which reads this entry, is not installed")
    source = open_source(name)
    assert source.graph.name == name
    assert source.graph.parameter_count == entry.parameters
    assert source.graph.metadata["licence"] == entry.licence
    assert source.graph.metadata["family"] == entry.family
    assert source.graph.metadata["task"] == entry.task
    expected = {file.name: file.sha256 for file in entry.files}
    assert source.origin["sha256"].items() <= expected.items()
    json.dumps(source.graph.metadata)
