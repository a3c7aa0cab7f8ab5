"""Makes small GGUF files with the writer of the `gguf` package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize

F32 = GGMLQuantizationType.F32
CHANNELS, HEADS, KEY_HEADS, WIDTH, VOCABULARY, LAYERS = 64, 4, 2, 96, 40, 2
HALF = CHANNELS // HEADS // 2

METADATA: Mapping[str, Any] = {
    "block_count": LAYERS,
    "context_length": 16,
    "embedding_length": CHANNELS,
    "attention.head_count": HEADS,
    "attention.head_count_kv": KEY_HEADS,
    "attention.layer_norm_rms_epsilon": 1e-5,
    "rope.freq_base": 500.0,
}
TOKENIZER: Mapping[str, Any] = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": ["<|endoftext|>", "<|im_end|>", "<think>", "a", "b", "Ġ", "ab", "Ġab"],
    "tokenizer.ggml.token_type": [3, 3, 4, 1, 1, 1, 1, 1],
    "tokenizer.ggml.merges": ["a b", "Ġ ab"],
    "tokenizer.ggml.eos_token_id": 1,
    "tokenizer.ggml.bos_token_id": 0,
    "tokenizer.chat_template": "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}",
}


def random_tensors(seed: int = 0, tied: bool = True) -> dict[str, np.ndarray[Any, Any]]:
    """Float tensors of a small LLaMA-type network by their names in GGUF files."""
    random = np.random.default_rng(seed)
    keys = CHANNELS // HEADS * KEY_HEADS
    shapes: dict[str, tuple[int, ...]] = {"token_embd": (VOCABULARY, CHANNELS)}
    if not tied:
        shapes["output"] = (VOCABULARY, CHANNELS)
    for layer in range(LAYERS):
        at = f"blk.{layer}"
        shapes |= {
            f"{at}.attn_norm": (CHANNELS,),
            f"{at}.attn_q": (CHANNELS, CHANNELS),
            f"{at}.attn_k": (keys, CHANNELS),
            f"{at}.attn_v": (keys, CHANNELS),
            f"{at}.attn_output": (CHANNELS, CHANNELS),
            f"{at}.ffn_norm": (CHANNELS,),
            f"{at}.ffn_gate": (WIDTH, CHANNELS),
            f"{at}.ffn_up": (WIDTH, CHANNELS),
            f"{at}.ffn_down": (CHANNELS, WIDTH),
        }
    shapes["output_norm"] = (CHANNELS,)
    return {
        f"{name}.weight": random.standard_normal(shape, np.float32)
        for name, shape in shapes.items()
    }


def write_gguf(
    path: Path,
    tensors: Mapping[str, np.ndarray[Any, Any]],
    kind: GGMLQuantizationType = F32,
    metadata: Mapping[str, Any] = METADATA,
    architecture: str = "llama",
    tokenizer: Mapping[str, Any] = TOKENIZER,
) -> Path:
    """Write a GGUF file; matrices get element type ``kind``."""
    writer = GGUFWriter(path, architecture)
    for key, value in {f"{architecture}.{k}": v for k, v in metadata.items()}.items():
        _add(writer, key, value)
    for key, value in tokenizer.items():
        _add(writer, key, value)
    for name, tensor in tensors.items():
        if tensor.ndim == 2:
            writer.add_tensor(name, quantize(tensor, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: GGUFWriter, key: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)


def interleave(matrix: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """llama.cpp's order of query and key rows (its `permute`): halves become pairs."""
    return (
        matrix.reshape(heads, 2, matrix.shape[0] // heads // 2, *matrix.shape[1:])
        .swapaxes(1, 2)
        .reshape(matrix.shape)
    )
