from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader
from gguf.quants import dequantize
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sangbo.errors import SangboError, SourceError, UnsupportedError
from sangbo.sources import Grid
from sangbo.sources.gguf import read_gguf, read_grid
from sangbo.sources.gguf_header import StoredTensor, read_header
from sangbo.sources.huggingface import read_folder
from sources.made_gguf import (
    HEADS,
    KEY_HEADS,
    METADATA,
    TOKENIZER,
    interleave,
    random_tensors,
    write_gguf,
)

NETWORKS = Path(__file__).parents[1] / "oracles" / "networks"
Q4_0, Q4_1, Q8_0 = (GGMLQuantizationType[n] for n in ("Q4_0", "Q4_1", "Q8_0"))
TYPES = [GGMLQuantizationType[n] for n in ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_1")]
HALVES = hnp.from_dtype(np.dtype("<f2"), allow_nan=False, allow_infinity=False)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("small") / "small.gguf", random_tensors(), Q4_1)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("tied", [True, False])
def test_tensors_are_what_the_library_reads(
    tmp_path: Path, kind: GGMLQuantizationType, tied: bool
) -> None:
    path = write_gguf(tmp_path / "net.gguf", random_tensors(tied=tied), kind)
    source = read_gguf(path)
    graph = source.graph
    held = {t.name: dequantize(t.data, t.tensor_type) for t in GGUFReader(path).tensors}
    np.testing.assert_array_equal(graph.tensors["embedding"], held["token_embd.weight"])
    np.testing.assert_array_equal(graph.tensors["layers.1.mlp.down"], held["blk.1.ffn_down.weight"])
    for part, short, heads in (("query", "q", HEADS), ("key", "k", KEY_HEADS)):
        found = interleave(np.asarray(graph.tensors[f"layers.0.attention.{part}"]), heads)
        np.testing.assert_array_equal(found, held[f"blk.0.attn_{short}.weight"])
    assert ("head" in graph.tensors) != tied
    assert graph.operations[-1].weights()[0].values == ("embedding" if tied else "head")
    assert (len(source.grids) == 7 * 2 + 2 - tied) == (kind in (Q4_0, Q4_1, Q8_0))
    for name, grid in source.grids.items():
        np.testing.assert_array_equal(grid.reals(), graph.tensors[name])


@pytest.mark.parametrize(
    ("name", "architecture"),
    [("llama-6-heads-2-key-tied", "llama"), ("llama-4-heads-untied-sharded", "llama"),
     ("qwen2-biases-bfloat16", "qwen2")],
)  # fmt: skip
def test_same_network_from_either_format(tmp_path: Path, name: str, architecture: str) -> None:
    expected = read_folder(NETWORKS / name).graph
    heads, key_heads = expected.operations[7].heads, expected.operations[7].key_heads  # type: ignore[attr-defined]
    renames = {
        "embedding": "token_embd", "norm": "output_norm", "head": "output",
        "attention.norm": "attn_norm", "attention.query": "attn_q", "attention.key": "attn_k",
        "attention.value": "attn_v", "attention.output": "attn_output", "mlp.norm": "ffn_norm",
        "mlp.gate": "ffn_gate", "mlp.up": "ffn_up", "mlp.down": "ffn_down",
    }  # fmt: skip
    tensors: dict[str, np.ndarray[Any, Any]] = {}
    for ours, tensor in expected.tensors.items():
        if ours.startswith("rotary."):
            continue
        stem = ours.removesuffix(".bias")
        _, number, rest = stem.split(".", 2) if stem.startswith("layers.") else ("", "", stem)
        theirs = f"blk.{number}.{renames[rest]}" if number else renames[rest]
        if architecture == "llama" and rest in ("attention.query", "attention.key"):
            tensor = interleave(tensor, heads if rest.endswith("query") else key_heads)
        tensors[f"{theirs}.{'weight' if stem == ours else 'bias'}"] = tensor
    theta = 500.0 if "sharded" in name else 10000.0
    metadata = dict(METADATA) | {
        "context_length": 32, "embedding_length": 24, "attention.head_count": heads,
        "attention.head_count_kv": key_heads, "rope.freq_base": theta,
        "attention.layer_norm_rms_epsilon": 1e-6,
    }  # fmt: skip
    path = write_gguf(tmp_path / "net.gguf", tensors, metadata=metadata, architecture=architecture)
    found = read_gguf(path).graph
    assert found.tensors.keys() == expected.tensors.keys()
    for tensor_name, tensor in expected.tensors.items():
        np.testing.assert_array_equal(found.tensors[tensor_name], tensor, tensor_name)
    for one, other in zip(found.operations, expected.operations, strict=True):
        assert one.inputs() == other.inputs()
        assert type(one) is type(other)


@given(data=st.data(), kind=st.sampled_from([Q4_0, Q4_1, Q8_0]), rows=st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_grid_is_exactly_what_the_library_dequantises(
    data: st.DataObject, kind: GGMLQuantizationType, rows: int
) -> None:
    head, body = {Q4_0: (1, 16), Q4_1: (2, 16), Q8_0: (1, 32)}[kind]
    count = rows * 2
    scales = data.draw(hnp.arrays("<f2", (count, head), elements=HALVES))
    values = data.draw(hnp.arrays(np.uint8, (count, body)))
    raw = np.concatenate([scales.view(np.uint8), values], axis=1).reshape(rows, -1)
    expected = dequantize(raw, kind)
    grid = read_grid(StoredTensor(kind, (rows, 64), raw))
    too_low = kind == Q8_0 and (values.view(np.int8) == -128).any()
    too_large = kind == Q4_0 and (np.abs(scales.astype(np.float64)) > 65504 / 8).any()
    assert (grid is None) == (too_low or too_large)
    if grid is not None:
        found = grid.reals()
        np.testing.assert_array_equal(found, expected)
        if kind != Q4_0:  # there a zero may differ in sign
            assert found.tobytes() == expected.tobytes()


def test_grid_keeps_even_inputs_in_the_low_half() -> None:
    values = np.arange(64, dtype=np.uint8) % 16
    packed = (values[0::2] | values[1::2] << 4)[None]
    grid = Grid(4, 32, packed, np.ones((1, 2), np.float16), np.zeros((1, 2), np.float16))
    np.testing.assert_array_equal(grid.reals()[0], values)


def test_header_reads_what_the_writer_wrote(small: Path) -> None:
    metadata = read_header(small).metadata
    for key, value in TOKENIZER.items():
        assert metadata[key] == value
    for key, value in METADATA.items():
        assert metadata[f"llama.{key}"] == pytest.approx(value)


@given(data=st.data())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_truncated_file_is_refused(small: Path, tmp_path: Path, data: st.DataObject) -> None:
    whole = small.read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 32))])
    with pytest.raises(SourceError):
        read_gguf(cut)


@given(data=st.data())
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged_header_never_fails_otherwise(
    small: Path, tmp_path: Path, data: st.DataObject
) -> None:
    damaged = bytearray(small.read_bytes())
    header = len(damaged) - sum(t.data.nbytes for t in read_header(small).tensors.values())
    for _ in range(data.draw(st.integers(1, 3))):
        size = data.draw(st.sampled_from([1, 4, 8]))
        at = data.draw(st.integers(0, header - size))
        damaged[at : at + size] = data.draw(st.binary(min_size=size, max_size=size))
    file = tmp_path / "damaged.gguf"
    file.write_bytes(damaged)
    try:
        source = read_gguf(file)
    except SangboError:
        return
    source.graph.check_finite()


@pytest.mark.parametrize(
    ("offset", "content", "message"),
    [
        (0, b"FUGG", "begin with GGUF"),
        (4, struct.pack("<I", 9), "version"),
        (8, struct.pack("<Q", 2**60), "tensors"),
        (16, struct.pack("<Q", 2**60), "metadata entries"),
        (24, struct.pack("<Q", 2**63), "bytes of text"),
    ],
)
def test_senseless_header_is_refused(
    small: Path, tmp_path: Path, offset: int, content: bytes, message: str
) -> None:
    raw = bytearray(small.read_bytes())
    raw[offset : offset + len(content)] = content
    file = tmp_path / "bad.gguf"
    file.write_bytes(raw)
    with pytest.raises(SourceError, match=message):
        read_gguf(file)


def test_tensor_beyond_the_file_is_refused(small: Path, tmp_path: Path) -> None:
    file = tmp_path / "short.gguf"
    file.write_bytes(small.read_bytes()[:-4096])
    with pytest.raises(SourceError, match="found a file of"):
        read_gguf(file)


def test_missing_and_empty_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.gguf").touch()
    for name in ("none.gguf", "empty.gguf"):
        with pytest.raises(SourceError, match=name):
            read_gguf(tmp_path / name)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, bad: float) -> None:
    tensors = random_tensors()
    tensors["blk.1.ffn_up.weight"][3, 5] = bad
    with pytest.raises(SourceError, match=r"layers\.1\.mlp\.up"):
        read_gguf(write_gguf(tmp_path / "net.gguf", tensors))


def test_wrong_shapes_are_refused(tmp_path: Path) -> None:
    tensors = random_tensors()
    tensors["blk.1.ffn_up.weight"] = tensors["blk.1.ffn_up.weight"][:-1]
    with pytest.raises(SourceError, match="one shape"):
        read_gguf(write_gguf(tmp_path / "net.gguf", tensors))
    tensors = random_tensors()
    tensors["blk.0.attn_q.weight"] = tensors["blk.0.attn_q.weight"][:-1]
    with pytest.raises(SourceError, match="4 heads of 16 rows, found 63"):
        read_gguf(write_gguf(tmp_path / "net.gguf", tensors))


def test_missing_and_unknown_tensors_are_named(tmp_path: Path) -> None:
    tensors = random_tensors()
    removed = tensors.pop("blk.1.ffn_up.weight")
    with pytest.raises(SourceError, match=r"named 'layers\.1\.mlp\.up'"):
        read_gguf(write_gguf(tmp_path / "net.gguf", tensors))
    tensors = {**random_tensors(), "blk.1.ffn_gate_exps.weight": removed}
    with pytest.raises(UnsupportedError, match="ffn_gate_exps"):
        read_gguf(write_gguf(tmp_path / "net.gguf", tensors))
    tensors = {**random_tensors(), "blk.2.ffn_up.weight": removed}
    with pytest.raises(UnsupportedError, match=r"layers\.2\.mlp\.up"):
        read_gguf(write_gguf(tmp_path / "net.gguf", tensors))


@pytest.mark.parametrize(
    ("key", "value", "error", "message"),
    [
        ("rope.scaling.type", "yarn", UnsupportedError, "yarn"),
        ("expert_count", 8, UnsupportedError, "experts"),
        ("attention.sliding_window", 8, UnsupportedError, "window"),
        ("rope.dimension_count", 8, UnsupportedError, "dimension_count"),
        ("block_count", 10**9, SourceError, "block_count"),
        ("context_length", 2**31 - 1, SourceError, "context"),
        ("attention.layer_norm_rms_epsilon", -1.0, SourceError, "epsilon"),
        ("attention.head_count", [4, 4], SourceError, "head_count"),
        ("attention.head_count_kv", 3, SourceError, "3 heads"),
        ("attention.key_length", 15, SourceError, "of 15 rows"),
    ],
)
def test_odd_metadata_is_refused(
    tmp_path: Path, key: str, value: Any, error: type[Exception], message: str
) -> None:
    path = write_gguf(tmp_path / "net.gguf", random_tensors(), metadata={**METADATA, key: value})
    with pytest.raises(error, match=message):
        read_gguf(path)


def test_other_architectures_are_named(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "net.gguf", random_tensors(), architecture="mamba")
    with pytest.raises(UnsupportedError, match="'mamba'"):
        read_gguf(path)


def test_more_tokens_than_rows_are_refused(tmp_path: Path) -> None:
    tensors = random_tensors()
    tensors["token_embd.weight"] = tensors["token_embd.weight"][:4]
    with pytest.raises(SourceError, match="at most 4 tokens"):
        read_gguf(write_gguf(tmp_path / "net.gguf", tensors))
