from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers

from sangbo.errors import SourceError
from sangbo.sources import Tokenizer

TRAINING = [
    "the quick brown fox jumps over the lazy dog " * 3,
    "안녕하세요 세계 🙂🙂 naïve façade ½ 1234567890 \n\n\t def f(x): return x",
]


def byte_level() -> tokenizers.Tokenizer:
    """A byte-level tokenizer trained here, with two control tokens and one that is none."""
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.train_from_iterator(
        TRAINING,
        trainers.BpeTrainer(
            vocab_size=320,
            special_tokens=["<s>", "<|im_end|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    inner.add_tokens([AddedToken("<think>", special=False, normalized=False)])
    return inner


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(
        byte_level(),
        "{{ bos_token }}{{ messages[0].content }}",
        {"bos_token": "<s>"},
        ["<|im_end|>"],
    )


@given(text=st.text())
def test_any_text_comes_back(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(
    text=st.lists(st.sampled_from(["<|im_end|>", "<s>", "<", "|", "im_end", "a", " "])).map("".join)
)
def test_text_never_holds_control_tokens(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert not tokenizer.ends & set(ids)
    assert 0 not in ids
    assert tokenizer.decode(ids) == text


def test_control_tokens_on_request(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("<s>fox<|im_end|>", control=True)
    assert (ids[0], ids[-1]) == (0, 1)
    assert tokenizer.decode(ids) == "fox"
    assert tokenizer.decode(ids, control=True) == "<s>fox<|im_end|>"
    assert tokenizer.ends == {1}
    assert tokenizer.control_tokens == ("<s>", "<|im_end|>")
    assert tokenizer.encode_chat([{"role": "user", "content": "fox"}]) == ids[:-1]


def test_size_counts_added_tokens(tokenizer: Tokenizer) -> None:
    assert tokenizer.size == tokenizer.encode("<think>")[0] + 1


@given(ids=st.lists(st.integers(0, 320), max_size=40))
@settings(max_examples=300)
def test_stream_gives_the_text_of_all_ids(tokenizer: Tokenizer, ids: list[int]) -> None:
    stream = tokenizer.stream()
    pieces = [stream.push(number) for number in ids]
    assert "".join(pieces) + stream.finish() == tokenizer.decode(ids)


@given(text=st.text(st.characters(exclude_characters="�", exclude_categories=["Cs"])))
@settings(max_examples=300)
def test_stream_never_gives_half_a_character(tokenizer: Tokenizer, text: str) -> None:
    stream = tokenizer.stream()
    given_so_far = ""
    for number in tokenizer.encode(text):
        given_so_far += stream.push(number)
        assert text.startswith(given_so_far)
    assert given_so_far == text
    assert stream.finish() == ""


def test_stream_holds_a_character_until_it_is_whole(tokenizer: Tokenizer) -> None:
    stream = tokenizer.stream()
    ids = tokenizer.encode("𓀀")
    assert len(ids) == 4
    assert [stream.push(number) for number in ids] == ["", "", "", "𓀀"]
    stream.push(ids[0])
    assert stream.finish() == "�"


def sentence_piece() -> Tokenizer:
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2}
    for byte in range(256):
        vocabulary[f"<0x{byte:02X}>"] = len(vocabulary)
    for piece in ("▁", "f", "o", "x", "fo", "fox", "▁fox"):
        vocabulary[piece] = len(vocabulary)
    merges = [("f", "o"), ("fo", "x"), ("▁", "fox")]
    inner = tokenizers.Tokenizer(models.BPE(vocabulary, merges, fuse_unk=True, byte_fallback=True))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    inner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
         decoders.Strip(content=" ", left=1)]
    )  # fmt: skip
    inner.add_special_tokens(["<s>", "</s>"])
    return Tokenizer(inner, ends=["</s>"])


@given(text=st.text(st.sampled_from("fox 세🙂é\n")).filter(lambda t: not t.startswith(" ")))
def test_stream_with_bytes_for_unknown_characters(text: str) -> None:
    tokenizer = sentence_piece()
    stream = tokenizer.stream()
    pieces = [stream.push(number) for number in tokenizer.encode(text)]
    assert "".join(pieces) + stream.finish() == text == tokenizer.decode(tokenizer.encode(text))
    assert "�" not in "".join(pieces)


def test_saved_tokenizer_is_the_same(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    again = Tokenizer.load(tmp_path)
    text = "the 세계 <|im_end|> 12"
    assert (again.template, again.special, again.ends, again.size) == (
        tokenizer.template, tokenizer.special, tokenizer.ends, tokenizer.size
    )  # fmt: skip
    for control in (False, True):
        assert again.encode(text, control=control) == tokenizer.encode(text, control=control)
    assert {p.name for p in tmp_path.iterdir()} == {"tokenizer.json", "tokenizer_config.json"}


def write(folder: Path, **files: Any) -> Path:
    (folder / "tokenizer.json").write_text(byte_level().to_str())
    for name, document in files.items():
        (folder / f"{name}.json").write_text(json.dumps(document))
    return folder


def test_ends_of_a_folder_that_transformers_wrote(tmp_path: Path) -> None:
    assert Tokenizer.load(write(tmp_path)).ends == {1}
    write(tmp_path, tokenizer_config={"eos_token": {"content": "<s>"}})
    assert Tokenizer.load(tmp_path).ends == {0, 1}
    write(tmp_path, tokenizer_config={}, generation_config={"eos_token_id": [5, 1]})
    assert Tokenizer.load(tmp_path).ends == {1, 5}
    write(tmp_path, generation_config={"eos_token_id": 7})
    assert Tokenizer.load(tmp_path).ends == {1, 7}
    write(tmp_path, generation_config={"eos_token_id": [-1, "x", None, 10**6]})
    assert Tokenizer.load(tmp_path).ends == {1}


def test_template_places(tmp_path: Path) -> None:
    assert Tokenizer.load(write(tmp_path)).template is None
    named = [{"name": "tool", "template": "b"}, {"name": "default", "template": "a"}]
    assert (
        Tokenizer.load(write(tmp_path, tokenizer_config={"chat_template": named})).template == "a"
    )
    (tmp_path / "chat_template.jinja").write_text("own")
    assert Tokenizer.load(tmp_path).template == "own"


def test_length_limits_of_a_file_do_not_cut_texts(tmp_path: Path) -> None:
    inner = byte_level()
    inner.enable_truncation(2)
    inner.enable_padding(length=8)
    (tmp_path / "tokenizer.json").write_text(inner.to_str())
    assert len(Tokenizer.load(tmp_path).encode("qz" * 20)) == 40
    assert len(Tokenizer.load(tmp_path).encode("q")) == 1


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"tokenizer": {}}, r"tokenizer\.json"),
        ({"tokenizer": {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}}, "vocab"),
        ({"tokenizer": {"model": {"type": "BPE", "vocab": {"a": 2**40}, "merges": []}}}, "u32"),
        ({"tokenizer": {"model": {"type": "Unigram", "vocab": [], "unk_id": 7}}}, "vocab"),
        ({"tokenizer_config": []}, "object"),
        ({"tokenizer_config": {"eos_token": 3}}, "eos_token"),
        ({"tokenizer_config": {"eos_token": {"text": "x"}}}, "content"),
        ({"tokenizer_config": {"chat_template": 3}}, "chat_template"),
        ({"tokenizer_config": {"chat_template": [{"name": "tool"}]}}, "default"),
        ({"tokenizer_config": {"end_tokens": ["<none>"]}}, "<none>"),
        ({"tokenizer_config": {"end_tokens": "x"}}, "end_tokens"),
    ],
)
def test_malformed_files_are_refused(tmp_path: Path, files: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        Tokenizer.load(write(tmp_path, **files))


def test_missing_and_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"tokenizer\.json"):
        Tokenizer.load(tmp_path)
    for content in (b"", b"\xff", b"{", b"[" * 10**5):
        (tmp_path / "tokenizer.json").write_bytes(content)
        with pytest.raises(SourceError, match=r"tokenizer\.json"):
            Tokenizer.load(tmp_path)


def test_tokenizer_that_breaks_at_work_is_refused() -> None:
    """The library takes these files, and fails or panics when they are used."""
    broken = {
        "model": {"type": "WordPiece", "vocab": {"b": 0}, "unk_token": "u",
                  "continuing_subword_prefix": "", "max_input_chars_per_word": 3}
    }  # fmt: skip
    panicking = {
        "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []},
        "post_processor": {"type": "TemplateProcessing", "pair": [], "special_tokens": {},
                           "single": [{"SpecialToken": {"id": "x", "type_id": 0}}]},
    }  # fmt: skip
    for document in (broken, panicking):
        tokenizer = Tokenizer(tokenizers.Tokenizer.from_str(json.dumps(document)))
        with pytest.raises(SourceError, match="expected a text"):
            tokenizer.encode("a")


def test_texts_and_ids_that_are_none(tokenizer: Tokenizer) -> None:
    with pytest.raises(SourceError, match="expected a text"):
        tokenizer.encode("\ud800")
    for number in (-1, 2**40):
        with pytest.raises(SourceError, match="token ids"):
            tokenizer.decode([number])
    assert tokenizer.decode([10**6]) == ""


def test_tokenizer_without_template_says_so() -> None:
    with pytest.raises(SourceError, match="without"):
        Tokenizer(byte_level()).render([])
