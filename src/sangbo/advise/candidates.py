"""What is tried, from a majority rule to networks, with what each prediction costs to compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Perceptron, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from xgboost import XGBClassifier, XGBRegressor

from sangbo.advise.attention import AttentionClassifier, AttentionRegressor
from sangbo.advise.complementary import ComplementaryClassifier, ComplementaryRegressor
from sangbo.advise.energy import Operations, break_even
from sangbo.errors import DataError

MAX_CATEGORIES = 30
BOTH = ("classification", "regression")


@dataclass(frozen=True)
class Candidate:
    """One method.

    Attributes:
        name: short name, as in JSON.
        title: its name in words; of the two tasks, a bar between, where they differ.
        network: whether it is a neural network of more than one layer.
        tasks: classification, regression or both.
        make: (task, seed) → estimator over encoded columns, unfitted.
        operations: fitted estimator, encoded columns → arithmetic of one prediction.
        grid: settings to choose from, in the inner cross-validation.
        growth: training time grows with rows to this power, at most.
        parent: the candidate it is converted from, instead of trained.
    """

    name: str
    title: str
    network: bool
    tasks: tuple[str, ...]
    make: Callable[[str, int], Any]
    operations: Callable[[Any, int], Operations]
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    growth: float = 1.1
    parent: str | None = None

    def called(self, task: str) -> str:
        """Its name in words for ``task``."""
        names = self.title.split("|")
        return names[-1] if task == "regression" else names[0]


def preparation(numbers: Sequence[int], categories: Sequence[int]) -> Any:
    """Fills and standardises numbers, spreads categories; learnt inside every fold.

    Args:
        numbers: columns that hold numbers; all of them, where there are no categories.
        categories: columns that hold codes of categories.

    Returns:
        a scikit-learn transformer; numbers come first in what it gives.
    """
    filled = Pipeline(
        [
            ("fill", SimpleImputer(strategy="median", keep_empty_features=True)),
            ("scale", StandardScaler()),
        ]
    )
    if not categories:
        return filled
    spread = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=MAX_CATEGORIES, sparse_output=False
    )
    parts = [("numbers", filled, list(numbers)), ("categories", spread, list(categories))]
    return ColumnTransformer(parts)


def _pick(classifier: Callable[..., Any], regressor: Callable[..., Any]) -> Any:
    def make(task: str, seed: int) -> Any:
        return classifier(seed) if task == "classification" else regressor(seed)

    return make


def _outputs(model: Any) -> int:
    classes = getattr(model, "classes_", None)
    return 1 if classes is None or len(classes) == 2 else len(classes)


def _tree_depth(model: Any) -> float:
    """Comparisons on the way down, averaged over the rows it was trained on."""
    tree = model.tree_
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):  # children come after their parent
        if tree.children_left[node] >= 0:
            depth[[tree.children_left[node], tree.children_right[node]]] = depth[node] + 1
    leaf = tree.children_left < 0
    rows = tree.n_node_samples[leaf]
    return float((depth[leaf] * rows).sum() / rows.sum())


def _forest(model: Any, columns: int) -> Operations:
    outputs = max(_outputs(model), 1)
    return Operations(adds=sum(_tree_depth(t) + outputs for t in model.estimators_))


def _lightgbm(model: Any, columns: int) -> Operations:
    frame = model.booster_.trees_to_dataframe()
    leaves = frame[frame["left_child"].isna()]
    weighted = (leaves["node_depth"] - 1) * leaves["count"]
    groups = leaves["tree_index"]
    depth = weighted.groupby(groups).sum() / leaves["count"].groupby(groups).sum().clip(lower=1)
    return Operations(adds=float(depth.sum() + len(depth)))


def _xgboost(model: Any, columns: int) -> Operations:
    trees = model.get_booster().num_boosted_rounds() * _outputs(model)
    return Operations(adds=trees * (model.get_params()["max_depth"] + 1))


def _neighbours(model: Any, columns: int) -> Operations:
    rows = model.n_samples_fit_
    return Operations(multiply_adds=rows * columns, adds=rows * (columns + 1))


def _vectors(model: Any, columns: int) -> Operations:
    rows = len(model.support_)
    outputs = _outputs(model) if hasattr(model, "classes_") else 1
    pairs = max(1, outputs * (outputs - 1) // 2)
    return Operations(multiply_adds=rows * (columns + pairs), adds=rows * columns)


def _layers(model: Any) -> list[Any]:
    return list(getattr(model, "regressor_", model).coefs_)


def _perceptrons(model: Any, columns: int) -> Operations:
    return Operations(multiply_adds=sum(w.size for w in _layers(model)))


def _attention(model: Any, columns: int) -> Operations:
    p = model.parameters_
    width, hidden = p["W1"].shape
    token = 4 * width * width + 2 * columns * width + 2 * width * hidden + width
    return Operations(multiply_adds=columns * token + p["U"].size)


def _complementary(model: Any, columns: int) -> Operations:
    made = model
    return Operations(
        multiply_adds=sum(sum(w.shape) for w in made.weights_),  # neurons and rescaled sums
        int8_multiply_adds=made.products_,
        int32_adds=made.spikes_,
    )


def converted(network: Any, x: Any) -> Any:
    """The complementary form of a fitted multi-layer perceptron, calibrated on encoded ``x``."""
    inner = getattr(network, "regressor_", network)
    kind = ComplementaryClassifier if hasattr(inner, "classes_") else ComplementaryRegressor
    made = kind().fit(x, inner, break_even=break_even())
    if inner is not network:
        scaler = network.transformer_
        made.mean_, made.scale_ = float(scaler.mean_[0]), float(scaler.scale_[0])
    return made


def _scaled(regressor: Any) -> Any:
    return TransformedTargetRegressor(regressor, transformer=StandardScaler())


_NETWORK = {"hidden_layer_sizes": (64,), "max_iter": 200}

CANDIDATES: tuple[Candidate, ...] = (
    Candidate(
        "majority",
        "always the most frequent class|always the mean",
        False,
        BOTH,
        _pick(lambda s: DummyClassifier(strategy="prior"), lambda s: DummyRegressor()),
        lambda m, d: Operations(),
    ),
    Candidate(
        "rules",
        "a few if-then rules",
        False,
        BOTH,
        _pick(
            lambda s: DecisionTreeClassifier(max_depth=3, random_state=s),
            lambda s: DecisionTreeRegressor(max_depth=3, random_state=s),
        ),
        lambda m, d: Operations(adds=_tree_depth(m)),
        {"max_depth": (1, 2, 3)},
    ),
    Candidate(
        "naive_bayes",
        "naive Bayes",
        False,
        ("classification",),
        lambda t, s: GaussianNB(),
        lambda m, d: Operations(
            multiply_adds=len(m.classes_) * d * 2, adds=len(m.classes_) * (d + 1)
        ),
    ),
    Candidate(
        "perceptron",
        "perceptron (one layer)",
        False,
        ("classification",),
        lambda t, s: Perceptron(random_state=s),
        lambda m, d: Operations(multiply_adds=m.coef_.size),
    ),
    Candidate(
        "linear",
        "logistic regression|ridge regression",
        False,
        BOTH,
        _pick(
            lambda s: LogisticRegression(max_iter=300, random_state=s),
            lambda s: Ridge(random_state=s),
        ),
        lambda m, d: Operations(multiply_adds=m.coef_.size),
        {"C|alpha": (0.1, 1.0, 10.0)},
    ),
    Candidate(
        "neighbours",
        "nearest neighbours",
        False,
        BOTH,
        _pick(lambda s: KNeighborsClassifier(), lambda s: KNeighborsRegressor()),
        _neighbours,
        {"n_neighbors": (1, 5, 15)},
        growth=1.6,
    ),
    Candidate(
        "svm",
        "support vectors (radial)",
        False,
        BOTH,
        _pick(lambda s: SVC(random_state=s), lambda s: _scaled(SVR())),
        lambda m, d: _vectors(getattr(m, "regressor_", m), d),
        {"C": (1.0, 10.0)},
        growth=2.2,
    ),
    Candidate(
        "lightgbm",
        "gradient boosting (LightGBM)",
        False,
        BOTH,
        _pick(
            lambda s: LGBMClassifier(verbose=-1, n_jobs=1, random_state=s, deterministic=True),
            lambda s: LGBMRegressor(verbose=-1, n_jobs=1, random_state=s, deterministic=True),
        ),
        _lightgbm,
        {"num_leaves": (7, 31)},
    ),
    Candidate(
        "xgboost",
        "gradient boosting (XGBoost)",
        False,
        BOTH,
        _pick(
            lambda s: XGBClassifier(n_jobs=1, random_state=s, max_depth=3),
            lambda s: XGBRegressor(n_jobs=1, random_state=s, max_depth=3),
        ),
        _xgboost,
        {"max_depth": (2, 4)},
    ),
    Candidate(
        "forest",
        "random forest",
        False,
        BOTH,
        _pick(
            lambda s: RandomForestClassifier(n_jobs=1, random_state=s),
            lambda s: RandomForestRegressor(n_jobs=1, random_state=s),
        ),
        _forest,
        {"min_samples_leaf": (1, 5)},
        growth=1.2,
    ),
    Candidate(
        "mlp",
        "multi-layer perceptron",
        True,
        BOTH,
        _pick(
            lambda s: MLPClassifier(random_state=s, **_NETWORK),
            lambda s: _scaled(MLPRegressor(random_state=s, **_NETWORK)),
        ),
        _perceptrons,
        {"alpha": (1e-4, 1.0)},
    ),
    Candidate(
        "mlp_complementary",
        "multi-layer perceptron, complementary form",
        True,
        BOTH,
        _pick(
            lambda s: MLPClassifier(random_state=s, **_NETWORK),
            lambda s: _scaled(MLPRegressor(random_state=s, **_NETWORK)),
        ),
        _complementary,
        parent="mlp",
    ),
    Candidate(
        "attention",
        "small attention model for tables",
        True,
        BOTH,
        _pick(
            lambda s: AttentionClassifier(random_state=s),
            lambda s: AttentionRegressor(random_state=s),
        ),
        _attention,
    ),
)


def chosen(names: Sequence[str] | None, task: str) -> list[Candidate]:
    """The candidates called ``names`` (all by default) that do ``task``.

    Raises:
        DataError: one has no such name, its parent is missing, or none is left.
    """
    known = {c.name: c for c in CANDIDATES}
    for name in names or ():
        if name not in known:
            raise DataError(f"expected candidates among {', '.join(known)}, found {name!r}")
        parent = known[name].parent
        if parent is not None and parent not in (names or ()):
            raise DataError(f"expected {parent} beside {name}, which is made from it, found none")
    found = [c for c in CANDIDATES if (names is None or c.name in names) and task in c.tasks]
    if not found:
        raise DataError(
            f"expected a candidate for {task}, found none among {', '.join(names or ())}"
        )
    return found


def grid_of(candidate: Candidate, task: str) -> dict[str, list[Any]]:
    """The grid with the names that its estimator has for ``task``."""
    found = {}
    for name, values in candidate.grid.items():
        if "|" in name:
            name = name.split("|")[task == "regression"]
        inside = isinstance(candidate.make(task, 0), TransformedTargetRegressor)
        found[f"model__regressor__{name}" if inside else f"model__{name}"] = list(values)
    return found
