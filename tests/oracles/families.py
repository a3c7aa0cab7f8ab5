"""Seeded random networks of transformers' families, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WORDS = 61
LENGTHS = (1, 9)
"""Rows of the source of each sequence that is run."""

_BERT = {
    "model_type": "bert", "architecture": "BertModel", "vocab_size": WORDS, "hidden_size": 24,
    "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40,
    "max_position_embeddings": 32, "type_vocab_size": 2,
}  # fmt: skip
_SIDES = {
    "encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 3,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 40, "decoder_ffn_dim": 28, "d_model": 24,
}  # fmt: skip
_TOKENS = {
    "vocab_size": WORDS, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    "decoder_start_token_id": 0, "forced_eos_token_id": None,
}  # fmt: skip
_BART = {
    "model_type": "bart", "architecture": "BartForConditionalGeneration", **_SIDES, **_TOKENS,
    "max_position_embeddings": 32,
}  # fmt: skip
_T5 = {
    "model_type": "t5", "architecture": "T5ForConditionalGeneration", **_TOKENS, "d_model": 24,
    "d_kv": 8, "d_ff": 40, "num_layers": 2, "num_decoder_layers": 3, "num_heads": 4,
}  # fmt: skip
_WHISPER = {
    "model_type": "whisper", "architecture": "WhisperForConditionalGeneration", **_SIDES, **_TOKENS,
    "num_mel_bins": 10, "max_source_positions": 15, "max_target_positions": 32,
}  # fmt: skip
_MIXTRAL = {
    "model_type": "mixtral", "architecture": "MixtralForCausalLM", "vocab_size": WORDS,
    "hidden_size": 24, "intermediate_size": 20, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 32, "sliding_window": None,
    "num_local_experts": 4, "num_experts_per_tok": 2, "tie_word_embeddings": False,
}  # fmt: skip

NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "bert": _BERT,
    "bert-relu-1-head": {**_BERT, "hidden_act": "relu", "num_attention_heads": 1},
    "bert-classifier": {**_BERT, "architecture": "BertForSequenceClassification", "num_labels": 5},
    "bart": _BART,
    "bart-scaled-untied": {**_BART, "scale_embedding": True, "tie_word_embeddings": False},
    "bart-relu": {**_BART, "activation_function": "relu"},
    "mbart-norm-first": {
        **_BART, "model_type": "mbart", "architecture": "MBartForConditionalGeneration",
        "scale_embedding": True,
    },
    "marian": {
        **_BART, "model_type": "marian", "architecture": "MarianMTModel",
        "scale_embedding": True, "activation_function": "swish",
    },
    "marian-two-vocabularies": {
        **_BART, "model_type": "marian", "architecture": "MarianMTModel",
        "share_encoder_decoder_embeddings": False, "decoder_vocab_size": 47,
    },
    "t5": _T5,
    "t5-gated-unscaled": {**_T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    "t5-gated-silu": {**_T5, "feed_forward_proj": "gated-silu"},
    "t5-few-buckets": {
        **_T5, "relative_attention_num_buckets": 8, "relative_attention_max_distance": 7,
    },
    "mt5": {
        **_T5, "model_type": "mt5", "architecture": "MT5ForConditionalGeneration",
        "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False,
    },
    "whisper": _WHISPER,
    "whisper-relu": {**_WHISPER, "activation_function": "relu", "d_model": 12},
    "mixtral": _MIXTRAL,
    "mixtral-1-of-3-tied": {
        **_MIXTRAL, "num_local_experts": 3, "num_experts_per_tok": 1, "tie_word_embeddings": True,
    },
    "mixtral-all-experts": {**_MIXTRAL, "num_experts_per_tok": 4, "num_key_value_heads": 4},
}  # fmt: skip


def make(name: str, folder: Path) -> Any:
    """The seeded random network ``name``, also saved into ``folder`` as transformers saves it."""
    import torch
    import transformers

    settings = dict(NETWORKS[name])
    architecture = getattr(transformers, settings.pop("architecture"))
    torch.manual_seed(sorted(NETWORKS).index(name))
    config = transformers.AutoConfig.for_model(**settings)
    config.forced_eos_token_id = None
    model = architecture(config).eval()
    fixed = ("embed_positions",) if settings["model_type"] == "marian" else ()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if any(part in parameter_name for part in fixed):
                continue
            offset = 1.0 if parameter.dim() == 1 else 0.0
            parameter.copy_(offset + torch.randn_like(parameter) * 0.25)
        bias = getattr(model, "final_logits_bias", None)
        if bias is not None:
            bias.copy_(torch.randn_like(bias))
    model.save_pretrained(folder)
    return model


def words(count: int, step: int, most: int = WORDS) -> NDArray[np.int32]:
    """Some token ids."""
    index = np.arange(count)
    return ((7 * index * index + step * index + step) % most).astype(np.int32)


def features(settings: Mapping[str, Any], step: int) -> NDArray[np.float32]:
    """What a Whisper hears: (frames, bands)."""
    shape = (2 * settings["max_source_positions"], settings["num_mel_bins"])
    return np.random.default_rng(step).standard_normal(shape).astype(np.float32)
