"""Unigram vocabularies against the SentencePiece library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from oracles.record import DIGIT_TEXTS, TEXTS
from sangbo.sources import Tokenizer, entries, fetch
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
