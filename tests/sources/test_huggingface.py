from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError
from safetensors.numpy import load_file, save_file

from sangbo.errors import SangboError, SourceError, UnsupportedError
from sangbo.sources import huggingface, open_source
from sangbo.sources.huggingface import PATTERNS, read_folder

NETWORKS = Path(__file__).parents[1] / "oracles" / "networks"
LLAMA, GPT2, SHARDED, QWEN2 = (
    "llama-6-heads-2-key-tied", "gpt2-3-heads-tied", "llama-4-heads-untied-sharded",
    "qwen2-biases-bfloat16",
)  # fmt: skip


def copy(name: str, target: Path, **changes: Any) -> Path:
    """A recorded network with changes in its configuration; None removes a key."""
    shutil.copytree(NETWORKS / name, target, dirs_exist_ok=True)
    config = json.loads((target / "config.json").read_text()) | changes
    config = {key: value for key, value in config.items() if value is not None}
    (target / "config.json").write_text(json.dumps(config))
    return target


def change_tensors(folder: Path, **changes: Any) -> Path:
    file = folder / "model.safetensors"
    tensors = {k: v for k, v in (load_file(file) | changes).items() if v is not None}
    save_file(tensors, file)
    return folder


@pytest.mark.parametrize(
    ("name", "changes", "error", "message"),
    [
        (LLAMA, {"architectures": ["RobertaModel"]}, UnsupportedError, "RobertaModel"),
        (LLAMA, {"architectures": None}, SourceError, "architectures"),
        (LLAMA, {"hidden_act": "gelu"}, UnsupportedError, "'gelu'"),
        (LLAMA, {"rope_scaling": {"rope_type": "yarn"}}, UnsupportedError, "'yarn'"),
        (LLAMA, {"rope_scaling": {"type": "linear"}}, UnsupportedError, "'linear'"),
        (LLAMA, {"rope_parameters": {"rope_type": "llama3"}}, UnsupportedError, "'llama3'"),
        (LLAMA, {"partial_rotary_factor": 0.5}, UnsupportedError, "0.5"),
        (LLAMA, {"sliding_window": 16}, UnsupportedError, "window"),
        (LLAMA, {"layer_types": ["sliding_attention"] * 2}, UnsupportedError, "sliding_attention"),
        (LLAMA, {"quantization_config": {"quant_method": "gptq"}}, UnsupportedError, "gptq"),
        (LLAMA, {"num_hidden_layers": 10**9}, SourceError, "num_hidden_layers"),
        (LLAMA, {"num_hidden_layers": 3}, SourceError, r"layers\.2\.attention"),
        (LLAMA, {"num_hidden_layers": 1}, UnsupportedError, r"layers\.1\.attention"),
        (LLAMA, {"num_attention_heads": 5}, SourceError, "5 heads"),
        (LLAMA, {"num_attention_heads": "6"}, SourceError, "'6'"),
        (LLAMA, {"head_dim": 3}, SourceError, "even size"),
        (LLAMA, {"rms_norm_eps": float("nan")}, SourceError, "rms_norm_eps"),
        (LLAMA, {"max_position_embeddings": 2**31 - 1}, SourceError, "context"),
        (LLAMA, {"tie_word_embeddings": False}, SourceError, "lm_head"),
        (GPT2, {"activation_function": "relu"}, UnsupportedError, "relu"),
        (GPT2, {"add_cross_attention": True}, UnsupportedError, "cross attention"),
        (GPT2, {"n_head": 5}, SourceError, "multiple of 5"),
        (GPT2, {"n_embd": 27}, SourceError, "27 channels"),
        (GPT2, {"tie_word_embeddings": False}, SourceError, "lm_head"),
    ],
)
def test_odd_configuration_is_refused(
    tmp_path: Path, name: str, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_folder(copy(name, tmp_path, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"sliding_window": 16, "use_sliding_window": False},
        {"sliding_window": 16, "layer_types": ["full_attention"] * 2},
        {"rope_scaling": {"rope_type": "default"}},
    ],
)
def test_what_is_not_in_force_is_taken(tmp_path: Path, changes: dict[str, Any]) -> None:
    expected = read_folder(NETWORKS / LLAMA).graph
    assert read_folder(copy(LLAMA, tmp_path, **changes)).graph.operations == expected.operations


def test_theta_is_read_from_either_place(tmp_path: Path) -> None:
    tables = []
    places: tuple[dict[str, Any], ...] = (
        {"rope_parameters": {"rope_theta": 700.0, "rope_type": "default"}, "rope_theta": None},
        {"rope_parameters": None, "rope_theta": 700},
        {"rope_parameters": None, "rope_theta": None},
    )
    for index, changes in enumerate(places):
        graph = read_folder(copy(LLAMA, tmp_path / str(index), **changes)).graph
        tables.append(graph.tensors["rotary.sine"])
    position, pair = 9, 1
    assert tables[0][position, pair] == np.float32(np.sin(position * 700 ** (-2 * pair / 4)))
    np.testing.assert_array_equal(tables[0], tables[1])
    assert not np.array_equal(tables[0], tables[2])


def test_untied_and_tied_heads(tmp_path: Path) -> None:
    tied = read_folder(NETWORKS / LLAMA).graph
    assert tied.operations[-1].weights()[0].values == "embedding"
    copied = load_file(NETWORKS / LLAMA / "model.safetensors")["model.embed_tokens.weight"]
    folder = change_tensors(copy(LLAMA, tmp_path), **{"lm_head.weight": copied * 2})
    assert "head" not in read_folder(folder).graph.tensors
    folder = copy(LLAMA, tmp_path, tie_word_embeddings=False)
    change_tensors(folder, **{"lm_head.weight": copied * 2})
    untied = read_folder(folder).graph
    np.testing.assert_array_equal(untied.tensors["head"], copied * 2)
    assert untied.parameter_count == tied.parameter_count + copied.size


def test_derived_tensors_of_old_checkpoints_are_dropped(tmp_path: Path) -> None:
    rates = {"model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(2, np.float32)}
    folder = change_tensors(copy(LLAMA, tmp_path / "llama"), **rates)
    assert (
        read_folder(folder).graph.tensors.keys()
        == read_folder(NETWORKS / LLAMA).graph.tensors.keys()
    )
    mask = {
        "transformer.h.0.attn.bias": np.ones((1, 1, 32, 32), np.uint8),
        "transformer.h.0.attn.masked_bias": np.array(-1e4, np.float32),
    }
    folder = change_tensors(copy(GPT2, tmp_path / "gpt2"), **mask)
    assert (
        read_folder(folder).graph.tensors.keys()
        == read_folder(NETWORKS / GPT2).graph.tensors.keys()
    )


def test_gpt2_names_without_prefix(tmp_path: Path) -> None:
    folder = copy(GPT2, tmp_path)
    file = folder / "model.safetensors"
    save_file({k.removeprefix("transformer."): v for k, v in load_file(file).items()}, file)
    found, expected = read_folder(folder).graph, read_folder(NETWORKS / GPT2).graph
    assert found.operations == expected.operations
    for name, tensor in expected.tensors.items():
        np.testing.assert_array_equal(found.tensors[name], tensor)


def test_half_precision_is_widened(tmp_path: Path) -> None:
    folder = copy(LLAMA, tmp_path)
    file = folder / "model.safetensors"
    half = {k: v.astype(np.float16) for k, v in load_file(file).items()}
    save_file(half, file)
    embedding = read_folder(folder).graph.tensors["embedding"]
    np.testing.assert_array_equal(embedding, half["model.embed_tokens.weight"].astype(np.float32))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model.norm.weight": None}, SourceError, "'norm'"),
        ({"model.norm.weight": np.ones(23, np.float32)}, SourceError, "norm"),
        ({"model.norm.weight": np.ones(24, np.int8)}, UnsupportedError, "int8"),
        ({"model.norm.weight": np.full(24, np.nan, np.float32)}, SourceError, "finite"),
        ({"model.layers.0.experts.weight": np.ones(24, np.float32)}, UnsupportedError, "experts"),
        ({"model.layers.x.mlp.up_proj.weight": np.ones(24, np.float32)}, UnsupportedError, "x.mlp"),
        ({"model.layers.00.mlp.up_proj.weight": np.ones(1, np.float32)}, SourceError, "another"),
        ({"model.norm.scales": np.ones(24, np.float32)}, UnsupportedError, "scales"),
    ],
)  # fmt: skip
def test_odd_tensors_are_refused(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_folder(change_tensors(copy(LLAMA, tmp_path), **changes))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    folder = copy(LLAMA, tmp_path)
    weights, config = folder / "model.safetensors", folder / "config.json"
    whole = weights.read_bytes()
    for damaged in (b"", whole[:100], whole[:-1], b"\xff" * 64 + whole[64:]):
        weights.write_bytes(damaged)
        with pytest.raises(SourceError, match=r"model\.safetensors"):
            read_folder(folder)
    weights.unlink()
    with pytest.raises(SourceError, match="found neither"):
        read_folder(folder)
    for text in (b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000):
        config.write_bytes(text)
        with pytest.raises(SourceError, match=r"config\.json"):
            read_folder(folder)
    config.unlink()
    with pytest.raises(SourceError, match=r"config\.json"):
        read_folder(folder)


@pytest.mark.parametrize("name", ["../model.safetensors", "/model.safetensors", "x.bin", 3, ""])
def test_shards_stay_in_their_folder(tmp_path: Path, name: Any) -> None:
    folder = copy(SHARDED, tmp_path)
    index = folder / "model.safetensors.index.json"
    document = json.loads(index.read_text())
    document["weight_map"]["model.norm.weight"] = name
    index.write_text(json.dumps(document))
    with pytest.raises(SourceError, match="names of safetensors files"):
        read_folder(folder)


def test_index_and_shards_must_agree(tmp_path: Path) -> None:
    folder = copy(SHARDED, tmp_path)
    index = folder / "model.safetensors.index.json"
    whole = json.loads(index.read_text())
    for change in (
        {"model.norm.weight": "model-00001-of-00008.safetensors"},
        {"more": "model-00001-of-00008.safetensors"},
    ):
        index.write_text(json.dumps({"weight_map": whole["weight_map"] | change}))
        with pytest.raises(SourceError, match="expected"):
            read_folder(folder)
    index.write_text(json.dumps(whole))
    (folder / "model-00002-of-00008.safetensors").unlink()
    with pytest.raises(SourceError, match="00002"):
        read_folder(folder)


def test_repository_is_fetched_without_code(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def snapshot(repository: str, **options: Any) -> str:
        asked.update(options, repository=repository)
        return str(NETWORKS / LLAMA)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    source = open_source("hf:someone/small-net@v1.0")
    assert (asked["repository"], asked["revision"]) == ("someone/small-net", "v1.0")
    assert asked["allow_patterns"] == list(PATTERNS)
    assert asked["ignore_patterns"] == ["*/*"]
    assert not any(p.endswith((".py", ".bin", ".pth", "*")) for p in PATTERNS)
    assert source.graph.name == "someone/small-net@v1.0"
    assert source.origin["repository"] == "someone/small-net@v1.0"


@pytest.mark.parametrize(
    "error",
    [
        LocalEntryNotFoundError("no connection"),
        OSError("no route"),
        pytest.param("missing", id="missing"),
    ],
)
def test_failing_network_is_told(monkeypatch: pytest.MonkeyPatch, error: Any) -> None:
    def fail(repository: str, **options: Any) -> str:
        if error == "missing":
            raise RepositoryNotFoundError("no such repository", response=Mock())
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(SourceError, match="expected to fetch 'someone/net'"):
        open_source("hf:someone/net")


@pytest.mark.parametrize(
    "spec", ["hf:", "hf:net", "hf:a/b/c", "hf:../../etc", "hf:a/b@", "hf:a b/c"]
)
def test_malformed_repository_is_refused(spec: str) -> None:
    with pytest.raises(SangboError, match="hf:ORG/NAME"):
        open_source(spec)


def test_families_are_listed_in_the_message(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError) as caught:
        read_folder(copy(LLAMA, tmp_path, architectures=["A", "B"]))
    assert all(name in str(caught.value) for name in huggingface.FAMILIES)
