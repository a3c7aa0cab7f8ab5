"""Without a target: how many groups are there, and would another sample find them again?"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score
from threadpoolctl import threadpool_limits

from sangbo.errors import DataError
from sangbo.progress import Progress, silent

MAX_ROWS = 2000
MAX_GROUPS = 8
REPEATS = 10
STABLE = 0.8


@dataclass(frozen=True)
class Grouping:
    """How well one number of groups holds.

    Attributes:
        groups: how many.
        silhouette: how well they stand apart, −1 to 1.
        chance: the same for rows whose columns were shuffled apart, the mean and the largest.
        stability: mean adjusted Rand index between groupings of two halves, 1 if always the same.
        lowest: the lowest of them.
        sizes: rows of every group.
    """

    groups: int
    silhouette: float
    chance: tuple[float, float]
    stability: float
    lowest: float
    sizes: tuple[int, ...]

    @property
    def holds(self) -> bool:
        """Whether it stands apart more than chance does, and is found again."""
        return self.silhouette > self.chance[1] and self.stability >= STABLE

    def to_dict(self) -> dict[str, Any]:
        """The grouping as JSON values."""
        return {
            "groups": self.groups,
            "silhouette": self.silhouette,
            "chance": list(self.chance),
            "stability": self.stability,
            "lowest_stability": self.lowest,
            "sizes": list(self.sizes),
            "holds": self.holds,
        }


def find_groups(
    x: NDArray[np.float64],
    *,
    budget: float = 60.0,
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[int, list[Grouping], list[str]]:
    """Try two to eight groups (k-means) and keep the number that holds best.

    A number of groups *holds* if its silhouette is above every one of ten tables whose columns were
    shuffled apart, and two models trained on random halves agree on all rows (adjusted Rand index
    of at least 0.8 on average). Of those that hold the largest silhouette wins.

    Args:
        x: (rows, columns) prepared: standardised, without gaps.
        budget: seconds.
        seed: of everything drawn.
        progress: told the number of groups being tried.

    Returns:
        the number (1 if none holds), every number tried, and notes.

    Raises:
        DataError: fewer than ten rows.
    """
    if len(x) < 10:
        raise DataError(f"expected 10 or more rows to look for groups, found {len(x)}")
    random = np.random.default_rng(seed)
    notes = []
    if len(x) > MAX_ROWS:
        notes.append(f"Groups were looked for in {MAX_ROWS:,} rows drawn from {len(x):,}.")
        x = x[random.choice(len(x), MAX_ROWS, replace=False)]
    end = time.perf_counter() + budget
    tried: list[Grouping] = []
    with threadpool_limits(1):
        for count in range(2, min(MAX_GROUPS, len(np.unique(x, axis=0)) - 1, len(x) // 4) + 1):
            if time.perf_counter() > end:
                notes.append(f"The budget ended before {count} groups were tried.")
                break
            progress(f"{count} groups", (count - 2) / (MAX_GROUPS - 1))
            tried.append(_try(x, count, random))
    good = [g for g in tried if g.holds]
    best = max(good, key=lambda g: g.silhouette).groups if good else 1
    return best, tried, notes


def _try(x: NDArray[np.float64], count: int, random: np.random.Generator) -> Grouping:
    def model(rows: NDArray[np.float64]) -> KMeans:
        seed = int(random.integers(2**31))
        return KMeans(count, n_init=4, random_state=seed).fit(rows)

    labels = model(x).labels_
    chance = []
    agreement = []
    for _ in range(REPEATS):
        apart = random.permuted(x, axis=0)
        chance.append(_apart(apart, model(apart).labels_))
        order = random.permutation(len(x))
        half = len(x) // 2
        one, other = model(x[order[:half]]), model(x[order[half:]])
        agreement.append(adjusted_rand_score(one.predict(x), other.predict(x)))
    return Grouping(
        groups=count,
        silhouette=_apart(x, labels),
        chance=(float(np.mean(chance)), float(np.max(chance))),
        stability=float(np.mean(agreement)),
        lowest=float(np.min(agreement)),
        sizes=tuple(sorted(np.bincount(labels).tolist(), reverse=True)),
    )


def _apart(x: NDArray[np.float64], labels: NDArray[np.int32]) -> float:
    return float(silhouette_score(x, labels)) if len(np.unique(labels)) > 1 else -1.0
