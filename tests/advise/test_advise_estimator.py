"""scikit-learn's own checks of the estimator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.utils.estimator_checks import parametrize_with_checks

from sangbo.advise import Advisor

# One quick candidate each: the checks fit the estimator a hundred times. No check is left out.


@parametrize_with_checks(  # type: ignore[untyped-decorator]
    [
        Advisor(candidates=("naive_bayes",), folds=2, search=False, budget=600),
        Advisor("regression", candidates=("linear",), folds=2, search=False, budget=600),
    ]
)
def test_scikit_learn_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)
