"""What networks are measured on, and what is left to calibrate them with; the two never meet.

Every list is shuffled once with `SEED`. Measurements take its first entries, as many as the
constants say; calibration draws from the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sangbo.data import pictures, texts
from sangbo.errors import SangboError
from sangbo.extras import need
from sangbo.progress import Progress, silent

SEED = 1
CAPTIONS, PHOTOS, WORDS = 150, 500, 1000
LANGUAGES = {"pt": ("pt_BR", "pt"), "en": ("en",)}
_FONTS = ("DejaVuSans", "DejaVuSerif", "DejaVuSans-Bold", "DejaVuSansMono")
_LONGEST_SENTENCE = 40

T = TypeVar("T")


def captions(source: str, target: str, progress: Progress = silent) -> list[tuple[str, str]]:
    """Captions of pictures in two languages, each once."""
    if unknown := {source, target} - LANGUAGES.keys():
        raise SangboError(f"expected languages among {sorted(LANGUAGES)}, found {sorted(unknown)}")
    found: dict[str, str] = {}
    for stamp in pictures.stamps(progress):
        sides = [
            next((stamp.captions[n] for n in LANGUAGES[side] if n in stamp.captions), None)
            for side in (source, target)
        ]
        if sides[0] and sides[1]:
            found.setdefault(sides[0], sides[1])
    return _shuffled(sorted(found.items()))


def photos(progress: Progress = silent) -> list[pictures.Stamp]:
    """Pictures of things."""
    return _shuffled(pictures.photos(progress))


def words(progress: Progress = silent) -> list[str]:
    """Words of CMUdict."""
    return _shuffled(sorted(texts.pronunciations(progress)))


def sentences(progress: Progress = silent) -> list[str]:
    """Sentences of Brown editorials and fiction; nothing is measured on these categories."""
    whole = " ".join(texts.brown(category, progress) for category in "bk")
    found = re.findall(r"[A-Z][^.?!]{10,}[.?!]", whole)
    return _shuffled([s for s in found if len(s.split()) <= _LONGEST_SENTENCE])


def drawn(pool: Sequence[T], count: int, seed: int) -> list[T]:
    """``count`` entries of what is left for calibration, in an order drawn with ``seed``."""
    if not pool:
        raise SangboError("expected something to calibrate with, found nothing left")
    order = np.random.default_rng(seed).permutation(len(pool))
    return [pool[i] for i in np.resize(order, count).tolist()]


def rendered_lines(
    count: int, seed: int, progress: Progress = silent
) -> list[tuple[str, NDArray[np.uint8]]]:
    """Pairs of words of the Brown corpus and their pictures, in fonts that matplotlib carries."""
    known = [w for w in texts.brown("a", progress).split() if w.isalpha()][:3000]
    return list(pictures.rendered(known, count, seed, fonts()))


@cache
def fonts() -> tuple[str, ...]:
    """Paths of four DejaVu fonts."""
    need("inspect", "matplotlib")
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    found = tuple(str(folder / f"{name}.ttf") for name in _FONTS)
    if missing := [f for f in found if not Path(f).is_file()]:
        raise SangboError(f"expected a font in {missing[0]}, found none")
    return found


def _shuffled(listed: Sequence[T]) -> list[T]:
    order = np.random.default_rng(SEED).permutation(len(listed))
    return [listed[i] for i in order]
