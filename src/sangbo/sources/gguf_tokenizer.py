"""The tokenizer in a GGUF file's metadata, rebuilt for the ``tokenizers`` library.

A GGUF file holds vocabulary, merges and the *name* of the rule that cuts a text before merging;
the rules here are those of llama.cpp and of the tokenizers that the networks were published with.
They differ in one known case from transformers' reader of GGUF files, which cuts ``smollm`` by
GPT-2's rule alone: the published tokenizer sets single digits apart first, so that of two spaces
before a digit both stay together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors

from sangbo.errors import SourceError, UnsupportedError
from sangbo.sources.facts import Facts
from sangbo.sources.tokenizer import Tokenizer, known_ends, library

CONTROL, USER_DEFINED = 3, 4
LONGEST_PIECE = 1024

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_ID_KEYS = {
    "bos_token": "tokenizer.ggml.bos_token_id",
    "eos_token": "tokenizer.ggml.eos_token_id",
    "unk_token": "tokenizer.ggml.unknown_token_id",
    "pad_token": "tokenizer.ggml.padding_token_id",
}


def _gpt2() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def _smollm() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _gpt2()])


def _words(digits: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS % digits), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _llama3() -> pre_tokenizers.PreTokenizer:
    return _words(r"\p{N}{1,3}")


def _qwen2() -> pre_tokenizers.PreTokenizer:
    return _words(r"\p{N}")


CUTS: Mapping[str, Callable[[], pre_tokenizers.PreTokenizer]] = {
    "gpt-2": _gpt2,
    "smollm": _smollm,
    "llama-bpe": _llama3,
    "qwen2": _qwen2,
    "deepseek-r1-qwen": _qwen2,
}
"""How a text is cut before merging, by the name in ``tokenizer.ggml.pre``."""


def read_tokenizer(facts: Facts) -> Tokenizer:
    """The tokenizer that a GGUF file's metadata holds.

    Raises:
        SourceError: where the metadata is missing or malformed.
        UnsupportedError: where its model or its way to cut a text is not known.
    """
    model = facts.text("tokenizer.ggml.model")
    tokens = _texts(facts, "tokenizer.ggml.tokens")
    vocabulary = {token: number for number, token in enumerate(tokens)}
    if len(vocabulary) != len(tokens):
        raise SourceError(f"expected tokens in {facts.where} that differ, found one twice")
    if model == "gpt2":
        inner, begins = _byte_level(facts, vocabulary)
    elif model == "llama":
        inner, begins = _sentence_piece(facts, vocabulary), True
    else:
        raise UnsupportedError(f"expected a tokenizer of gpt2 or llama type, found {model!r}")
    _add_tokens(inner, facts, tokens)
    special = {
        key: tokens[facts.whole(place, lowest=0, highest=len(tokens) - 1)]
        for key, place in _ID_KEYS.items()
        if place in facts
    }
    if facts.flag("tokenizer.ggml.add_bos_token", begins):
        _begin_with(inner, special, facts)
    ends = known_ends(inner) | {special[key] for key in ("eos_token",) if key in special}
    template = None
    if "tokenizer.chat_template" in facts:
        template = facts.text("tokenizer.chat_template")
    return Tokenizer(inner, template, special, ends)


def _byte_level(facts: Facts, vocabulary: Mapping[str, int]) -> tuple[tokenizers.Tokenizer, bool]:
    """Byte-level BPE, and whether a text begins with a token where the file does not say."""
    cut = facts.text("tokenizer.ggml.pre", "default")
    if cut not in CUTS:
        raise UnsupportedError(
            f"expected a tokenizer that cuts a text as {', '.join(CUTS)}, found {cut!r}"
        )
    merges = [_merge(text, facts.where) for text in _texts(facts, "tokenizer.ggml.merges")]
    whole_words = cut == "llama-bpe"
    inner = _bpe(facts, vocabulary, merges, ignore_merges=whole_words)
    if CUTS[cut] is _qwen2:
        inner.normalizer = normalizers.NFC()
    inner.pre_tokenizer = CUTS[cut]()
    inner.decoder = decoders.ByteLevel()
    return inner, whole_words


def _sentence_piece(facts: Facts, vocabulary: Mapping[str, int]) -> tokenizers.Tokenizer:
    """SentencePiece BPE with bytes for what has no piece.

    The file has scores instead of merges: every way to make a piece of two others is a merge, and
    the better the piece's score the earlier; of one piece, longer left parts come first.
    """
    scores = facts.items("tokenizer.ggml.scores")
    if len(scores) != len(vocabulary) or not all(isinstance(s, float) for s in scores):
        raise SourceError(f"expected one score per token in {facts.where}, found {len(scores)}")
    if (longest := max(map(len, vocabulary))) > LONGEST_PIECE:
        raise SourceError(
            f"expected pieces of {LONGEST_PIECE} characters at most in {facts.where}, "
            f"found {longest}"
        )
    found = [
        (scores[number], at, len(piece) - at, piece)
        for piece, number in vocabulary.items()
        for at in range(1, len(piece))
        if piece[:at] in vocabulary and piece[at:] in vocabulary
    ]
    found.sort(key=lambda m: m[:3], reverse=True)
    merges = [(piece[:at], piece[at:]) for _, at, _, piece in found]
    inner = _bpe(facts, vocabulary, merges, fuse_unk=True, byte_fallback=True)
    ending = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    prefixed = facts.flag("tokenizer.ggml.add_space_prefix", True)
    inner.pre_tokenizer = pre_tokenizers.Metaspace(
        prepend_scheme="first" if prefixed else "never", split=False
    )
    inner.decoder = decoders.Sequence(
        [*ending, decoders.Strip(content=" ", left=1)] if prefixed else ending
    )
    return inner


def _bpe(
    facts: Facts, vocabulary: Mapping[str, int], merges: list[tuple[str, str]], **options: bool
) -> tokenizers.Tokenizer:
    with library(f"expected {facts.where} to hold a tokenizer"):
        return tokenizers.Tokenizer(models.BPE(dict(vocabulary), merges, **options))


def _add_tokens(inner: tokenizers.Tokenizer, facts: Facts, tokens: list[str]) -> None:
    """Mark control tokens, and tokens that are never cut, as such."""
    kinds = facts.items("tokenizer.ggml.token_type")
    if len(kinds) != len(tokens):
        raise SourceError(f"expected one type per token in {facts.where}, found {len(kinds)}")
    for kind, special in ((CONTROL, True), (USER_DEFINED, False)):
        chosen = [t for t, k in zip(tokens, kinds, strict=True) if k == kind and t]
        added = [AddedToken(t, normalized=False, special=special) for t in chosen]
        if special:
            inner.add_special_tokens(added)
        else:
            inner.add_tokens(added)


def _begin_with(inner: tokenizers.Tokenizer, special: Mapping[str, str], facts: Facts) -> None:
    """Let every text begin with the ``bos_token``."""
    if "bos_token" not in special:
        raise SourceError(f"expected tokenizer.ggml.bos_token_id in {facts.where}, found none")
    token = special["bos_token"]
    number = inner.token_to_id(token)
    inner.post_processor = processors.Sequence(
        [
            processors.TemplateProcessing(
                single=[token, "$A"],
                pair=[token, "$A", token, "$B"],
                special_tokens=[(token, number)],
            )
        ]
    )


def _texts(facts: Facts, key: str) -> list[Any]:
    texts = facts.items(key)
    if not texts or not all(isinstance(t, str) for t in texts):
        raise SourceError(f"expected {key!r} in {facts.where} to hold texts")
    return texts


def _merge(text: str, where: str) -> tuple[str, str]:
    left, _, right = text.partition(" ")
    if not left or not right or " " in right:
        raise SourceError(f"expected merges of two parts in {where}, found {text!r}")
    return left, right
