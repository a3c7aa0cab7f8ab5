"""The estimator: tries everything honestly, keeps the cheapest that is not worse beyond noise."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.inspection import permutation_importance
from sklearn.metrics import accuracy_score, r2_score
from sklearn.preprocessing import OrdinalEncoder
from sklearn.utils import ClassifierTags, RegressorTags, Tags, column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_y,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)
from threadpoolctl import threadpool_limits

from sangbo.advise import choice, saving
from sangbo.advise import trial as trials
from sangbo.advise.candidates import Candidate, chosen
from sangbo.advise.energy import energy_basis
from sangbo.advise.novelty import UNSEEN, Novelty, Oddity
from sangbo.errors import DataError
from sangbo.progress import Progress, silent

BALANCED_ABOVE = 0.8  # share of the largest class from which accuracy says too little
RESERVED = 0.25  # share of the budget kept for the last training
IMPORTANCE_ROWS = 500
IMPORTANCE_REPEATS = 10
_MISSING = -2


def _gives_probabilities(advisor: Advisor) -> bool:
    return advisor.task == "classification" and hasattr(
        getattr(advisor, "model_", None), "predict_proba"
    )


class Advisor(BaseEstimator):  # type: ignore[misc]
    """Finds the cheapest method that is not worse than the best beyond noise, and becomes it.

    One nested cross-validation: the same outer folds for every candidate, settings chosen in inner
    folds. A candidate is *within noise* if its mean score is at most one standard error below the
    best's, the error being that of the paired differences, corrected for shared training rows
    (Nadeau and Bengio 2003). Of those, methods that are not networks go before networks, and then
    the fewest modelled picojoules of a prediction decide.

    Args:
        task: ``classification`` or ``regression``.
        budget: seconds for everything.
        candidates: names to try; all by default.
        folds: outer folds, drawn twice for tables under 1,000 rows.
        search: choose settings of each candidate in inner folds, else keep its defaults.
        metric: a scikit-learn scorer; by default accuracy (balanced accuracy where one class holds
            more than 80 %), or R².
        confidence: of intervals.
        max_rows: rows to try candidates on; more are drawn from, and `notes_` says so.
        progress: told what is being tried.
        random_state: seed of everything drawn.

    Attributes:
        recommended_: name of the method it became.
        best_: name of the method with the best mean score.
        results_: one dict a candidate: scores, interval, costs.
        notes_: what to know about the result, in words.
        metric_: the metric used.
        model_: the fitted pipeline over encoded columns.
        importances_: one dict a column, most important first; empty where there was no time.
        rows_: rows that the model was trained on.
        energy_basis_: ``measured`` or ``modelled``.
        novelty_: what it knows of the rows seen.
        classes_: of a classifier.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> advisor = Advisor(candidates=("majority", "rules", "linear"))
        >>> advisor.fit(*load_iris(return_X_y=True)).recommended_
        'linear'
    """

    def __init__(
        self,
        task: str = "classification",
        *,
        budget: float = 120.0,
        candidates: Sequence[str] | None = None,
        folds: int = 5,
        search: bool = True,
        metric: str | None = None,
        confidence: float = 0.95,
        max_rows: int = 50_000,
        progress: Progress | None = None,
        random_state: int = 0,
    ) -> None:
        self.task = task
        self.budget = budget
        self.candidates = candidates
        self.folds = folds
        self.search = search
        self.metric = metric
        self.confidence = confidence
        self.max_rows = max_rows
        self.progress = progress
        self.random_state = random_state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        classify = self.task == "classification"
        tags.estimator_type = "classifier" if classify else "regressor"
        tags.classifier_tags = ClassifierTags() if classify else None
        tags.regressor_tags = None if classify else RegressorTags()
        tags.target_tags.required = True
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803 (scikit-learn's own name)
        """Try the candidates and train the recommended one.

        Args:
            X: (rows, columns) numbers, or a DataFrame with text columns too; NaN where missing.
            y: (rows,) classes or values.

        Raises:
            DataError: an argument or the data cannot be used. A ``ValueError``.
        """
        start = time.perf_counter()
        self._check()
        candidates = chosen(self.candidates, self.task)
        x, target = self._learn_columns(X, y)
        self.notes_: list[str] = []
        question = self._question(x, target)
        rows = self._sample(question)
        asked = question if len(rows) == len(x) else self._question(x[rows], target[rows])
        outer, share = trials.folds(asked, self.folds)
        deadline = start + self.budget * (1 - RESERVED)
        done = trials.run(asked, candidates, outer, deadline, self.progress or silent)
        self.results_ = choice.judged(done, self.task, share, self.metric_, self.confidence)
        self.best_, self.recommended_ = choice.best_and_cheapest(self.results_)
        choice.add_ratios(self.results_, self.recommended_)
        self.notes_ += choice.remarks(self.results_, share, searched=self.search)
        self.energy_basis_ = energy_basis()
        by_name = {t.candidate.name: t for t in done}
        self._train(question, asked, by_name, start + self.budget)
        self._look(asked, by_name, outer[0], start + self.budget)
        self.novelty_ = Novelty(self.numbers_, self.categories_, self.random_state).fit(x)
        self.seconds_ = time.perf_counter() - start
        return self

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """Classes or values (rows,); see `unlike` for the rows where they mean nothing."""
        encoded = self._encode(X)
        found = self.model_.predict(encoded)
        if self.task == "regression":
            return np.asarray(found, np.float64)
        return np.asarray(self.classes_[np.asarray(found, np.int64)])

    @available_if(_gives_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Probabilities (rows, classes), if the recommended method gives any."""
        return np.asarray(self.model_.predict_proba(self._encode(X)), np.float64)

    def unlike(self, X: Any) -> NDArray[np.bool_]:  # noqa: N803
        """Which rows are unlike anything seen, (rows,): their prediction means nothing."""
        encoded = self._encode(X)
        return self.novelty_.unlike(encoded)

    def explain(self, X: Any) -> list[Oddity]:  # noqa: N803
        """The rows that `unlike` flags, with reasons."""
        encoded = self._encode(X)
        return self.novelty_.explain(encoded, self._names())

    def score(self, X: Any, y: Any) -> float:  # noqa: N803
        """Accuracy or R² on given rows."""
        found = self.predict(X)
        return float((accuracy_score if self.task == "classification" else r2_score)(y, found))

    def save(self, path: str | Path) -> None:
        """Save with skops: arrays and named types, no pickle.

        Raises:
            DataError: it cannot be written there.
        """
        check_is_fitted(self)
        kept = copy.copy(self)
        kept.progress = None
        saving.save(kept, path)

    @classmethod
    def load(cls, path: str | Path) -> Advisor:
        """Load what `save` wrote; types other than those it may hold are refused.

        Raises:
            DataError: the file is not one, or holds a type that it should not.
        """
        found = saving.load(path)
        if not isinstance(found, Advisor):
            raise DataError(f"expected a saved Advisor at {path}, found a {type(found).__name__}")
        return found

    def _check(self) -> None:
        if self.task not in ("classification", "regression"):
            raise DataError(f"expected classification or regression, found {self.task!r}")
        if not self.budget > 0:
            raise DataError(f"expected a budget above 0 seconds, found {self.budget}")
        if self.folds < 2:
            raise DataError(f"expected 2 or more folds, found {self.folds}")
        if not 0 < self.confidence < 1:
            raise DataError(f"expected a confidence between 0 and 1, found {self.confidence}")

    def _names(self) -> list[str]:
        given = getattr(self, "feature_names_in_", None)
        count = int(self.n_features_in_)
        return [f"column {i}" for i in range(count)] if given is None else [str(n) for n in given]

    def _learn_columns(self, given: Any, y: Any) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """Check and encode; remembers which columns hold numbers and which categories."""
        classify = self.task == "classification"
        self.categories_: list[int] = []
        if _mixed(given):
            validate_data(self, given, skip_check_array=True)
            if y is None:
                raise DataError("expected a target: requires y to be passed, found None")
            target = _check_y(y, y_numeric=not classify, estimator=self)
            check_consistent_length(given, target)
            self.categories_ = [
                i for i, kind in enumerate(given.dtypes) if not pd.api.types.is_numeric_dtype(kind)
            ]
            self.encoder_ = OrdinalEncoder(
                handle_unknown="use_encoded_value",
                unknown_value=UNSEEN,
                encoded_missing_value=_MISSING,
            ).fit(_texts(given, self.categories_))
            x = self._encode_frame(given)
        else:
            x, target = validate_data(
                self,
                given,
                y,
                dtype=np.float64,
                ensure_all_finite="allow-nan",
                ensure_min_samples=2,
                y_numeric=not classify,
            )
        self.numbers_ = [i for i in range(x.shape[1]) if i not in self.categories_]
        target = column_or_1d(target, warn=True)
        if not classify:
            return x, np.asarray(target, np.float64)
        check_classification_targets(target)
        self.classes_, index = np.unique(target, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError("expected 2 or more classes in the target, found one class")
        return x, np.asarray(index, np.int64)

    def _encode(self, given: Any) -> NDArray[np.float64]:
        check_is_fitted(self)
        if self.categories_:
            if not isinstance(given, pd.DataFrame):
                raise DataError(f"expected a DataFrame, as in fit, found {type(given).__name__}")
            validate_data(self, given, reset=False, skip_check_array=True)
            return self._encode_frame(given)
        return np.asarray(
            validate_data(self, given, reset=False, dtype=np.float64, ensure_all_finite="allow-nan")
        )

    def _encode_frame(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        x = np.empty(frame.shape, np.float64)
        for column in range(frame.shape[1]):
            if column in self.categories_:
                continue
            x[:, column] = pd.to_numeric(frame.iloc[:, column], errors="coerce").to_numpy(
                np.float64, na_value=np.nan
            )
        if self.categories_:
            x[:, self.categories_] = self.encoder_.transform(_texts(frame, self.categories_))
        if np.isinf(x).any():
            raise DataError("expected finite numbers, found infinity")
        return x

    def _question(self, x: NDArray[np.float64], target: NDArray[Any]) -> trials.Question:
        if self.metric is not None:
            self.metric_ = self.metric
        elif self.task == "regression":
            self.metric_ = "r2"
        else:
            largest = np.bincount(target).max() / len(target)
            self.metric_ = "balanced_accuracy" if largest > BALANCED_ABOVE else "accuracy"
        return trials.Question(
            x,
            target,
            self.task,
            self.metric_,
            tuple(self.numbers_),
            tuple(self.categories_),
            self.random_state,
            self.search,
        )

    def _sample(self, question: trials.Question) -> NDArray[np.int64]:
        everything = np.arange(len(question.y))
        rows = trials.fewer(question, everything, self.max_rows)
        if len(rows) < len(everything):
            self.notes_.append(
                f"The candidates were tried on {len(rows):,} rows drawn from {len(everything):,}."
            )
        return rows

    def _train(
        self,
        question: trials.Question,
        asked: trials.Question,
        by_name: dict[str, trials.Trial],
        deadline: float,
    ) -> None:
        """Train the recommended candidate on all rows, or on as many as there is time for."""
        trial = by_name[self.recommended_]
        candidate = self._trained(trial, by_name)
        left = deadline - time.perf_counter()
        rows = np.arange(len(question.y))
        forecast = trial.train_seconds * (len(rows) / max(1, trial.rows)) ** candidate.growth
        if forecast > left:
            rows = trials.fewer(question, rows, max(trial.rows, 2))
            self.notes_.append(
                f"To keep to the budget the model was trained on {len(rows):,} of "
                f"{len(question.y):,} rows."
            )
        with threadpool_limits(1), trials.quiet():
            settings = self._settings(asked, candidate, trial, left - forecast)
            self.model_ = self._make(question, trial, candidate, rows, settings)
        self.rows_ = len(rows)

    @staticmethod
    def _trained(trial: trials.Trial, by_name: dict[str, trials.Trial]) -> Candidate:
        """The candidate that is trained: the trial's own, or the one it is converted from."""
        parent = trial.candidate.parent
        return trial.candidate if parent is None else by_name[parent].candidate

    @staticmethod
    def _make(
        question: trials.Question,
        trial: trials.Trial,
        candidate: Candidate,
        rows: NDArray[np.int64],
        settings: dict[str, Any],
    ) -> Any:
        model = trials.train(question, candidate, rows, settings)
        if trial.candidate is candidate:
            return model
        return trials.derived(question, model, rows)

    def _look(
        self,
        asked: trials.Question,
        by_name: dict[str, trials.Trial],
        fold: trials.Fold,
        deadline: float,
    ) -> None:
        """Which columns matter to the recommended model: shuffle each in held-out rows."""
        self.importances_: list[dict[str, Any]] = []
        trial = by_name[self.recommended_]
        train_rows, test_rows = fold
        seen = test_rows[:IMPORTANCE_ROWS]
        cost = trial.predict_seconds * len(seen) * IMPORTANCE_REPEATS * (asked.x.shape[1] + 1)
        if trial.train_seconds + cost > deadline - time.perf_counter():
            return
        with threadpool_limits(1), trials.quiet():
            rows = trials.fewer(asked, train_rows, max(trial.rows, 2))
            trained = self._trained(trial, by_name)
            model = self._make(asked, trial, trained, rows, trial.settings)
            found = permutation_importance(
                model,
                asked.x[seen],
                asked.y[seen],
                scoring=self.metric_,
                n_repeats=IMPORTANCE_REPEATS,
                random_state=self.random_state,
            )
        self.importances_ = sorted(
            (
                {
                    "column": name,
                    "mean": float(mean),
                    "deviation": float(deviation),
                    "needed": bool(mean > 2 * deviation),
                }
                for name, mean, deviation in zip(
                    self._names(), found.importances_mean, found.importances_std, strict=True
                )
            ),
            key=lambda i: -i["mean"],
        )

    def _settings(
        self, asked: trials.Question, candidate: Candidate, trial: trials.Trial, left: float
    ) -> dict[str, Any]:
        """Searched once more on all rows tried, if there is time; else what most folds chose."""
        count = 2 * trials.INNER_FOLDS * max(map(len, candidate.grid.values()), default=0)
        if not trial.searched or count * trial.train_seconds > left:
            return trial.settings
        everything = np.arange(len(asked.y))
        return trials.best_settings(
            asked, candidate, trials.fewer(asked, everything, max(trial.rows, 2))
        )


def _mixed(given: Any) -> bool:
    return isinstance(given, pd.DataFrame) and not all(
        pd.api.types.is_numeric_dtype(kind) for kind in given.dtypes
    )


def _texts(frame: pd.DataFrame, columns: Sequence[int]) -> NDArray[np.object_]:
    """Columns as text, None where missing."""
    found = np.empty((len(frame), len(columns)), object)
    for place, column in enumerate(columns):
        values = frame.iloc[:, column]
        found[:, place] = [
            None if m else str(v) for v, m in zip(values, values.isna(), strict=True)
        ]
    return found
