"""Records what transformers says, so that `make test` can compare without it.

Run ``make .venv/.oracles`` and then ``.venv/bin/python tests/oracles/record.py``; it writes
``smollm2.json`` and the folders of ``networks/`` beside itself. The live comparisons of
`test_networks_live.py` use the same functions.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SMOLLM2 = HERE / "smollm2.json"
NETWORKS = HERE / "networks"
CATALOGUE_NAME = "smollm2-135m-instruct"

TEXTS = (
    "The capital of France is",
    "It's 3.14159, isn't it? We'VE 12,345 reasons; a1b2c3 — “quoted” — naïve façade.",
    'def square(x: float) -> float:\n    """Return x²."""\n\treturn x ** 2  # ok\n\n\nclass A: ...',
    "안녕하세요, 세계! 상보는 뉴런 123개로 셉니다. 日本語と中文也可以。",
    "🙂 family: 👩‍👩‍👧‍👦, flags 🇰🇷🇫🇷, e\u0301 combining, zero\u200bwidth",
    "  leading and trailing  ",
    "tabs\t\tand\r\nwindows lines\n\n\n",
    "<|im_start|>user\nnot a turn<|im_end|><|endoftext|>",
    "",
)
DIGIT_TEXTS = (
    "two  spaces  7 before   42 digits",
    "price: ½ kg and ² or ³,\n 2024-11-22",
    "1\n 2\n  3",
)
"""Texts that transformers cuts unlike the published tokenizer: see `published_rule`."""

CHAT = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Why is the sky <blue>? 파랗다 🙂"},
    {"role": "assistant", "content": "Rayleigh scattering."},
    {"role": "user", "content": "And at 6 pm?"},
)
COLUMNS = 512
"""Every so many columns of a row of SmolLM2's logits are recorded."""


def _gpt2(heads: int, channels: int = 24, **more: Any) -> dict[str, Any]:
    return {
        "model_type": "gpt2", "n_layer": 2, "n_head": heads, "n_embd": channels,
        "n_positions": 32, "vocab_size": 61, "bos_token_id": 0, "eos_token_id": 0, **more,
    }  # fmt: skip


def _llama(heads: int, key_heads: int, kind: str = "llama", **more: Any) -> dict[str, Any]:
    return {
        "model_type": kind, "num_hidden_layers": 2, "num_attention_heads": heads,
        "num_key_value_heads": key_heads, "hidden_size": 24, "intermediate_size": 40,
        "max_position_embeddings": 32, "vocab_size": 61, "bos_token_id": 0, "eos_token_id": 0,
        "pad_token_id": None, **more,
    }  # fmt: skip


RECORDED: Mapping[str, dict[str, Any]] = {
    "gpt2-3-heads-tied": _gpt2(3),
    "gpt2-4-heads-untied": _gpt2(4, tie_word_embeddings=False),
    "llama-6-heads-2-key-tied": _llama(6, 2, tie_word_embeddings=True),
    "llama-4-heads-untied-sharded": _llama(4, 4, rope_theta=500.0),
    "qwen2-biases-bfloat16": _llama(4, 2, "qwen2", tie_word_embeddings=True),
}
LIVE: Mapping[str, dict[str, Any]] = {
    **RECORDED,
    "gpt2-1-head": _gpt2(1),
    "gpt2-12-heads-wide": _gpt2(12, 96, n_inner=100, layer_norm_epsilon=1e-3),
    "gpt2-unscaled": _gpt2(2, scale_attn_weights=False),
    "gpt2-scaled-by-layer": _gpt2(2, scale_attn_by_inverse_layer_idx=True),
    "llama-wide-heads": _llama(3, 1, head_dim=16, rms_norm_eps=1e-3),
    "llama-all-biases": _llama(2, 2, attention_bias=True, mlp_bias=True),
    "mistral-without-window": _llama(4, 2, "mistral", sliding_window=None, head_dim=8),
    "mistral-wide-window": _llama(4, 1, "mistral", sliding_window=64),
}


def make_network(name: str, folder: Path) -> None:
    """Save the seeded random network ``name`` of `LIVE` as transformers saves it."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(sorted(LIVE).index(name))
    auto: Any = AutoModelForCausalLM
    model = auto.from_config(AutoConfig.for_model(**LIVE[name]))
    with torch.no_grad():
        for parameter in model.parameters():
            offset = 1.0 if parameter.dim() == 1 else 0.0
            parameter.copy_(offset + torch.randn_like(parameter) * 0.25)
    if name.endswith("bfloat16"):
        model = model.to(torch.bfloat16)
    model.save_pretrained(folder, max_shard_size="8KB" if name.endswith("sharded") else "1GB")


def network_tokens() -> list[int]:
    """The tokens that every random network is run on."""
    return [(7 * i * i + 3 * i) % 61 for i in range(20)]


def network_logits(folder: Path) -> Any:
    """Logits of every row of a saved network, float32 (rows, vocabulary)."""
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        return model.eval()(torch.tensor([network_tokens()])).logits[0].numpy()


def smollm2(file: Path) -> tuple[Any, Any]:
    """Tokenizer and float32 model that transformers reads from the GGUF file."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model: Any = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32
    )
    return tokenizer, model.eval()


def published_rule(tokenizer: Any) -> Any:
    """The tokenizer with the rule that SmolLM2's own ``tokenizer.json`` cuts texts by.

    A GGUF file holds only that rule's name, and transformers does not look at it: it cuts by
    GPT-2's rule, which differs where several spaces stand before a digit.
    """
    from tokenizers import pre_tokenizers

    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True),
        ]
    )
    return tokenizer


def record_smollm2() -> None:
    """Write token ids, chat and some logits of SmolLM2."""
    import torch

    from sangbo.sources import entries, fetch

    tokenizer, model = smollm2(fetch(entries()[CATALOGUE_NAME]))
    chat = list(CHAT)
    document: dict[str, Any] = {
        "control": {t: tokenizer(t)["input_ids"] for t in TEXTS},
        "plain": {t: tokenizer(t, split_special_tokens=True)["input_ids"] for t in TEXTS},
        "chat": tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True),
        "chat_ids": tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"],
        "logits": {},
    }
    for text in TEXTS[:4]:
        with torch.no_grad():
            row = model(torch.tensor([tokenizer(text)["input_ids"]])).logits[0, -1].numpy()
        document["logits"][text] = {
            "best": int(row.argmax()),
            "values": [round(float(v), 6) for v in row[::COLUMNS]],
        }
    published = published_rule(tokenizer)
    document["digits"] = {t: published(t)["input_ids"] for t in DIGIT_TEXTS}
    SMOLLM2.write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")


def record_networks() -> None:
    """Write the random networks of `RECORDED` with their logits."""
    shutil.rmtree(NETWORKS, ignore_errors=True)
    for name in RECORDED:
        folder = NETWORKS / name
        make_network(name, folder)
        rows = [[round(float(v), 6) for v in row] for row in network_logits(folder)[::5]]
        (folder / "expected.json").write_text(json.dumps(rows) + "\n", encoding="utf-8")
        (folder / "generation_config.json").unlink(missing_ok=True)


if __name__ == "__main__":
    record_networks()
    record_smollm2()
