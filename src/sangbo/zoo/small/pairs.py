"""Encoder–decoders that write a line of letters backwards: a T5 and a BART."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch

from sangbo.progress import Progress
from sangbo.zoo.small.training import train

LETTERS = "abcdefghijklmnop"
PAD, END, UNKNOWN, START = "<pad>", "</s>", "<unk>", "<s>"
LONGEST, BATCH = 12, 64


def words(count: int, seed: int) -> list[str]:
    """Random lines of four to twelve letters, with a space between neighbours."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(4, LONGEST + 1, count)
    return [" ".join(generator.choice(list(LETTERS), n)) for n in lengths]


def backwards(line: str) -> str:
    """What is to be written."""
    return line[::-1]


def tokenizer() -> tokenizers.Tokenizer:
    """Each letter is a token; a line ends with ``</s>``."""
    names = [PAD, END, UNKNOWN, START, *LETTERS]
    made = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({n: i for i, n in enumerate(names)}, UNKNOWN)
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, 1)]
    )
    made.add_special_tokens([PAD, END, UNKNOWN, START])
    return made


def t5() -> Any:
    """A T5 of two layers on each side, gated as in version 1.1."""
    from transformers import T5Config, T5ForConditionalGeneration

    return T5ForConditionalGeneration(
        T5Config(
            vocab_size=len(LETTERS) + 4, d_model=64, d_kv=16, d_ff=128, num_layers=2,
            num_heads=4, dropout_rate=0.0, pad_token_id=0, eos_token_id=1,
            decoder_start_token_id=0, feed_forward_proj="gated-gelu", tie_word_embeddings=False,
        )
    )  # fmt: skip


def bart() -> Any:
    """A BART of two layers on each side."""
    from transformers import BartConfig, BartForConditionalGeneration

    return BartForConditionalGeneration(
        BartConfig(
            vocab_size=len(LETTERS) + 4, max_position_embeddings=32, d_model=64,
            encoder_layers=2, decoder_layers=2, encoder_ffn_dim=128, decoder_ffn_dim=128,
            encoder_attention_heads=4, decoder_attention_heads=4, dropout=0.0, pad_token_id=0,
            bos_token_id=3, eos_token_id=1, decoder_start_token_id=3, forced_eos_token_id=None,
        )
    )  # fmt: skip


KINDS = {"t5": t5, "bart": bart}


def trained(
    kind: str, folder: Path, progress: Progress, *, steps: int = 1500, seed: int = 0
) -> None:
    """Train one of `KINDS`; ``folder`` gets what transformers writes."""
    made = tokenizer()
    torch.manual_seed(seed)
    module = KINDS[kind]()
    lines = words(20_000, seed)
    sources = [made.encode(line).ids for line in lines]
    targets = [made.encode(backwards(line)).ids for line in lines]

    def step(generator: Any) -> Any:
        chosen = torch.randint(len(lines), (BATCH,), generator=generator).tolist()
        given = _padded([sources[i] for i in chosen], 0)
        wanted = _padded([targets[i] for i in chosen], -100)
        return module(input_ids=given, attention_mask=(given != 0).long(), labels=wanted).loss

    train(module, step, steps=steps, rate=2e-3, seed=seed, progress=progress,
          doing=f"training {kind}")  # fmt: skip
    module.save_pretrained(folder, safe_serialization=True)
    made.save(str(folder / "tokenizer.json"))


def _padded(rows: list[list[int]], filler: int) -> Any:
    longest = max(map(len, rows))
    return torch.tensor([row + [filler] * (longest - len(row)) for row in rows])
