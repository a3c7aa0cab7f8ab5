"""One honest nested cross-validation of all candidates over the same folds, within a budget.

Outer folds measure; settings are chosen in an inner cross-validation of each outer training set.
What a candidate may take is its share of the time that is left. If the full search would take
longer, first the inner search is dropped, then training rows; both are said.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import skops.io
from lightgbm.basic import LightGBMError
from numpy.typing import NDArray
from scipy import stats
from sklearn.base import clone
from sklearn.metrics import get_scorer
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RepeatedKFold,
    RepeatedStratifiedKFold,
    StratifiedKFold,
    train_test_split,
)
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits
from xgboost.core import XGBoostError

from sangbo.advise.candidates import Candidate, converted, grid_of, preparation
from sangbo.advise.energy import Meter, Operations, repeated
from sangbo.errors import DataError
from sangbo.progress import Progress

INNER_FOLDS = 3
MIN_ROWS = 200  # no candidate is trained on fewer to save time
REPEAT_BELOW = 1000  # rows under which the outer folds are drawn twice
MANY_ROWS, MANY_FOLDS = 10_000, 3  # noise is small there, and time is better spent on rows
_PILOT = 60
_PILOT_SHARE = 0.12
_STEEP = 1.5
TEST_ROWS = 2000  # of a fold, at most: more would cost time and hardly narrow the interval
MIN_SECONDS = 0.5  # for the first candidate, whatever the budget
_SAFETY = 1.4
_FAILURES = (ValueError, FloatingPointError, np.linalg.LinAlgError, LightGBMError, XGBoostError)


Fold: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Training and test rows."""


@dataclass
class Trial:
    """How one candidate did.

    Attributes:
        candidate: which.
        scores: one a fold, in the order of the folds; empty if it did not finish.
        failure: why not, or empty.
        settings: chosen most often by the inner search.
        searched: whether settings were searched.
        rows: training rows of a fold.
        train_joules: of one training on them (no search), mean over the folds.
        predict_joules: of one prediction, first fold.
        train_seconds: as ``train_joules``.
        predict_seconds: as ``predict_joules``.
        operations: of one prediction, first fold.
        bytes: of the saved model, first fold.
    """

    candidate: Candidate
    scores: list[float] = field(default_factory=list)
    failure: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    searched: bool = False
    rows: int = 0
    train_joules: float = 0.0
    predict_joules: float = 0.0
    train_seconds: float = 0.0
    predict_seconds: float = 0.0
    operations: Operations = field(default_factory=Operations)
    bytes: int = 0


@dataclass(frozen=True)
class Question:
    """What is to be learnt, encoded.

    Attributes:
        x: (rows, columns) float64, NaN where missing; categories as codes.
        y: (rows,) int64 classes or float64 values.
        task: classification or regression.
        metric: a scikit-learn scorer, higher is better.
        numbers: columns with numbers.
        categories: columns with codes.
        seed: of everything drawn.
        search: choose settings in inner folds.
    """

    x: NDArray[np.float64]
    y: NDArray[Any]
    task: str
    metric: str
    numbers: tuple[int, ...]
    categories: tuple[int, ...]
    seed: int
    search: bool = True

    def pipeline(self, candidate: Candidate) -> Pipeline:
        """Preparation and model, unfitted."""
        return Pipeline(
            [
                ("prepare", preparation(self.numbers, self.categories)),
                ("model", candidate.make(self.task, self.seed)),
            ]
        )


def folds(question: Question, count: int) -> tuple[list[Fold], float]:
    """Outer folds, and n_test / n_train of them.

    Stratified for classes; drawn twice for tables under 1,000 rows; at most three of them from
    10,000 rows on; at most 2,000 rows are tested.

    Raises:
        DataError: there are fewer than two rows.
    """
    rows = len(question.y)
    if rows < 2:
        raise DataError(f"expected 2 or more rows, found {rows} (n_samples = {rows})")
    repeats = 2 if rows < REPEAT_BELOW else 1
    count = min(count, MANY_FOLDS) if rows >= MANY_ROWS else count
    splits = min(count, rows)
    splitter: Any = RepeatedKFold(n_splits=splits, n_repeats=repeats, random_state=question.seed)
    if question.task == "classification":
        rarest = int(np.unique(question.y, return_counts=True)[1].min())
        if rarest >= 2:
            splits = min(count, rarest)
            splitter = RepeatedStratifiedKFold(
                n_splits=splits, n_repeats=repeats, random_state=question.seed
            )
    found = [
        (train_rows, fewer(question, test_rows, TEST_ROWS))
        for train_rows, test_rows in splitter.split(question.x, question.y)
    ]
    return found, 1 / (splits - 1)


def run(
    question: Question,
    candidates: Sequence[Candidate],
    outer: Sequence[Fold],
    deadline: float,
    progress: Progress,
) -> list[Trial]:
    """Try every candidate on the same folds.

    Args:
        question: what is to be learnt.
        candidates: in the order in which they are tried; a parent before what is made from it.
        outer: folds.
        deadline: by ``time.perf_counter()``.
        progress: told the candidate and the share done.
    """
    trials: list[Trial] = []
    fitted: dict[str, list[Any]] = {}
    trained = [c for c in candidates if c.parent is None]
    with threadpool_limits(1), quiet():
        for index, candidate in enumerate(candidates):
            progress(candidate.called(question.task), index / len(candidates))
            if candidate.parent is not None:
                parent = next(t for t in trials if t.candidate.name == candidate.parent)
                trials.append(_derive(question, candidate, parent, fitted, outer))
                continue
            waiting = sum(1 for c in candidates[index:] if c in trained)
            share = (deadline - time.perf_counter()) / max(1, waiting)
            if share <= 0 and trials:
                trials.append(Trial(candidate, failure="no time was left"))
                fitted[candidate.name] = []
                continue
            share = max(share, MIN_SECONDS)
            keep = any(c.parent == candidate.name for c in candidates)
            trial, models = _try(question, candidate, outer, share, keep=keep)
            trials.append(trial)
            fitted[candidate.name] = models
    return trials


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the candidates: fits that did not settle and unseen classes show in the scores."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def best_settings(
    question: Question, candidate: Candidate, rows: NDArray[np.int64]
) -> dict[str, Any]:
    """Settings chosen on ``rows`` by the inner cross-validation."""
    grid = grid_of(candidate, question.task)
    y = question.y[rows]
    splitter: Any = KFold(INNER_FOLDS, shuffle=True, random_state=question.seed)
    if question.task == "classification":
        rarest = int(np.unique(y, return_counts=True)[1].min())
        if rarest >= INNER_FOLDS:
            splitter = StratifiedKFold(INNER_FOLDS, shuffle=True, random_state=question.seed)
    search = GridSearchCV(
        question.pipeline(candidate),
        grid,
        scoring=question.metric,
        cv=splitter,
        refit=False,
        error_score=-np.inf,
    )
    search.fit(question.x[rows], y)
    return dict(search.best_params_)


def train(
    question: Question, candidate: Candidate, rows: NDArray[np.int64], settings: dict[str, Any]
) -> Pipeline:
    """One model of ``candidate`` on ``rows``."""
    model = clone(question.pipeline(candidate)).set_params(**settings)
    return model.fit(question.x[rows], question.y[rows])


def derived(question: Question, parent: Pipeline, rows: NDArray[np.int64]) -> Pipeline:
    """The complementary form of a fitted pipeline, calibrated on ``rows``."""
    prepared = parent[:-1].transform(question.x[rows])
    return Pipeline([("prepare", parent[0]), ("model", converted(parent[-1], prepared))])


def corrected(differences: NDArray[np.float64], test_share: float) -> tuple[float, float]:
    """Mean and standard error of fold scores (or of their differences).

    The folds share training rows, so the plain error is too small. Nadeau and Bengio (2003):
    variance of the mean = (1/J + n_test/n_train)·s², with J folds and J−1 degrees of freedom.

    Args:
        differences: (J,).
        test_share: n_test / n_train.
    """
    count = len(differences)
    if count < 2:
        return float(differences.mean()), math.inf
    spread = float(differences.var(ddof=1))
    return float(differences.mean()), math.sqrt((1 / count + test_share) * spread)


def interval(
    scores: NDArray[np.float64], test_share: float, confidence: float
) -> tuple[float, float]:
    """Student's interval of the mean score with the corrected error."""
    mean, error = corrected(scores, test_share)
    half = float(stats.t.ppf(0.5 + confidence / 2, max(1, len(scores) - 1))) * error
    return mean - half, mean + half


def _try(
    question: Question,
    candidate: Candidate,
    outer: Sequence[Fold],
    share: float,
    *,
    keep: bool,
) -> tuple[Trial, list[Any]]:
    trial = Trial(candidate)
    models: list[Any] = []
    begun = time.perf_counter()
    scorer = get_scorer(question.metric)
    try:
        trial.searched, trial.rows = _plan(question, candidate, outer, share)
        picked: list[dict[str, Any]] = []
        for number, (train_rows, test_rows) in enumerate(outer):
            now = time.perf_counter()
            if now + (now - begun) / max(1, number) > begun + 1.5 * share:  # a wrong forecast
                trial.failure = f"out of time after {number} of {len(outer)} folds"
                trial.scores = []
                return trial, []
            rows = fewer(question, train_rows, trial.rows)
            settings = best_settings(question, candidate, rows) if trial.searched else {}
            picked.append(settings)
            with Meter() as meter:
                model = train(question, candidate, rows, settings)
            trial.train_joules += meter.joules / len(outer)
            trial.train_seconds += meter.seconds / len(outer)
            trial.scores.append(float(scorer(model, question.x[test_rows], question.y[test_rows])))
            if number == 0:
                _cost(trial, question, model, test_rows)
            if keep:
                models.append(model)
        trial.settings = max(picked, key=picked.count)
    except _FAILURES as error:
        trial.failure = " ".join(str(error).split())[:200] or type(error).__name__
        trial.scores = []
        return trial, []
    if not np.isfinite(trial.scores).all():
        trial.failure, trial.scores = "gave no finite score", []
    return trial, models


def _derive(
    question: Question,
    candidate: Candidate,
    parent: Trial,
    fitted: dict[str, list[Any]],
    outer: Sequence[Fold],
) -> Trial:
    trial = Trial(candidate, rows=parent.rows, searched=parent.searched, settings=parent.settings)
    models = fitted[parent.candidate.name]
    if not parent.scores or len(models) != len(outer):
        trial.failure = f"{parent.candidate.name} did not finish"
        return trial
    scorer = get_scorer(question.metric)
    for number, ((train_rows, test_rows), model) in enumerate(zip(outer, models, strict=True)):
        with Meter() as meter:
            form = derived(question, model, fewer(question, train_rows, parent.rows))
        trial.train_joules += meter.joules / len(outer)
        trial.train_seconds += meter.seconds / len(outer)
        trial.scores.append(float(scorer(form, question.x[test_rows], question.y[test_rows])))
        if number == 0:
            _cost(trial, question, form, test_rows)
    trial.train_joules += parent.train_joules
    trial.train_seconds += parent.train_seconds
    return trial


def _cost(trial: Trial, question: Question, model: Any, rows: NDArray[np.int64]) -> None:
    x = question.x[rows[:1000]]
    joules, seconds = repeated(lambda: model.predict(x))
    trial.predict_joules, trial.predict_seconds = joules / len(x), seconds / len(x)
    columns = model[:-1].transform(x[:1]).shape[1]
    trial.operations = trial.candidate.operations(model[-1], columns)
    trial.bytes = len(skops.io.dumps(model))


def _plan(
    question: Question,
    candidate: Candidate,
    outer: Sequence[Fold],
    share: float,
) -> tuple[bool, int]:
    """Whether to search settings, and on how many rows to train, so as to fit in ``share``.

    Small pilots, each four times the last, are timed until the next would take too much.

    Raises:
        DataError: not even few rows and no search would fit.
    """
    train_rows, test_rows = outer[0]
    grid = grid_of(candidate, question.task)
    settings = math.prod(map(len, grid.values())) if grid and question.search else 0
    inner = settings * (INNER_FOLDS - 1)
    sizes, times = [], []
    size = _PILOT
    while True:
        pilot = fewer(question, train_rows, size)
        start = time.perf_counter()
        train(question, candidate, pilot, {}).predict(question.x[test_rows])
        sizes.append(len(pilot))
        times.append(time.perf_counter() - start)
        size *= 4
        ahead = times[-1] * 4 ** _growth(candidate, times)
        if len(pilot) == len(train_rows) or ahead > _PILOT_SHARE * share:
            break

    def forecast(rows: int, search: bool) -> float:
        known = [t for s, t in zip(sizes, times, strict=True) if s >= rows]
        one = known[0] if known else times[-1] * (rows / sizes[-1]) ** _growth(candidate, times)
        return one * len(outer) * (1 + inner * search) * _SAFETY

    rows = len(train_rows)
    if inner and forecast(rows, True) <= share:
        return True, rows
    while forecast(rows, False) > share and rows > MIN_ROWS:
        rows = max(MIN_ROWS, rows // 2)
    if forecast(rows, False) > share:
        raise DataError(f"would take about {forecast(rows, False):.1f} s of {share:.1f} s")
    return bool(inner) and forecast(rows, True) <= share, rows


def _growth(candidate: Candidate, times: Sequence[float]) -> float:
    """The power of the rows that training time grows with.

    Where it is known to be steep, small pilots, mostly overhead, must not hide it.
    """
    if len(times) < 2 or candidate.growth > _STEEP:
        return candidate.growth
    seen = math.log(max(times[-1], 1e-6) / max(times[-2], 1e-6)) / math.log(4)
    return min(max(seen + 0.2, 0.4), candidate.growth)


def fewer(question: Question, rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """``count`` of ``rows``, drawn by class where every class can be."""
    if len(rows) <= count:
        return rows
    y = question.y[rows]
    labels = None
    if question.task == "classification":
        counts = np.unique(y, return_counts=True)[1]
        if counts.min() >= 2 and len(counts) <= min(count, len(rows) - count):
            labels = y
    kept, _ = train_test_split(rows, train_size=count, stratify=labels, random_state=question.seed)
    return np.asarray(kept)
