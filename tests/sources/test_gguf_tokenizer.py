from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sangbo.errors import SourceError, UnsupportedError
from sangbo.sources import Tokenizer
from sangbo.sources.facts import Facts
from sangbo.sources.gguf_tokenizer import CUTS, read_tokenizer
from sources.made_gguf import METADATA, TOKENIZER, random_tensors, write_gguf

KEY = "tokenizer.ggml."
ALPHABET = ["Ġ", *"ab12.'s\n", "Ċ", "Ã", "©"]


def read(**changes: Any) -> Tokenizer:
    """The tokenizer of `TOKENIZER` with changes; None removes a key."""
    metadata = {**TOKENIZER, **{KEY + k: v for k, v in changes.items()}}
    return read_tokenizer(Facts({k: v for k, v in metadata.items() if v is not None}, "net.gguf"))


def cut(rule: str, text: str) -> list[str]:
    """The parts that a text is cut into before merging, by a rule of `CUTS`."""
    pieces = CUTS[rule]().pre_tokenize_str(text)
    return [text[start:stop] for _, (start, stop) in pieces]


def test_merges_and_added_tokens() -> None:
    tokenizer = read()
    assert tokenizer.encode("ab ab") == [6, 7]
    assert tokenizer.encode("a<think>b") == [3, 2, 4]
    assert tokenizer.encode("a<|im_end|>", control=True) == [3, 1]
    assert tokenizer.control_tokens == ("<|endoftext|>", "<|im_end|>")
    assert tokenizer.ends == {0, 1}
    assert tokenizer.special == {"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>"}
    assert tokenizer.render([{"role": "user", "content": "ab"}]) == "ab<|im_end|>"


def test_begin_token_where_the_file_asks_for_it() -> None:
    assert read(add_bos_token=True).encode("ab") == [0, 6]
    assert read(add_bos_token=True).encode("ab", affixes=False) == [6]
    assert read(pre="llama-bpe").encode("ab") == [0, 6]
    assert read(pre="llama-bpe", add_bos_token=False).encode("ab") == [6]
    with pytest.raises(SourceError, match="bos_token_id"):
        read(add_bos_token=True, bos_token_id=None)


def test_rules_cut_as_their_networks_were_trained() -> None:
    text = "It's 12345  7ab\r\n  x"
    assert cut("gpt-2", text) == ["It", "'s", " 12345", " ", " 7", "ab", "\r\n ", " x"]
    assert cut("smollm", text) == [
        "It", "'s", " ", "1", "2", "3", "4", "5", "  ", "7", "ab", "\r\n ", " x"
    ]  # fmt: skip
    assert cut("llama-bpe", text) == [
        "It", "'s", " ", "123", "45", " ", " ", "7", "ab", "\r\n", " ", " x"
    ]  # fmt: skip
    assert cut("qwen2", text) == [
        "It", "'s", " ", "1", "2", "3", "4", "5", " ", " ", "7", "ab", "\r\n", " ", " x"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": "bert"}, UnsupportedError, "'bert'"),
        ({"model": None}, SourceError, "tokenizer.ggml.model"),
        ({"pre": "chatglm-bpe"}, UnsupportedError, "'chatglm-bpe'"),
        ({"pre": None}, UnsupportedError, "'default'"),
        ({"tokens": None}, SourceError, "tokens"),
        ({"tokens": []}, SourceError, "texts"),
        ({"tokens": [1, 2]}, SourceError, "texts"),
        ({"tokens": ["a", "a"], "token_type": [1, 1]}, SourceError, "twice"),
        ({"merges": ["a"]}, SourceError, "two parts"),
        ({"merges": ["a b c"]}, SourceError, "two parts"),
        ({"merges": ["a z"]}, SourceError, "vocabulary"),
        ({"merges": None}, SourceError, "merges"),
        ({"token_type": [1]}, SourceError, "found 1"),
        ({"eos_token_id": 8}, SourceError, "eos_token_id"),
        ({"model": "llama", "scores": [0.0]}, SourceError, "found 1"),
        ({"model": "llama", "scores": ["x"] * 8}, SourceError, "score"),
        ({"model": "llama", "scores": [0.0] * 2, "tokens": ["a", "a" * 5000]}, SourceError, "5000"),
    ],
)
def test_odd_metadata_is_refused(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read(**changes)


def sentence_piece(**changes: Any) -> dict[str, Any]:
    """Metadata of a SentencePiece vocabulary whose scores decide between merges."""
    pieces = ["▁", "a", "b", "c", "ab", "bc", "abc", "▁a", "세", "▁세", "▁▁", "ca", "cab"]
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    tokens = ["<unk>", "<s>", "</s>", *bytes_, *pieces]
    scores = [0.0] * 259 + [
        -9.0,
        -9.0,
        -9.0,
        -9.0,
        -2.0,
        -1.0,
        -3.0,
        -1.5,
        -9.0,
        -4.0,
        -5.0,
        -1.0,
        -6.0,
    ]
    return {
        "model": "llama", "tokens": tokens, "scores": scores, "merges": None, "pre": None,
        "token_type": [2, 3, 3] + [6] * 256 + [1] * len(pieces),
        "bos_token_id": 1, "eos_token_id": 2, "unknown_token_id": 0, **changes,
    }  # fmt: skip


PIECE_TEXTS = ("abc", "abcab ca  cab", "세 ab 🙂é", " a", "a\nb", "", "   c")


def test_sentence_pieces_merge_by_score() -> None:
    tokenizer = read(**sentence_piece())
    tokens = sentence_piece()["tokens"]
    # "bc" and "ca" beat "▁a", which beats "ab".
    assert [tokens[i] for i in tokenizer.encode("abc")] == ["<s>", "▁a", "bc"]
    assert [tokens[i] for i in tokenizer.encode("é")][1:] == ["▁", "<0xC3>", "<0xA9>"]
    assert tokenizer.ends == {2}
    for text in PIECE_TEXTS:
        assert tokenizer.decode(tokenizer.encode(text)) == text.removeprefix(" ")


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("space", [True, None])
def test_sentence_pieces_are_those_of_transformers(tmp_path: Path, space: bool | None) -> None:
    from transformers import AutoTokenizer

    changes = sentence_piece(add_space_prefix=space)
    metadata = {**TOKENIZER, **{KEY + k: v for k, v in changes.items()}}
    metadata = {k: v for k, v in metadata.items() if v is not None}
    write_gguf(tmp_path / "net.gguf", random_tensors(), tokenizer=metadata, metadata=METADATA)
    theirs = AutoTokenizer.from_pretrained(tmp_path, gguf_file="net.gguf")
    ours = read(**changes)
    for text in PIECE_TEXTS:
        assert ours.encode(text, control=True) == theirs(text)["input_ids"], text
        assert ours.decode(ours.encode(text)) == theirs.decode(ours.encode(text)[1:])


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("rule", [r for r in CUTS if r != "smollm"])
def test_rules_are_those_of_transformers(tmp_path: Path, rule: str) -> None:
    from transformers import AutoTokenizer

    metadata = {**TOKENIZER, KEY + "pre": rule}
    write_gguf(tmp_path / "net.gguf", random_tensors(), tokenizer=metadata)
    theirs = AutoTokenizer.from_pretrained(tmp_path, gguf_file="net.gguf").backend_tokenizer
    ours = CUTS[rule]()
    for text in ("It's I'M 12345 ½²  7ab\r\n\n  x\ty", "안녕 세계123 🙂🙂 naïve", "   ", "a  \n b"):
        assert ours.pre_tokenize_str(text) == theirs.pre_tokenizer.pre_tokenize_str(text)
