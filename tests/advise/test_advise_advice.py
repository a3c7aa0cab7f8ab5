"""From a table to advice: small networks where they are needed, and nothing where they are not."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_blobs
from sklearn.model_selection import train_test_split

from sangbo.advise import Advice, Advisor, advice_page, advise, find_groups
from sangbo.advise.choice import best_and_cheapest
from sangbo.advise.trial import corrected, interval
from sangbo.errors import DataError

QUICK = ("majority", "rules", "naive_bayes", "perceptron", "linear", "lightgbm")
WITH_NETWORK = ("majority", "perceptron", "linear", "mlp", "mlp_complementary")


def saved(folder: Path, frame: pd.DataFrame) -> Path:
    path = folder / "table.csv"
    frame.to_csv(path, index=False)
    return path


def animals() -> pd.DataFrame:
    """Dogs and hens with Korean headers, and a cow that nobody has labelled."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "다리": [4] * 40 + [2] * 40,
            "몸무게": np.r_[random.normal(20, 6, 40), random.normal(2.5, 0.5, 40)],
            "색": random.choice(["흰색", "검정", "갈색"], 80),
            "동물": ["개"] * 40 + ["닭"] * 40,
        }
    )
    frame.loc[len(frame)] = [4, 21.0, "갈색", None]
    frame.loc[len(frame)] = [4, 600.0, "갈색", None]
    frame.loc[len(frame)] = [4, 620.0, "갈색", "소"]
    frame.loc[len(frame)] = [4, 20.0, "보라", None]
    return frame


def test_a_cow_is_not_called_a_dog(tmp_path: Path) -> None:
    path = saved(tmp_path, animals())
    found = advise(path, "동물", candidates=("majority", "rules", "linear"), budget=10)
    dog, cow, violet = found.judged
    assert (dog["row"], dog["prediction"], dog["unlike_anything_seen"]) == (81, "개", False)
    assert (cow["row"], cow["prediction"], cow["unlike_anything_seen"]) == (82, None, True)
    assert "몸무게" in cow["reasons"][0]
    assert violet["reasons"] == ["색 holds something never seen"]
    assert [(r["class"], r["prediction"]) for r in found.rare] == [("소", None)]
    assert found.deep_learning_needed is False
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["unlike_rows"] == 2
    html = advice_page(found).html()
    assert "unlike anything seen" in html
    assert html.count("<svg") == 1


def test_few_ordinary_rows_are_flagged() -> None:
    x, y = load_iris(return_X_y=True)
    random = np.random.default_rng(0)
    flagged = []
    for seed in range(5):
        train, test, labels, _ = train_test_split(x, y, test_size=0.3, random_state=seed)
        advisor = Advisor(candidates=("majority",), folds=2).fit(train, labels)
        flagged.append(advisor.unlike(test).mean())
    assert np.mean(flagged) < 0.06
    far = x.mean(axis=0) + 40 * random.standard_normal((20, 4))
    assert advisor.unlike(far).all()


def test_exclusive_or_needs_a_network() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (240, 2))
    y = (x[:, 0] > 0) ^ (x[:, 1] > 0)
    advisor = Advisor(candidates=WITH_NETWORK, folds=2).fit(x, y)
    by_name = {r["name"]: r for r in advisor.results_}
    assert by_name["perceptron"]["mean"] < 0.75  # one line is right in three quarters at most
    assert by_name["linear"]["mean"] < 0.75
    assert by_name["mlp"]["mean"] > 0.88
    assert by_name["mlp_complementary"]["mean"] == pytest.approx(by_name["mlp"]["mean"], abs=0.03)
    assert advisor.recommended_ in ("mlp", "mlp_complementary")
    assert advisor.score(x, y) > 0.93


@pytest.mark.parametrize(
    ("load", "task"),
    [
        (load_iris, "classification"),
        (load_breast_cancer, "classification"),
        (load_diabetes, "regression"),
    ],
)
def test_the_recommended_is_near_the_best_on_rows_held_out(load: Any, task: str) -> None:
    x, y = load(return_X_y=True)
    train, test, known, hidden = train_test_split(x, y, test_size=0.3, random_state=0)
    advisor = Advisor(
        task, candidates=QUICK if task == "classification" else QUICK[:2] + QUICK[4:], budget=8
    )
    advisor.fit(train, known)
    best = Advisor(task, candidates=(advisor.best_,), budget=2).fit(train, known)
    # Two standard errors of a share of about 50 to 170 rows.
    assert advisor.score(test, hidden) >= best.score(test, hidden) - 0.08
    use = next(r for r in advisor.results_ if r["name"] == advisor.recommended_)
    assert use["within_noise"]
    assert not use["network"]
    assert advisor.seconds_ <= advisor.budget
    assert use["relative_train_energy"] == use["relative_predict_energy"] == 1


def test_a_table_that_tells_nothing() -> None:
    random = np.random.default_rng(0)
    advisor = Advisor(candidates=("majority", "rules", "linear"))
    advisor.fit(random.standard_normal((120, 3)), random.integers(2, size=120))
    assert any("Nothing is better than the majority rule" in n for n in advisor.notes_)


def test_a_large_table_keeps_to_its_budget(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((200_000, 6))
    frame = pd.DataFrame(x, columns=list("abcdef"))
    frame["y"] = np.where(
        x[:, 0] + x[:, 1] ** 2 + 0.5 * random.standard_normal(len(x)) > 1, "p", "n"
    )
    frame.to_parquet(tmp_path / "large.parquet")
    found = advise(tmp_path / "large.parquet", "y", budget=10)
    assert found.seconds <= found.budget
    assert any("50,000 rows drawn from 200,000" in n for n in found.notes)
    assert found.advisor is not None
    assert found.entry(found.advisor.recommended_)["mean"] > 0.8


def test_groups_and_no_groups(tmp_path: Path) -> None:
    x, _ = make_blobs(150, 3, centers=4, cluster_std=0.5, random_state=2)
    found = advise(saved(tmp_path, pd.DataFrame(x, columns=list("abc"))), budget=30)
    assert found.groups == 4
    assert "4 groups" in found.summary()
    assert json.loads(json.dumps(found.to_dict()))["groups"] == 4
    assert "Numbers of groups tried" in advice_page(found).html()
    assert find_groups(np.random.default_rng(0).standard_normal((150, 3)))[0] == 1
    with pytest.raises(DataError, match="10 or more"):
        find_groups(np.zeros((3, 2)))


def test_a_saved_advisor_says_the_same(tmp_path: Path) -> None:
    x, y = load_iris(return_X_y=True)
    for name in ("lightgbm", "xgboost", "rules", "neighbours", "attention"):
        advisor = Advisor(candidates=(name,), folds=2, budget=2).fit(x, y)
        advisor.save(tmp_path / "a.skops")
        again = Advisor.load(tmp_path / "a.skops")
        assert (again.predict(x) == advisor.predict(x)).all()
        assert (again.unlike(x + 9) == advisor.unlike(x + 9)).all()
    network = Advisor(candidates=("mlp", "mlp_complementary"), folds=2, budget=4).fit(x, y)
    network.save(tmp_path / "a.skops")
    assert (Advisor.load(tmp_path / "a.skops").predict(x) == network.predict(x)).all()


def test_hostile_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.skops"
    for content in (b"", b"no archive", b"PK\x03\x04 broken"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="saved Advisor"):
            Advisor.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "schema.json",
            json.dumps(
                {
                    "__class__": "system",
                    "__module__": "os",
                    "__loader__": "FunctionNode",
                    "__id__": 1,
                    "content": {"module_path": "os", "function": "system"},
                    "protocol": 2,
                }
            ),
        )
    with pytest.raises(DataError, match="only known types"):
        Advisor.load(path)
    with pytest.raises(DataError, match="saved Advisor"):
        Advisor.load(tmp_path / "none.skops")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"budget": 0.0}, "budget"),
        ({"task": "ranking"}, "classification or regression"),
        ({"candidates": ("oracle",)}, "candidates among"),
        ({"candidates": ("mlp_complementary",)}, "expected mlp beside"),
    ],
)
def test_bad_options(tmp_path: Path, options: dict[str, Any], match: str) -> None:
    with pytest.raises(DataError, match=match):
        advise(saved(tmp_path, animals()), "동물", **options)
    with pytest.raises(DataError, match="found one class"):
        Advisor().fit([[1.0], [2.0], [3.0]], ["a", "a", "a"])


def test_the_corrected_error_is_nadeau_and_bengios() -> None:
    """Bouckaert and Frank 2004, eq. 2: variance (1/kr + n2/n1) s² for 10 times 10-fold folds."""
    scores = np.random.default_rng(0).normal(0.8, 0.05, 100)
    mean, error = corrected(scores, 1 / 9)
    assert mean == pytest.approx(scores.mean())
    assert error == pytest.approx(np.sqrt((1 / 100 + 1 / 9) * scores.var(ddof=1)))
    low, high = interval(scores, 1 / 9, 0.95)
    assert (high - low) / 2 == pytest.approx(1.984 * error, rel=1e-3)  # Student's t, 99 degrees


def test_a_network_is_recommended_only_where_nothing_else_will_do() -> None:
    def entry(name: str, mean: float, network: bool, cost: float, near: bool) -> dict[str, Any]:
        return {
            "name": name,
            "mean": mean,
            "network": network,
            "picojoules_per_prediction": cost,
            "within_noise": near,
            "finished": True,
        }

    net, boost, line = (
        entry("net", 0.9, True, 10.0, True),
        entry("boost", 0.89, False, 900.0, True),
        entry("line", 0.7, False, 1.0, False),
    )
    assert best_and_cheapest([line, boost, net]) == ("net", "boost")
    assert best_and_cheapest([line, net]) == ("net", "net")


def test_advice_without_a_target_has_no_entries(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((30, 2))
    found: Advice = advise(saved(tmp_path, pd.DataFrame(x, columns=["a", "b"])), budget=5)
    assert found.deep_learning_needed is None
    with pytest.raises(DataError, match="found groups"):
        found.entry("linear")
