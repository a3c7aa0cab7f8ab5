"""Rows unlike anything seen: what no classifier of known classes can say by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.neighbors import NearestNeighbors

from sangbo.advise.candidates import preparation

NEIGHBOURS = 3
QUANTILE = 0.99
MIN_THRESHOLD = 0.5  # in standard deviations, for tables of exact copies
REFERENCE = 5000
UNSEEN = -1
"""Code of a category that was not there when the columns were encoded."""


@dataclass(frozen=True, slots=True)
class Oddity:
    """Why a row is unlike anything seen.

    Attributes:
        row: its position.
        distance: to its neighbours, in standard deviations over all columns together.
        reasons: in words.
    """

    row: int
    distance: float
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The oddity as JSON values."""
        return {"row": self.row, "distance": self.distance, "reasons": list(self.reasons)}


class Novelty(BaseEstimator):  # type: ignore[misc]
    """Flags a row that is farther from its third neighbour than 99 % of the rows seen are.

    Numbers are standardised and categories spread out; a category never seen, and another value in
    a column that never varied, flag the row by themselves. About 1 % of ordinary rows are flagged.

    Args:
        numbers: columns with numbers.
        categories: columns with codes, `UNSEEN` for a category never seen.
        random_state: seed of the reference rows, drawn where there are more than 5,000.
    """

    def __init__(
        self,
        numbers: Sequence[int] = (),
        categories: Sequence[int] = (),
        random_state: int = 0,
    ) -> None:
        self.numbers = numbers
        self.categories = categories
        self.random_state = random_state

    def fit(self, x: NDArray[np.float64]) -> Self:
        """Remember what ``x`` (rows, columns), encoded, is like."""
        if len(x) > REFERENCE:
            drawn = np.random.default_rng(self.random_state).choice(
                len(x), REFERENCE, replace=False
            )
            x = x[drawn]
        self.preparation_ = preparation(self.numbers, self.categories).fit(x)
        self.prepared_ = np.asarray(self.preparation_.transform(x), np.float64)
        never = [
            (c, float(x[0, c]))
            for c in self.numbers
            if len(x) > 1 and not np.isnan(x[:, c]).any() and np.ptp(x[:, c]) == 0
        ]
        self.constant_columns_ = [c for c, _ in never]
        self.constant_values_ = [v for _, v in never]
        count = min(NEIGHBOURS, len(x) - 1)
        if count < 1:
            self.threshold_ = np.inf
            return self
        near = NearestNeighbors(n_neighbors=count).fit(self.prepared_)
        distance = near.kneighbors()[0][:, -1]
        usual = float(np.quantile(distance, QUANTILE, method="higher"))
        self.threshold_ = max(usual, MIN_THRESHOLD)
        return self

    def distances(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distance of every row to its third neighbour among the rows seen."""
        near = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(self.prepared_)))
        near.fit(self.prepared_)
        return np.asarray(near.kneighbors(self.preparation_.transform(x))[0][:, -1])

    def unlike(self, x: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which rows of ``x`` are unlike anything seen, (rows,)."""
        flagged = self.distances(x) > self.threshold_
        for column in self.categories:
            flagged |= x[:, column] == UNSEEN
        for column, value in zip(self.constant_columns_, self.constant_values_, strict=True):
            flagged |= x[:, column] != value
        return np.asarray(flagged)

    def explain(self, x: NDArray[np.float64], names: Sequence[str]) -> list[Oddity]:
        """Every flagged row of ``x`` with the reasons, columns called by ``names``."""
        found = []
        distance = self.distances(x)
        for row in np.flatnonzero(self.unlike(x)):
            reasons = [
                f"{names[c]} holds something never seen"
                for c in self.categories
                if x[row, c] == UNSEEN
            ]
            reasons += [
                f"{names[c]} was always {v:g}, is {x[row, c]:g}"
                for c, v in zip(self.constant_columns_, self.constant_values_, strict=True)
                if x[row, c] != v
            ]
            if distance[row] > self.threshold_:
                reasons.append(
                    f"{distance[row]:.1f} standard deviations from its neighbours, "
                    f"usual are at most {self.threshold_:.1f}{self._where(x[row], names)}"
                )
            found.append(Oddity(int(row), float(distance[row]), tuple(reasons)))
        return found

    def _where(self, row: NDArray[np.float64], names: Sequence[str]) -> str:
        """The number column in which the row is farthest from its nearest neighbour."""
        if not self.numbers:
            return ""
        prepared = np.asarray(self.preparation_.transform(row[None]))[0]
        gaps = np.abs(self.prepared_ - prepared)
        nearest = gaps[np.square(gaps).sum(axis=1).argmin()]
        column = self.numbers[int(nearest[: len(self.numbers)].argmax())]
        return f", most of all in {names[column]}"
