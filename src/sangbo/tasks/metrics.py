"""What a network is measured by, on answers and the truth; each by a library made for it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence, Sized

import numpy as np
from numpy.typing import NDArray

from sangbo.errors import SangboError
from sangbo.extras import need

Reals = NDArray[np.floating]


def error_rate(
    answers: Sequence[Sequence[Hashable]], truths: Sequence[Sequence[Hashable]]
) -> float:
    """Insertions, deletions and substitutions over the length of the truth: WER, PER or CER.

    Args:
        answers: words, phonemes or letters of each answer.
        truths: the same of each truth; edits and lengths are summed over all.
    """
    _same(answers, truths)
    need("zoo", "rapidfuzz")
    from rapidfuzz.distance import Levenshtein

    edits = sum(Levenshtein.distance(a, t) for a, t in zip(answers, truths, strict=True))
    length = sum(len(t) for t in truths)
    if length == 0:
        raise SangboError("expected truths of some length, found empty ones")
    return edits / length


def nearest(answer: Sequence[Hashable], truths: Sequence[Sequence[Hashable]]) -> Sequence[Hashable]:
    """The truth with the fewest edits from ``answer`` (a word may be said in several ways)."""
    need("zoo", "rapidfuzz")
    from rapidfuzz.distance import Levenshtein

    return min(truths, key=lambda t: Levenshtein.distance(answer, t))


def exact_match(answers: Sequence[Hashable], truths: Sequence[Hashable]) -> float:
    """Share of answers that equal the truth."""
    _same(answers, truths)
    return float(np.mean([a == t for a, t in zip(answers, truths, strict=True)]))


def chrf(answers: Sequence[str], truths: Sequence[str]) -> float:
    """chrF2 of a corpus, 0 to 100 (Popović 2015, W15-3049; sacrebleu's default settings)."""
    _same(answers, truths)
    need("zoo", "sacrebleu")
    from sacrebleu.metrics import CHRF

    return float(CHRF().corpus_score(list(answers), [list(truths)]).score)


def bleu(answers: Sequence[str], truths: Sequence[str]) -> float:
    """BLEU of a corpus, 0 to 100 (Papineni et al. 2002; sacrebleu's default settings)."""
    _same(answers, truths)
    need("zoo", "sacrebleu")
    from sacrebleu.metrics import BLEU

    return float(BLEU().corpus_score(list(answers), [list(truths)]).score)


def pearson(x: Reals, y: Reals) -> float:
    """Pearson's correlation of two lists of numbers."""
    _same(x, y)
    return float(np.corrcoef(x, y)[0, 1])


def spearman(x: Reals, y: Reals) -> float:
    """Spearman's correlation of ranks, ties sharing their mean rank."""
    _same(x, y)
    need("zoo", "scipy")
    from scipy.stats import spearmanr

    return float(spearmanr(x, y).statistic)


def auc(scores: Reals, truths: NDArray[np.bool_]) -> float:
    """Area under the receiver operating characteristic: P(a true one scores above a false one).

    Mann and Whitney's U over all pairs; equal scores count half.
    """
    _same(scores, truths)
    need("zoo", "scipy")
    from scipy.stats import mannwhitneyu

    true, false = scores[truths], scores[~truths]
    if not (len(true) and len(false)):
        raise SangboError("expected some true and some false ones, found one kind alone")
    return float(mannwhitneyu(true, false).statistic / (len(true) * len(false)))


def top(scores: Reals, labels: NDArray[np.integer], count: int = 1) -> float:
    """Share of rows whose label is among the ``count`` highest scores. (rows, classes), (rows,)."""
    _same(scores, labels)
    best = np.argsort(-scores, axis=-1, kind="stable")[:, :count]
    return float((best == labels[:, None]).any(axis=-1).mean())


def _same(left: Sized, right: Sized) -> None:
    if len(left) != len(right) or not len(left):
        raise SangboError(
            f"expected as many answers as truths, at least one, found {len(left)} and {len(right)}"
        )
