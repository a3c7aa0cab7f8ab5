"""Networks in GGUF files: a float graph, and the grids that the file holds.

Sangbo keeps Q4_0, Q4_1 and Q8_0 matrices as `Grid`; every other type is widened by
``gguf.quants.dequantize``. Q4_1 is W = d·q + m and Q8_0 is W = d·q as they stand. Q4_0 is
W = d·(q − 8), here d·q + (−8·d): all products and the sum fit a float32, so the values are the same
numbers (a zero may differ in sign).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf.constants import GGMLQuantizationType
from gguf.quants import dequantize

from sangbo.errors import SourceError, UnsupportedError
from sangbo.progress import Progress, silent
from sangbo.sources import llama
from sangbo.sources.builder import EMBEDDING, rename
from sangbo.sources.facts import Facts
from sangbo.sources.gguf_header import StoredTensor, read_header
from sangbo.sources.gguf_tokenizer import read_tokenizer
from sangbo.sources.source import Array, Grid, Real, Source, sha256_of

ARCHITECTURES = ("llama", "qwen2")
BLOCK = 32

_PLAIN = {GGMLQuantizationType.F32: "<f4", GGMLQuantizationType.F16: "<f2"}
_GRIDS = (GGMLQuantizationType.Q4_0, GGMLQuantizationType.Q4_1, GGMLQuantizationType.Q8_0)
_LARGEST_INT8 = 127


def read_gguf(path: Path, progress: Progress = silent, name: str | None = None) -> Source:
    """Read a GGUF file of a LLaMA-type network.

    Args:
        path: the file.
        progress: told how far the reading is.
        name: what to call the network; by default what the file says.

    Raises:
        SourceError: where the file is broken.
        UnsupportedError: where it holds another architecture, or a type, tensor or tokenizer that
            Sangbo does not know.
    """
    file = read_header(path)
    facts = Facts(file.metadata, str(path))
    architecture = facts.text("general.architecture")
    if architecture not in ARCHITECTURES:
        raise UnsupportedError(
            f"expected an architecture of {', '.join(ARCHITECTURES)} in {path}, "
            f"found {architecture!r}"
        )
    config = llama.from_gguf(facts, architecture)
    tokenizer = read_tokenizer(facts)
    stored = rename(file.tensors, llama.GGUF_OUTER, llama.GGUF_LAYERS, str(path))
    tensors: dict[str, Array] = {}
    grids: dict[str, Grid] = {}
    for index, (tensor, held) in enumerate(stored.items()):
        progress(f"reading {path.name}", index / len(stored))
        order = _halves(tensor, held.shape[0], config) if architecture == "llama" else None
        grid = read_grid(held)
        if grid is not None:
            grids[tensor] = grid if order is None else grid.take(order)
            tensors[tensor] = grids[tensor].reals()
        else:
            reals = read_reals(held, tensor)
            tensors[tensor] = reals if order is None else reals[order]
    progress(f"reading {path.name}", 1.0)
    licence = facts.text("general.license", "unknown")
    graph = llama.build(
        name or facts.text("general.name", path.stem),
        config,
        tensors,
        {"task": "generate", "family": "llama", "source": path.name, "licence": licence},
    )
    rows = len(tensors[EMBEDDING])
    if tokenizer.size > rows:
        raise SourceError(f"expected at most {rows} tokens in {path}, found {tokenizer.size}")
    origin = {
        "kind": "gguf",
        "file": path.name,
        "licence": licence,
        "sha256": {path.name: sha256_of(path, progress)},
    }
    return Source(graph, tokenizer, grids, origin)


def read_reals(held: StoredTensor, name: str) -> Real:
    """A stored tensor as float32, in its shape."""
    if held.type in _PLAIN:
        reals = held.data.view(_PLAIN[held.type]).astype(np.float32, copy=False)
    else:
        try:
            reals = dequantize(held.data, held.type)
        except NotImplementedError:
            raise UnsupportedError(f"tensor {name!r} has the type {held.type.name}") from None
    shaped: Real = reals.reshape(held.shape)
    return shaped


def read_grid(held: StoredTensor) -> Grid | None:
    """A stored matrix in Sangbo's form of a grid.

    Returns:
        None for what is no matrix, for other types than Q4_0, Q4_1 and Q8_0, for a Q8_0 that holds
        −128, and for a Q4_0 with a scale whose eightfold no float16 holds.
    """
    if len(held.shape) != 2 or held.type not in _GRIDS:
        return None
    rows, columns = held.shape
    groups = columns // BLOCK
    blocks = held.data.reshape(rows, groups, -1)
    scale = blocks[..., :2].copy().view("<f2")[..., 0]
    if held.type == GGMLQuantizationType.Q4_0:
        with np.errstate(over="ignore"):
            minimum = scale * np.float16(-8)
        if not np.isfinite(minimum).all():
            return None
        return Grid(4, BLOCK, _pairs(blocks[..., 2:]), scale, minimum)
    if held.type == GGMLQuantizationType.Q4_1:
        minimum = blocks[..., 2:4].copy().view("<f2")[..., 0]
        return Grid(4, BLOCK, _pairs(blocks[..., 4:]), scale, minimum)
    values = blocks[..., 2:].copy().view(np.int8).reshape(rows, columns)
    return Grid(8, BLOCK, values, scale) if values.min() >= -_LARGEST_INT8 else None


def _pairs(blocks: Array) -> Array:
    """Neighbours in one byte, from ggml's blocks. (rows, groups, 16) → (rows, inputs // 2) uint8.

    ggml keeps value i of a block in the low half of byte i, and value i + 16 in its high half.
    """
    values = np.concatenate([blocks & 15, blocks >> 4], axis=-1)
    packed: Array = values[..., 0::2] | values[..., 1::2] << 4
    return packed.reshape(len(blocks), -1)


def _halves(name: str, rows: int, config: llama.LlamaConfig) -> Array | None:
    """Order of rows that turns ggml's rotary pairs into halves; None for what has no rotary.

    A ``llama`` file keeps channels i and i + D/2 of each query and key head next to each other.
    """
    stem = name.removesuffix(".bias")
    if not stem.endswith((".attention.query", ".attention.key")):
        return None
    heads = config.heads if stem.endswith(".query") else config.key_heads
    half = config.head_size // 2
    if rows != heads * half * 2:
        raise SourceError(
            f"expected {name!r} to have {heads} heads of {config.head_size} rows, found {rows}"
        )
    return np.arange(rows).reshape(heads, half, 2).swapaxes(1, 2).ravel()
