"""Unigram vocabularies against the SentencePiece library."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from oracles.record import DIGIT_TEXTS, TEXTS
from sangbo.sources import Tokenizer, entries, fetch
from sangbo.sources.marian import read_vocabulary
from sangbo.sources.sentencepiece import read_sentencepiece
from sources.made_binaries import sentencepiece

pytestmark = pytest.mark.oracle


def both(path: Path) -> tuple[Any, Tokenizer]:
    from sentencepiece import SentencePieceProcessor

    return SentencePieceProcessor(model_file=str(path)), read_sentencepiece(path, ends=True)


def compare(theirs: Any, ours: Tokenizer, texts: Iterator[str]) -> int:
    count = 0
    for text in texts:
        count += 1
        expected = theirs.encode(text)
        assert ours.encode(text, affixes=False) == expected, text
        assert ours.encode(text) == [*expected, theirs.eos_id()]
        known = [i for i in expected if i != theirs.unk_id()]
        assert ours.decode(known) == theirs.decode(known)
    return count


def test_made_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "small.spm"
    path.write_bytes(sentencepiece())
    theirs, ours = both(path)
    rng = Random(0)
    texts = ("".join(rng.choices("aab b!z /s>", k=rng.randrange(12))) for _ in range(2000))
    assert compare(theirs, ours, texts) == 2000
    compare(theirs, ours, iter(["</s>", "ab</s>ba", "  ", ""]))


@pytest.mark.network
@pytest.mark.parametrize("name", ["marian-tiny-en-pt", "marian-tiny-pt-en"])
def test_vocabularies_of_the_catalogue(name: str) -> None:
    """Texts of pieces drawn by chance, of one script's characters, and those of other tests."""
    (path,) = fetch(entries()[name]).glob("*.spm")
    theirs, ours = both(path)
    rng = Random(1)
    pieces = [theirs.id_to_piece(i).replace("▁", " ") for i in range(2, theirs.get_piece_size())]
    compare(theirs, ours, ("".join(rng.choices(pieces, k=rng.randrange(15))) for _ in range(3000)))
    letters = [chr(c) for c in (*range(32, 127), *range(0xA1, 0x180))]
    compare(theirs, ours, ("".join(rng.choices(letters, k=rng.randrange(40))) for _ in range(3000)))
    compare(theirs, ours, iter([*TEXTS, *DIGIT_TEXTS]))


def test_marian_in_the_form_of_hugging_face(tmp_path: Path) -> None:
    """Two small vocabularies trained here, ids shared, as MarianTokenizer reads them."""
    import sentencepiece
    from transformers import MarianTokenizer

    languages = {"source": (TEXTS * 3, 160), "target": (DIGIT_TEXTS * 3, 60)}
    tokens = ["</s>", "<unk>", ">>por<<"]
    for name, (texts, size) in languages.items():
        corpus = tmp_path / f"{name}.txt"
        corpus.write_text("\n".join(t.replace("\n", " ") for t in texts if t.strip()))
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus), model_prefix=str(tmp_path / name), vocab_size=size,
            hard_vocab_limit=False, minloglevel=2, bos_id=-1, eos_id=1,
        )  # fmt: skip
        (tmp_path / f"{name}.model").rename(tmp_path / f"{name}.spm")
        model = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / f"{name}.spm"))
        tokens += [model.id_to_piece(i) for i in range(2, model.get_piece_size())]
    tokens = list(dict.fromkeys([*tokens, "<pad>"]))
    (tmp_path / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    (tmp_path / "tokenizer_config.json").write_text("{}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it recommends a library that it does not use here
        theirs = MarianTokenizer.from_pretrained(tmp_path)
    ours = read_vocabulary(tmp_path)
    assert ours is not None
    rng = Random(2)
    # Both cuts of "..." into two pieces are as probable, and either library takes another.
    lines = [text for text in TEXTS if "..." not in text]
    words = [w for text in lines for w in text.split()]
    drawn = [" ".join(rng.choices(words, k=rng.randrange(1, 9))) for _ in range(500)]
    for text in [*drawn, *lines, ">>por<< " + drawn[0]]:
        assert ours.encode(text) == theirs(text)["input_ids"], text
    for _ in range(500):
        ids = rng.choices(range(3, len(tokens) - 1), k=rng.randrange(1, 9))
        assert ours.decode(ids).strip() == theirs.decode(ids), ids
