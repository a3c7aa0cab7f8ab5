"""Networks in files of tensors: what is taken, and what is refused."""

from __future__ import annotations

import io
import struct
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from sangbo.errors import MissingExtraError, SangboError, SourceError, UnsupportedError
from sangbo.sources import open_source, tensor_files
from sangbo.sources.dcgan import from_tensors as read_generator
from sangbo.sources.efficientnet import same

Arrays = dict[str, Any]


def speller(seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {"enc_emb": (29, 6), "dec_emb": (74, 6)}
    shapes |= {"fc_w": (74, 4), "fc_b": (74,)}
    for side in ("enc", "dec"):
        shapes |= {f"{side}_w_ih": (12, 6), f"{side}_w_hh": (12, 4)}
        shapes |= {f"{side}_b_ih": (12,), f"{side}_b_hh": (12,)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def listener() -> Arrays:
    rng = np.random.default_rng(1)
    shapes = {
        "stft_conv.weight": (258, 1, 256), "conv1.weight": (8, 129, 3), "conv1.bias": (8,),
        "conv2.weight": (6, 8, 3), "conv2.bias": (6,), "conv3.weight": (6, 6, 3),
        "conv3.bias": (6,), "conv4.weight": (8, 6, 3), "conv4.bias": (8,),
        "lstm_cell.weight_ih": (32, 8), "lstm_cell.weight_hh": (32, 8),
        "lstm_cell.bias_ih": (32,), "lstm_cell.bias_hh": (32,),
        "final_conv.weight": (1, 8, 1), "final_conv.bias": (1,),
    }  # fmt: skip
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def with_changes(tensors: Arrays, changes: dict[str, Any]) -> Arrays:
    return {n: t for n, t in (tensors | changes).items() if t is not None}


def test_families_are_told_by_their_tensors(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", **speller())
    source = open_source(tmp_path / "net.npz")
    assert source.graph.metadata["task"] == "phonemes"
    assert list(source.origin["sha256"]) == ["net.npz"]
    save_file({f"module.{n}": t for n, t in listener().items()}, tmp_path / "net.safetensors")
    graph = open_source(tmp_path / "net.safetensors").graph
    assert graph.metadata["task"] == "detect-voice"
    assert str(graph.values["speech"]) == "real[rows, 1]"
    assert str(graph.inputs["sound"]) == "real[rows, 576, 1]"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"enc_w_ih": None}, UnsupportedError, "found none"),
        ({"dec_w_hh": None}, SourceError, r"decoder\.recurrent"),
        ({"extra": np.zeros(2, np.float32)}, UnsupportedError, "extra"),
        ({"enc_w_hh": np.zeros((12, 5), np.float32)}, SourceError, "encoder"),
        ({"dec_w_hh": np.zeros((9, 3), np.float32)}, SourceError, "decoder"),
        ({"fc_b": np.full(74, np.nan, np.float32)}, SourceError, "NaN"),
        ({"fc_b": np.zeros(74, np.int32)}, UnsupportedError, "int32"),
        ({"fc_b": np.zeros(74)}, UnsupportedError, "float64"),
    ],
)
def test_odd_tensors_are_refused(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    np.savez(tmp_path / "net.npz", **with_changes(speller(), changes))
    with pytest.raises(error, match=message):
        open_source(tmp_path / "net.npz")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"conv3.weight": None}, SourceError, r"convolution\.2"),
        ({"conv3.weight": np.zeros((6, 6), np.float32)}, SourceError, "3 axes"),
        ({"stft_conv.weight": np.zeros((257, 1, 256), np.float32)}, SourceError, "imaginary"),
        ({"stft_conv.weight": np.zeros((258, 1, 900), np.float32)}, SourceError, "900"),
        ({"conv4.weight": np.zeros((8, 7, 3), np.float32)}, SourceError, r"convolution\.3"),
        ({"final_conv.weight": np.zeros((1, 9, 1), np.float32)}, SourceError, "head"),
    ],
)
def test_odd_listeners_are_refused(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    save_file(with_changes(listener(), changes), tmp_path / "net.safetensors")
    with pytest.raises(error, match=message):
        open_source(tmp_path / "net.safetensors")


def test_odd_generators_are_refused() -> None:
    rng = np.random.default_rng(2)
    stored: Arrays = {
        "main.0.weight": rng.normal(size=(5, 4, 4, 4)),
        "main.3.weight": rng.normal(size=(4, 3, 4, 4)),
    }
    for part in ("weight", "bias", "running_mean", "running_var"):
        stored[f"main.1.{part}"] = rng.uniform(0.5, 1, 4)
    stored = {name: tensor.astype(np.float32) for name, tensor in stored.items()}
    graph = read_generator("net", stored, "file", {})
    assert str(graph.values["picture"]) == "real[samples, 8, 8, 3]"
    for changes, message in (
        ({"main.1.running_var": None}, "running_var"),
        ({"main.1.running_var": -np.ones(4, np.float32)}, "variances"),
        ({"main.1.bias": np.ones(3, np.float32)}, "4 channels"),
        ({"main.0.weight": None}, r"main\.0"),
        ({"main.4.weight": np.ones(3, np.float32)}, r"main\.4"),
        ({"main.3.weight": np.ones((4, 3, 1, 1), np.float32)}, "more than 1"),
    ):
        with pytest.raises(SangboError, match=message):
            read_generator("net", with_changes(stored, changes), "file", {})


def npy(header: str, rest: bytes = b"") -> bytes:
    text = header.encode() + b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + rest


HUGE = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 1000000), }"
OBJECT = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"


@pytest.mark.parametrize(
    "content",
    [npy(HUGE), npy(OBJECT, b"cos\nsystem\n"), npy("{"), b"", b"\x93NUMPY\x09\x00", b"junk" * 9],
)
def test_broken_arrays_are_refused(tmp_path: Path, content: bytes) -> None:
    """None of them is unpickled, and no memory is taken for what the file does not hold."""
    with zipfile.ZipFile(tmp_path / "net.npz", "w") as archive:
        archive.writestr("enc_w_ih.npy", content)
    with pytest.raises(SourceError, match="NumPy archive"):
        open_source(tmp_path / "net.npz")


def test_arrays_with_changed_headers_are_errors_of_ours(tmp_path: Path) -> None:
    whole = io.BytesIO()
    np.save(whole, speller()["enc_w_ih"])
    content, rng = whole.getvalue(), np.random.default_rng(0)
    for place in rng.integers(0, 128, 300).tolist():
        broken = bytearray(content)
        broken[place] = int(rng.integers(0, 256))
        with zipfile.ZipFile(tmp_path / "net.npz", "w") as archive:
            archive.writestr("enc_w_ih.npy", bytes(broken))
        with pytest.raises(SangboError):
            open_source(tmp_path / "net.npz")


def test_archives_that_unpack_to_too_much_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "net.npz", enc_w_ih=np.zeros((1000, 1000), np.float32))
    monkeypatch.setattr(tensor_files, "LARGEST_ARCHIVE", 10**6)
    with pytest.raises(SourceError, match="unpack to at most"):
        open_source(tmp_path / "net.npz")


def test_cut_archives_are_refused(tmp_path: Path) -> None:
    whole = io.BytesIO()
    np.savez(whole, **speller())
    content = whole.getvalue()
    for cut in (0, 1, 50, len(content) // 2, len(content) - 1):
        (tmp_path / "net.npz").write_bytes(content[:cut])
        with pytest.raises(SourceError):
            open_source(tmp_path / "net.npz")


@pytest.mark.skipif(find_spec("torch") is not None, reason="PyTorch is installed here")
def test_files_of_pytorch_need_the_extra(tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(b"PK")
    with pytest.raises(MissingExtraError, match=r"sangbo\[torch\]"):
        open_source(tmp_path / "net.pth")


@pytest.mark.oracle
def test_files_of_pytorch_hold_tensors_alone(tmp_path: Path) -> None:
    import pickle

    import torch

    path = tmp_path / "net.pth"
    for content in (b"", b"junk", pickle.dumps(print)):
        path.write_bytes(content)
        with pytest.raises(SourceError, match="tensors alone"):
            open_source(path)
    torch.save({"weight": torch.zeros(2), "other": [1, "text"]}, path)
    with pytest.raises(UnsupportedError, match="found none"):
        open_source(path)
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(SourceError, match="tensors alone"):
        open_source(path)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("taps", [1, 2, 3, 5])
def test_same_padding_gives_as_many_outputs_as_strides(stride: int, taps: int) -> None:
    for size in range(1, 20):
        before, after = same(size, taps, stride)
        outputs = (size + before + after - taps) // stride + 1
        assert outputs == -(-size // stride)
        assert after - before in (0, 1)
