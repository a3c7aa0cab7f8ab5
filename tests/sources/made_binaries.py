"""Small networks in the binary forms of Marian, SentencePiece and CTranslate2, made for tests.

Written from the formats' descriptions, apart from the readers under test.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHANNELS, INNER, HEADS = 8, 12, 2
PIECES: tuple[tuple[str, float, int], ...] = (
    ("</s>", 0.0, 3), ("<unk>", 0.0, 2), ("▁", -2.0, 1), ("a", -3.0, 1), ("b", -3.5, 1),
    ("▁ab", -4.0, 1), ("ba", -4.5, 1), ("▁b", -5.0, 1), ("!", -6.0, 1),
    ("/", -6.5, 1), ("s", -7.0, 1), (">", -7.0, 1),
)  # fmt: skip
SETTINGS = f"""dec-cell: ssru
dec-cell-base-depth: 2
dec-depth: 1
dim-emb: {CHANNELS}
dim-vocabs:
  - {len(PIECES)}
  - {len(PIECES)}
enc-depth: 1
tied-embeddings-all: true
transformer-decoder-autoreg: rnn
transformer-dim-ffn: {INNER}
transformer-ffn-activation: relu
transformer-ffn-depth: 2
transformer-heads: {HEADS}
transformer-postprocess: dan
transformer-postprocess-emb: d
transformer-preprocess: ""
type: transformer
"""


def _field(number: int, content: bytes | str | int | float) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(content, int):
        return _varint(number << 3) + _varint(content)
    if isinstance(content, float):
        return _varint(number << 3 | 5) + struct.pack("<f", content)
    raw = content.encode() if isinstance(content, str) else content
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def sentencepiece(
    pieces: tuple[tuple[str, float, int], ...] = PIECES, trainer: bytes = b""
) -> bytes:
    """A unigram vocabulary without rules for characters."""
    parts = [
        _field(1, _field(1, text) + _field(2, score) + (_field(3, kind) if kind != 1 else b""))
        for text, score, kind in pieces
    ]
    settings = _field(3, 1) + _field(40, 1) + _field(42, 0) + trainer
    return b"".join(parts) + _field(2, settings) + _field(3, _field(1, "identity"))


def marian_tensors(seed: int = 0) -> dict[str, NDArray[Any]]:
    """The tensors of a network of one layer on each side: (inputs, outputs) matrices."""
    rng = np.random.default_rng(seed)
    sizes = {"Wq": 1, "Wk": 1, "Wv": 1, "Wo": 1}
    tensors: dict[str, NDArray[Any]] = {"Wemb": rng.normal(0, 0.5, (len(PIECES), CHANNELS))}
    tensors["decoder_ff_logit_out_b"] = rng.normal(0, 0.5, (1, len(PIECES)))
    for half in ("encoder_l1_self", "decoder_l1_context"):
        for name in sizes:
            tensors[f"{half}_{name}"] = rng.normal(0, 0.5, (CHANNELS, CHANNELS))
            tensors[f"{half}_b{name[1]}"] = rng.normal(0, 0.2, (1, CHANNELS))
        tensors |= _norm(f"{half}_Wo", rng)
    for half in ("encoder_l1_ffn", "decoder_l1_ffn"):
        tensors[f"{half}_W1"] = rng.normal(0, 0.5, (CHANNELS, INNER))
        tensors[f"{half}_b1"] = rng.normal(0, 0.2, (1, INNER))
        tensors[f"{half}_W2"] = rng.normal(0, 0.5, (INNER, CHANNELS))
        tensors[f"{half}_b2"] = rng.normal(0, 0.2, (1, CHANNELS))
        tensors |= _norm(f"{half}_ffn", rng)
    for name in ("W", "Wf"):
        tensors[f"decoder_l1_rnn_{name}"] = rng.normal(0, 0.5, (CHANNELS, CHANNELS))
    tensors["decoder_l1_rnn_bf"] = rng.normal(0, 0.2, (1, CHANNELS))
    tensors |= _norm("decoder_l1_rnn_ffn", rng)
    return {name: values.astype(np.float32) for name, values in tensors.items()}


def _norm(name: str, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    return {
        f"{name}_ln_scale": rng.uniform(0.5, 2, (1, CHANNELS)),
        f"{name}_ln_bias": rng.normal(0, 0.2, (1, CHANNELS)),
    }


def marian_binary(
    tensors: Mapping[str, NDArray[Any]], settings: str = SETTINGS, multiplier: float | None = None
) -> bytes:
    """A Marian ``.bin``: matrices as int8, with one multiplier each, and the rest as floats.

    Args:
        tensors: by Marian's names.
        settings: the network's settings.
        multiplier: stated of all matrices; by default what uses the whole range of each.
    """
    items: list[tuple[str, int, tuple[int, ...], bytes]] = [
        ("special:model.yml", 0x0101, (len(settings) + 1,), settings.encode() + b"\0")
    ]
    for name, values in tensors.items():
        if values.ndim != 2 or min(values.shape) == 1:
            items.append((name, 0x0404, values.shape, values.astype("<f4").tobytes()))
            continue
        factor = np.float32(127 / np.abs(values).max())
        levels = np.rint(values * factor).astype(np.int8)
        factor = factor if multiplier is None else np.float32(multiplier)
        stored = levels if name == "Wemb" else levels.T
        raw = np.ascontiguousarray(stored).tobytes() + struct.pack("<f", factor)
        items.append((name, 0x4101, values.shape, raw))
    items = [(n, t, s, raw + bytes(-len(raw) % 256)) for n, t, s, raw in items]
    out = struct.pack("<QQ", 1, len(items))
    for name, kind, shape, raw in items:
        out += struct.pack("<QQQQ", len(name) + 1, kind, len(shape), len(raw))
    out += b"".join(name.encode() + b"\0" for name, *_ in items)
    out += b"".join(struct.pack(f"<{len(shape)}i", *shape) for _, _, shape, _ in items)
    padding = -(len(out) + 8) % 256
    return out + struct.pack("<Q", padding) + bytes(padding) + b"".join(raw for *_, raw in items)


def write_marian(folder: Path, tensors: Mapping[str, NDArray[Any]] | None = None) -> Path:
    """A folder as Bergamot distributes it."""
    folder.mkdir(exist_ok=True)
    (folder / "model.small.bin").write_bytes(marian_binary(tensors or marian_tensors()))
    (folder / "vocab.small.spm").write_bytes(sentencepiece())
    return folder


WIDE, BANDS, PLACES, CONTEXT, WORDS = 6, 4, 5, 7, 11


def whisper_tensors(seed: int = 0) -> dict[str, NDArray[Any]]:
    """The tensors of a Whisper of one layer on each side, by CTranslate2's names."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> NDArray[Any]:
        return rng.normal(0, 0.4, shape).astype(np.float16)

    tensors: dict[str, NDArray[Any]] = {}

    def linear(name: str, outputs: int, inputs: int) -> None:
        tensors[f"{name}/weight"], tensors[f"{name}/bias"] = (
            normal(outputs, inputs),
            normal(outputs),
        )

    def norm(name: str) -> None:
        tensors[f"{name}/gamma"], tensors[f"{name}/beta"] = normal(WIDE), normal(WIDE)

    for number, inputs in ((1, BANDS), (2, WIDE)):
        tensors[f"encoder/conv{number}/weight"] = normal(WIDE, inputs, 3)
        tensors[f"encoder/conv{number}/bias"] = normal(WIDE)
    tensors["decoder/embeddings/weight"] = normal(WORDS, WIDE)
    for side, rows in (("encoder", PLACES), ("decoder", CONTEXT)):
        tensors[f"{side}/position_encodings/encodings"] = normal(rows, WIDE)
        norm(f"{side}/layer_norm")
        for half in ("self_attention", "ffn", "attention")[: 3 if side == "decoder" else 2]:
            at = f"{side}/layer_0/{half}"
            norm(f"{at}/layer_norm")
            sizes = {
                "self_attention": ((3 * WIDE, WIDE), (WIDE, WIDE)),
                "ffn": ((2 * WIDE, WIDE), (WIDE, 2 * WIDE)),
                "attention": ((WIDE, WIDE), (2 * WIDE, WIDE), (WIDE, WIDE)),
            }[half]
            for index, (outputs, inputs) in enumerate(sizes):
                linear(f"{at}/linear_{index}", outputs, inputs)
        tensors[f"{side}/num_heads"] = np.array(2, np.int16)
    tensors["decoder/activation"] = np.array(3, np.int8)
    tensors["decoder/pre_norm"] = np.array(1, np.int8)
    return tensors


def ctranslate2_binary(
    tensors: Mapping[str, NDArray[Any]], name: str = "WhisperSpec", version: int = 6
) -> bytes:
    """CTranslate2's ``model.bin``, whose head is the embedding."""
    types = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    out = struct.pack("<I", version) + text(name) + struct.pack("<II", 3, len(tensors))
    for key, values in tensors.items():
        raw = values.tobytes()
        out += text(key) + struct.pack("<B", values.ndim)
        out += struct.pack(f"<{values.ndim}I", *values.shape)
        out += struct.pack("<BI", types[values.dtype.name], len(raw)) + raw
    out += struct.pack("<I", 1) + text("decoder/projection/weight")
    return out + text("decoder/embeddings/weight")


def write_whisper(folder: Path, tensors: Mapping[str, NDArray[Any]] | None = None) -> Path:
    """A folder of CTranslate2."""
    folder.mkdir(exist_ok=True)
    (folder / "model.bin").write_bytes(ctranslate2_binary(tensors or whisper_tensors()))
    config = {"suppress_ids": [1, 2], "suppress_ids_begin": [3], "lang_ids": [4]}
    (folder / "config.json").write_text(json.dumps(config))
    return folder
