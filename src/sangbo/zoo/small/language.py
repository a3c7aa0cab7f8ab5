"""Language models on Shakespeare: a GPT-2 and a mixture of experts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tokenizers
import torch

from sangbo.data.texts import shakespeare
from sangbo.progress import Progress
from sangbo.zoo.small.training import train

VOCABULARY, CONTEXT, BATCH = 1024, 128, 16
HELD_OUT = 0.1
"""Share of the text, at its end, that nothing is trained on."""
END = "<|endoftext|>"


def gpt2() -> Any:
    """A GPT-2 of four layers."""
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=128, n_layer=4, n_head=4,
            bos_token_id=0, eos_token_id=0, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        )
    )  # fmt: skip


def mixtral() -> Any:
    """A mixture of four experts of which each token asks two (Jiang et al. 2024)."""
    from transformers import MixtralConfig, MixtralForCausalLM

    return MixtralForCausalLM(
        MixtralConfig(
            vocab_size=VOCABULARY, max_position_embeddings=CONTEXT, hidden_size=128,
            intermediate_size=192, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2,
            sliding_window=None, bos_token_id=0, eos_token_id=0, tie_word_embeddings=False,
        )
    )  # fmt: skip


KINDS = {"gpt2": gpt2, "mixtral": mixtral}


def parts(progress: Progress) -> tuple[str, str]:
    """The text to train on, and the text that nothing has seen."""
    text = shakespeare(progress)
    cut = int(len(text) * (1 - HELD_OUT))
    return text[:cut], text[cut:]


def trained(
    kind: str, folder: Path, progress: Progress, *, steps: int = 300, seed: int = 0
) -> None:
    """Train one of `KINDS` on Shakespeare; ``folder`` gets what transformers writes."""
    text, _ = parts(progress)
    tokenizer = _tokenizer(text)
    ids = torch.tensor(tokenizer.encode(text).ids)
    torch.manual_seed(seed)
    module = KINDS[kind]()

    def step(generator: Any) -> Any:
        starts = torch.randint(len(ids) - CONTEXT, (BATCH,), generator=generator)
        batch = torch.stack([ids[s : s + CONTEXT] for s in starts.tolist()])
        return module(input_ids=batch, labels=batch).loss

    train(module, step, steps=steps, rate=3e-3, seed=seed, progress=progress,
          doing=f"training {kind}")  # fmt: skip
    module.save_pretrained(folder, safe_serialization=True)
    tokenizer.save(str(folder / "tokenizer.json"))


def _tokenizer(text: str) -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[END], show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    made.train_from_iterator([text[: 2**20]], trainer)
    return made
