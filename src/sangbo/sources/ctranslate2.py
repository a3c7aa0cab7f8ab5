"""Whisper networks in CTranslate2's binary form: ``model.bin`` beside its configuration.

The format is that of ``ctranslate2.specs`` (version 6): a header, tensors by name with their shapes
and types, and names that stand for other tensors. Query, key and value of an attention lie in one
matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sangbo.errors import SourceError, UnsupportedError
from sangbo.progress import Progress, silent
from sangbo.sources import whisper
from sangbo.sources.builder import EMBEDDING, HEAD, MOST_LAYERS, rename
from sangbo.sources.cursor import Cursor, map_file
from sangbo.sources.facts import read_json
from sangbo.sources.source import Array, Source, sha256_of
from sangbo.sources.tokenizer import TOKENIZER_FILE, Tokenizer

MODEL, CONFIG = "model.bin", "config.json"
VERSION, SPECIFICATION = 6, "WhisperSpec"
MOST_AXES = 8
START = ("<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>")
"""Tokens before English words without times."""

END = "<|endoftext|>"
GELU = 3
"""CTranslate2's number for exact GELU."""

_TYPES = ("<f4", "i1", "<i2", "<i4", "<f2")
_REALS = ("float16", "float32")
_SMALLEST = 2 + 1 + 1 + 1 + 4
_KINDS = {"gamma": "weight", "beta": "bias"}
_NUMBERS: Mapping[str, tuple[int, ...]] = {
    "activation": (GELU,),
    "alibi": (0,),
    "pre_norm": (1,),
    "scale_embeddings": (0, 1),
    "start_from_zero_embedding": (0,),
}
"""What the file must say of itself where it says it, as far as that changes the network."""

OUTER = {
    "encoder.conv1": "encoder.convolution.0",
    "encoder.conv2": "encoder.convolution.1",
    "encoder.layer_norm": "encoder.norm",
    "decoder.embeddings": EMBEDDING,
    "decoder.layer_norm": "decoder.norm",
}
_HALVES = {
    "self_attention.linear_0": "attention.fused",
    "self_attention.linear_1": "attention.output",
    "self_attention.layer_norm": "attention.norm",
    "ffn.linear_0": "mlp.up",
    "ffn.linear_1": "mlp.down",
    "ffn.layer_norm": "mlp.norm",
}
_CROSS = {
    "attention.linear_0": "cross.query",
    "attention.linear_1": "cross.fused",
    "attention.linear_2": "cross.output",
    "attention.layer_norm": "cross.norm",
}
LAYERS = {
    "encoder.layer_": ("encoder.layers.", _HALVES),
    "decoder.layer_": ("decoder.layers.", _HALVES | _CROSS),
}
_FUSED = {"attention": ("query", "key", "value"), "cross": ("key", "value")}


def read_ctranslate2(folder: Path, progress: Progress = silent, name: str | None = None) -> Source:
    """Read the Whisper network in a folder of CTranslate2.

    Args:
        folder: holds ``model.bin``, ``config.json`` and, for its tokens, ``tokenizer.json``.
        progress: told how far the reading is.
        name: what to call the network; by default the folder's name.

    Raises:
        SourceError: where a file is missing or broken.
        UnsupportedError: where it holds another network, or a type or tensor that Sangbo does not
            know.
    """
    path = folder / MODEL
    stored = read_tensors(path)
    tensors, numbers = _sort(stored, str(path))
    for (side, key), value in numbers.items():
        if key in _NUMBERS and value not in _NUMBERS[key]:
            raise UnsupportedError(
                f"expected {side}/{key} {_NUMBERS[key]} in {path}, found {value}"
            )
    config = whisper.WhisperConfig(
        encoder_layers=_layers(tensors, "encoder"),
        decoder_layers=_layers(tensors, "decoder"),
        encoder_heads=_heads(numbers, "encoder", str(path)),
        decoder_heads=_heads(numbers, "decoder", str(path)),
    )
    positions = {
        f"{side}.positions": tensors.pop(f"{side}.position_encodings.encodings", np.zeros(()))
        for side in ("encoder", "decoder")
    }
    named = positions | _split(rename(tensors, OUTER, LAYERS, str(path)))
    called = name or folder.resolve().name
    tokenizer = Tokenizer.load(folder) if (folder / TOKENIZER_FILE).exists() else None
    files = [path]
    metadata: dict[str, Any] = {"source": called, "licence": "unknown"}
    if tokenizer is not None:
        metadata |= {"start": tokenizer.known(START), "end": tokenizer.known((END,))}
        files.append(folder / TOKENIZER_FILE)
    if (folder / CONFIG).exists():
        facts = read_json(folder / CONFIG)
        for key, ours in (
            ("suppress_ids", "suppressed"),
            ("suppress_ids_begin", "suppressed_first"),
        ):
            if key in facts:
                metadata[ours] = facts.items(key)
        files.append(folder / CONFIG)
    graph = whisper.build(called, config, named, metadata)
    origin = {
        "kind": "ctranslate2",
        "folder": called,
        "licence": "unknown",
        "sha256": {f.name: sha256_of(f, progress) for f in files},
    }
    return Source(graph, tokenizer, {}, origin)


def read_tensors(path: Path) -> dict[str, Array]:
    """The tensors of a ``model.bin`` by their names there; those that stand for others too.

    Raises:
        SourceError: where the file is truncated or malformed.
        UnsupportedError: where it is of another version, network or type.
    """
    cursor = map_file(path)
    version = cursor.scalar("<I")
    if version != VERSION:
        raise UnsupportedError(f"expected {path} to be of version {VERSION}, found {version}")
    specification = _text(cursor)
    if specification != SPECIFICATION:
        raise UnsupportedError(
            f"expected {path} to hold a {SPECIFICATION}, found {specification!r}"
        )
    cursor.scalar("<I")  # revision of the specification, which only adds numbers
    tensors: dict[str, Array] = {}
    for _ in range(cursor.count("<I", _SMALLEST, "tensors")):
        name, axes = _text(cursor), cursor.scalar("<B")
        if axes > MOST_AXES or name in tensors:
            raise SourceError(
                f"expected one {name!r} of at most {MOST_AXES} axes in {path}, found {axes}"
            )
        shape = tuple(cursor.scalar("<I") for _ in range(axes))
        kind, size = cursor.scalar("<B"), cursor.scalar("<I")
        if kind >= len(_TYPES):
            raise UnsupportedError(f"tensor {name!r} in {path} has the unknown type {kind}")
        tensors[name] = cursor.array(_TYPES[kind], shape, size, name)
    for _ in range(cursor.count("<I", 4, "names")):
        alias, name = _text(cursor), _text(cursor)
        if name not in tensors or alias in tensors:
            raise SourceError(f"expected {alias!r} in {path} to stand for a tensor, found {name!r}")
        tensors[alias] = tensors[name]
    if cursor.left:
        raise SourceError(f"expected {path} to end after its names, found {cursor.left} bytes more")
    return tensors


def _text(cursor: Cursor) -> str:
    """A text that ends with a zero, after its length."""
    text = cursor.text(cursor.scalar("<H"))
    if not text.endswith("\0"):
        raise SourceError(f"expected names that end with a zero in {cursor.where}, found {text!r}")
    return text[:-1]


def _sort(
    stored: Mapping[str, Array], where: str
) -> tuple[dict[str, Array], dict[tuple[str, str], int]]:
    """Float tensors with dots in their names, and the numbers of each side."""
    tensors: dict[str, Array] = {}
    numbers: dict[tuple[str, str], int] = {}
    for name, values in stored.items():
        if values.ndim == 0 and values.dtype.kind == "i":
            side, _, key = name.partition("/")
            numbers[side, key] = int(values)
        elif name == "decoder/projection/weight":
            if values is not stored.get("decoder/embeddings/weight"):
                tensors[HEAD] = values.astype(np.float32)
        elif name == "decoder/alignment_heads":
            continue  # which heads follow the sound in time; no part of the network
        elif values.dtype.name in _REALS:
            stem, _, kind = name.replace("/", ".").rpartition(".")
            tensors[f"{stem}.{_KINDS.get(kind, kind)}"] = values.astype(np.float32)
        else:
            raise UnsupportedError(f"tensor {name!r} in {where} has type {values.dtype.name}")
    if HEAD in tensors:
        raise UnsupportedError(f"expected the head in {where} to be the embedding, found its own")
    return tensors, numbers


def _layers(tensors: Mapping[str, Array], side: str) -> int:
    """How many layers a side has, by the names of its tensors."""
    before = f"{side}.layer_"
    found = {n.removeprefix(before).partition(".")[0] for n in tensors if n.startswith(before)}
    return min(MOST_LAYERS, len(found - {"norm"}))


def _heads(numbers: Mapping[tuple[str, str], int], side: str, where: str) -> int:
    heads = numbers.get((side, "num_heads"), 0)
    if heads < 1:
        raise SourceError(f"expected {side}/num_heads of at least 1 in {where}, found {heads}")
    return heads


def _split(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Query, key and value apart; the biases of keys, which Whisper has not, are left out."""
    split: dict[str, Array] = {}
    for name, tensor in tensors.items():
        before, fused, after = name.partition("fused")
        if not fused:
            split[name] = tensor
            continue
        parts = _FUSED[before.rstrip(".").rpartition(".")[2]]
        if len(tensor) % len(parts):
            raise SourceError(
                f"expected {name!r} to hold {' and '.join(parts)}, found shape {tensor.shape}"
            )
        for part, values in zip(parts, np.split(tensor, len(parts)), strict=True):
            if not (part == "key" and after and not values.any()):
                split[f"{before}{part}{after}"] = values
    return split
