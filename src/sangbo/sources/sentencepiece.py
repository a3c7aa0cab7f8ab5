"""SentencePiece vocabularies (Kudo and Richardson 2018, arXiv 1808.06226) without its library.

A ``.spm`` or ``.model`` file is a protocol buffer (``sentencepiece_model.proto``). Of a unigram
vocabulary its pieces, scores and normalisation become a tokenizer of the ``tokenizers`` library.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import (
    AddedToken,
    Regex,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from sangbo.errors import SourceError, UnsupportedError
from sangbo.sources.cursor import Cursor, map_file
from sangbo.sources.tokenizer import Tokenizer, library

LARGEST_FILE = 64 * 2**20
MOST_PIECES = 2**21
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
UNIGRAM = 1
_ALL = 2**31
"""Spaces that are taken away where a text begins."""

_SPACE = "▁"
_FOREIGN = "\ufdd0"
"""Marks a piece that no text is cut into: not a character, so that no text holds it."""
_END, _UNKNOWN, _PAD = "</s>", "<unk>", "<pad>"
_LANGUAGE = re.compile(r">>.+<<")


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of text of the vocabulary, the logarithm of its probability, and its kind."""

    text: str
    score: float
    kind: int


def read_sentencepiece(
    path: Path, *, ends: bool, numbers: Mapping[str, int] | None = None
) -> Tokenizer:
    """The tokenizer of a unigram vocabulary.

    Args:
        path: the file.
        ends: whether the end token is added after a text.
        numbers: the id of each token, if they are not the file's own; see `numbered`.

    Unknown characters next to each other are one token, as in SentencePiece. Two cases differ from
    it: a combining mark after a character that normalisation replaces goes with it, and unknown
    characters on both sides of a cut within a written control token are two tokens.

    Raises:
        SourceError: where the file is broken.
        UnsupportedError: where its vocabulary is not unigram, or falls back to bytes.
    """
    document = _message(path)
    pieces = [_piece(part, str(path)) for part in document.get(1, ())]
    if not {2, 3} <= document.keys():
        raise SourceError(f"expected {path} to say how it was made, found a part of a vocabulary")
    trainer, normalizer = (_parse(document[field][-1], str(path)) for field in (2, 3))
    if (model := _number(trainer, 3, UNIGRAM)) != UNIGRAM:
        raise UnsupportedError(f"expected a unigram vocabulary in {path}, found model type {model}")
    if _number(trainer, 35, 0) or any(p.kind == BYTE for p in pieces):
        raise UnsupportedError(f"expected {path} to keep unknown characters, found bytes for them")
    if _number(trainer, 24, 0) or not _number(normalizer, 5, 1):
        raise UnsupportedError(f"expected {path} to mark spaces before words, found another way")
    unknown = [i for i, p in enumerate(pieces) if p.kind == UNKNOWN]
    texts = {p.text for p in pieces}
    if len(unknown) != 1 or len(texts) != len(pieces) or len(pieces) > MOST_PIECES:
        raise SourceError(
            f"expected at most {MOST_PIECES} pieces in {path} that differ, one of them unknown, "
            f"found {len(pieces)} of which {len(unknown)} unknown"
        )
    last = _number(trainer, 42, 2)
    if numbers is not None:
        pieces = numbered(pieces, numbers, str(path))
        unknown, last = [numbers[_UNKNOWN]], numbers[_END]
    if any(len(p.text) < 2 for p in pieces if p.kind in (UNKNOWN, CONTROL)):
        raise UnsupportedError(f"expected control tokens of several characters in {path}")
    inner = _tokenizer(pieces, unknown[0], normalizer, str(path))
    end = pieces[last].text if 0 <= last < len(pieces) else None
    if ends and end is not None:
        inner.post_processor = processors.TemplateProcessing(
            single=["$A", end], pair=["$A", end, "$B", end], special_tokens=[(end, last)]
        )
    special = {"unk_token": pieces[unknown[0]].text}
    if end is not None:
        special["eos_token"] = end
    return Tokenizer(inner, None, special, () if end is None else (end,))


def numbered(pieces: list[Piece], numbers: Mapping[str, int], where: str) -> list[Piece]:
    """A vocabulary in the order of other ids, as Marian's networks in Hugging Face's form have it.

    Both languages share the ids, but only one language's pieces come with probabilities: the other
    one's are marked so that no text is cut into them, and read as they are. A piece without an id
    is left out: its text is cut into others, where transformers makes it an unknown token.

    Raises:
        SourceError: where ids are missing, or there is no end or unknown token.
    """
    if sorted(numbers.values()) != list(range(len(numbers))) or not {_END, _UNKNOWN} <= set(
        numbers
    ):
        raise SourceError(
            f"expected ids beside {where} from 0 on, each once, {_END} and {_UNKNOWN} among them, "
            f"found {len(numbers)}"
        )
    known = {p.text: p for p in pieces if p.kind in (NORMAL, USER_DEFINED)}
    kinds = {_UNKNOWN: UNKNOWN, _END: CONTROL, _PAD: CONTROL}

    def piece(text: str) -> Piece:
        if text in kinds or _LANGUAGE.fullmatch(text):  # who wants a language writes >>por<<
            return Piece(text, 0.0, kinds.get(text, USER_DEFINED))
        return known.get(text) or Piece(_FOREIGN + text, 0.0, UNUSED)

    return [piece(text) for text in sorted(numbers, key=lambda t: numbers[t])]


def _tokenizer(
    pieces: list[Piece], unknown: int, normalizer: dict[int, list[Any]], where: str
) -> tokenizers.Tokenizer:
    """The pieces as a unigram model, with the file's own normalisation."""
    normal = [p.score for p in pieces if p.kind in (NORMAL, USER_DEFINED)]
    if not normal:
        raise SourceError(f"expected pieces for texts in {where}, found none")
    # Unused pieces lose against any other; what stands for no text is cut before it is found, and
    # its score must not lower that of unknown characters, which follows from the lowest.
    scores = [(p.text, p.score if p.kind == NORMAL else min(normal)) for p in pieces]
    controls = [p.text for p in pieces if p.kind in (UNKNOWN, CONTROL)]
    rules: list[Any] = []
    charsmap = normalizer.get(2, [b""])[-1]
    if not isinstance(charsmap, bytes):
        raise SourceError(f"expected a table of characters in {where}, found a number")
    with library(f"expected {where} to hold a vocabulary"):
        if charsmap:
            rules.append(normalizers.Precompiled(charsmap))
        if single := _number(normalizer, 4, 1):
            rules += [normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip()]
        inner = tokenizers.Tokenizer(models.Unigram(scores, unknown, byte_fallback=False))
        inner.normalizer = normalizers.Sequence(rules)
        prefixed = _number(normalizer, 3, 1)
        scheme = "always" if prefixed else "never"
        inner.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Metaspace(_SPACE, prepend_scheme=scheme), *map(_cut, controls)]
        )
        leading = _ALL if single else int(bool(prefixed))
        unmarked = [decoders.Replace(_FOREIGN, "")] if any(map(_foreign, pieces)) else []
        inner.decoder = decoders.Sequence(
            [
                *unmarked,
                decoders.Replace(_SPACE, " "),
                decoders.Fuse(),
                decoders.Strip(" ", left=leading),
            ]
        )
        inner.add_special_tokens([AddedToken(text, normalized=False) for text in controls])
        inner.add_tokens(
            [AddedToken(p.text, normalized=False) for p in pieces if p.kind == USER_DEFINED]
        )
    return inner


def _foreign(piece: Piece) -> bool:
    return piece.text.startswith(_FOREIGN)


def _cut(control: str) -> pre_tokenizers.PreTokenizer:
    """Cut a control token that stands in a text after its first character, so that it is text."""
    first, rest = re.escape(control[0]), re.escape(control[1:])
    return pre_tokenizers.Split(Regex(f"{first}(?={rest})"), behavior="merged_with_previous")


def _message(path: Path) -> dict[int, list[Any]]:
    cursor = map_file(path)
    if cursor.left > LARGEST_FILE:
        raise SourceError(
            f"expected {path} to have at most {LARGEST_FILE} bytes, found {cursor.left}"
        )
    return _fields(cursor)


def _parse(content: Any, where: str) -> dict[int, list[Any]]:
    if not isinstance(content, bytes):
        raise SourceError(f"expected a message in {where}, found a number")
    return _fields(Cursor(memoryview(content), where))


def _fields(cursor: Cursor) -> dict[int, list[Any]]:
    """The fields of a message by number: whole numbers, or bytes of anything else."""
    fields: dict[int, list[Any]] = {}
    for number, value in _pairs(cursor):
        fields.setdefault(number, []).append(value)
    return fields


def _pairs(cursor: Cursor) -> Iterator[tuple[int, int | bytes]]:
    while cursor.left:
        key = _varint(cursor)
        number, kind = key >> 3, key & 7
        if kind == 0:
            yield number, _varint(cursor)
        elif kind == 2:
            yield number, bytes(cursor.take(_varint(cursor)))
        elif kind in (1, 5):
            yield number, bytes(cursor.take(8 if kind == 1 else 4))
        else:
            raise SourceError(f"expected a protocol buffer in {cursor.where}, found type {kind}")


def _varint(cursor: Cursor) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte: int = cursor.scalar("B")
        value |= (byte & 127) << shift
        if byte < 128:
            return value
    raise SourceError(f"expected numbers of 64 bits in {cursor.where}, found a longer one")


def _number(fields: dict[int, list[Any]], field: int, default: int) -> int:
    value = fields.get(field, [default])[-1]
    return value if isinstance(value, int) else default


def _piece(content: Any, where: str) -> Piece:
    fields = _parse(content, where)
    text, score = fields.get(1, [b""])[-1], fields.get(2, [bytes(4)])[-1]
    try:
        if not isinstance(text, bytes) or not isinstance(score, bytes):
            raise SourceError(f"expected pieces of text and score in {where}, found a number")
        (value,) = struct.unpack("<f", score)
        return Piece(text.decode("utf-8"), value, _number(fields, 3, NORMAL))
    except (UnicodeDecodeError, struct.error) as error:
        raise SourceError(f"expected pieces of text and score in {where}: {error}") from None
