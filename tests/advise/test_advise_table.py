"""Tables: broken, mixed, Korean, leaking, useless, and those that are fine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sangbo.advise import Table, prepare, read_frame
from sangbo.advise.table import conform
from sangbo.errors import DataError


def write(folder: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(path: Path, target: str | None) -> Table:
    frame, _ = read_frame(path)
    return prepare(frame, target)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "rows and columns"),
        ("a,b\n", "rows and columns"),
        ("a,b\n1,2\n3\n", "2 cells in line 3"),
        ("a,b\n1,2\n3,4,5\n", "2 cells in line 3"),
        ("a,a\n1,2\n", "'a' twice"),
        ('a,b\n1,"2\n', "CSV"),
        (b"a,b\n\xff\xfe\xfa,1\n", "UTF-8 or CP949"),
        (b"PAR1 but no more", "Parquet"),
        (b"a,b\n\x00,1\n", "found"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, text: str | bytes, match: str) -> None:
    with pytest.raises(DataError, match=match):
        read(write(tmp_path, text), "a")


def test_no_such_file_or_column(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_frame(tmp_path / "none.csv")
    path = write(tmp_path, "키,몸무게\n1,2\n3,4\n")
    with pytest.raises(DataError, match="found 키, 몸무게"):
        read(path, "나이")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_korean_headers(tmp_path: Path, encoding: str, delimiter: str) -> None:
    rows = [["키", "종류"], *[[str(150 + i * i % 40), "개" if i % 2 else "닭"] for i in range(30)]]
    text = "\n".join(delimiter.join(r) for r in rows)
    frame, findings = read_frame(write(tmp_path, text.encode(encoding)))
    assert list(frame.columns) == ["키", "종류"]
    assert bool(findings) == (encoding == "cp949")
    assert prepare(frame, "종류").task == "classification"


@given(
    st.lists(
        st.tuples(
            st.floats(allow_nan=False, allow_infinity=False, width=32), st.sampled_from("ab")
        ),
        min_size=12,
        max_size=30,
    )
)
def test_a_written_table_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, str]]
) -> None:
    rows = [*rows, (0.5, "a"), (0.5, "b"), (1.5, "a"), (1.5, "b")]
    path = tmp_path_factory.mktemp("t") / "t.csv"
    pd.DataFrame(rows, columns=["x", "y"]).to_csv(path, index=False)
    table = read(path, "y")
    assert table.y is not None
    assert table.x["x"].tolist() == [r[0] for r in rows]
    assert table.y.tolist() == [r[1] for r in rows]


def test_parquet_with_categories_dates_and_gaps(tmp_path: Path) -> None:
    n = 40
    frame = pd.DataFrame(
        {
            "day": pd.date_range("2024-01-01", periods=n)[np.arange(n) % 7],
            "kind": pd.Categorical(["u", "v"] * (n // 2)),
            "flag": [True, False, True, True] * (n // 4),
            "gap": [None, 1.0, 2.0, 3.0] * (n // 4),
            "y": np.linspace(0, 1, n) ** 2,
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    table = read(tmp_path / "t.parquet", "y")
    assert table.task == "regression"
    assert table.x.dtypes.astype(str).tolist() == ["float64", "object", "float64", "float64"]
    assert table.x["gap"].isna().sum() == n // 4


def test_mixed_columns_are_said(tmp_path: Path) -> None:
    cells = [str(i % 9) for i in range(40)]
    cells[3] = "unknown"
    rows = "".join(
        f"{c},{'ab'[i % 2]}{'' if i % 3 else '7'},{'xy'[i % 2]}\n" for i, c in enumerate(cells)
    )
    table = read(write(tmp_path, "n,t,y\n" + rows), "y")
    assert np.isnan(table.x["n"].iloc[3])
    assert any("mixes numbers and text; 1 cells" in f for f in table.findings)
    assert table.x["t"].dtype == object


def test_useless_columns_are_left_out() -> None:
    n = 60
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "row": np.arange(n),
            "same": 1,
            "none": np.nan,
            "prose": [f"text number {i} {random.random()}" for i in range(n)],
            "good": random.standard_normal(n),
            "y": ["a", "b"] * (n // 2),
        }
    )
    table = prepare(frame, "y")
    assert list(table.x.columns) == ["good"]
    assert set(table.dropped) == {"row", "same", "none", "prose"}
    with pytest.raises(DataError, match="columns that vary"):
        prepare(frame[["same", "y"]], "y")


def test_a_constant_target_is_refused() -> None:
    frame = pd.DataFrame({"x": [1.0, 2, 3, 4], "y": ["a"] * 4, "z": [None] * 4, "u": list("abcd")})
    with pytest.raises(DataError, match="varies in 'y', found only 'a'"):
        prepare(frame[["x", "y"]], "y")
    with pytest.raises(DataError, match="no value"):
        prepare(frame[["x", "z"]], "z")
    with pytest.raises(DataError, match="different one in every row"):
        prepare(frame[["x", "u"]], "u")
    with pytest.raises(DataError, match="for a regression"):
        prepare(frame[["x", "u"]], "u", "regression")


def test_leaks_are_named() -> None:
    random = np.random.default_rng(0)
    y = random.integers(3, size=90)
    frame = pd.DataFrame(
        {"copy": y * 10.0, "word": [f"is {v}" for v in y], "noise": random.random(90), "y": y}
    )
    leaks = [f for f in prepare(frame, "y").findings if "alone tells" in f]
    assert [f.split()[1] for f in leaks] == ["copy", "word"]
    values = random.standard_normal(90)
    frame = pd.DataFrame({"cube": values**3, "noise": random.random(90), "y": values})
    assert any("Column cube alone tells y" in f for f in prepare(frame, "y").findings)


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["a", "b"] * 20, "classification"),
        ([0, 1] * 20, "classification"),
        ([True, False] * 20, "classification"),
        (list(np.arange(100) % 10), "classification"),
        (list(np.linspace(0, 1, 40)), "regression"),
        (list(range(40)), "regression"),
        ([0.5, 1.5] * 20, "regression"),
    ],
)
def test_the_task_is_told_from_the_target(values: list[object], task: str) -> None:
    x = np.random.default_rng(0).random(len(values))
    assert prepare(pd.DataFrame({"x": x, "y": values}), "y").task == task


def test_few_rows_rare_classes_and_rows_without_target() -> None:
    labels = ["dog"] * 12 + ["hen"] * 5 + ["cow"] + [None] * 2
    x = np.random.default_rng(0).random(len(labels))
    table = prepare(pd.DataFrame({"x": x, "y": labels}), "y")
    assert table.rare_labels == ["cow"]
    assert table.rare_lines.tolist() == [18]
    assert table.unlabelled_lines.tolist() == [19, 20]
    text = " ".join(table.findings)
    assert "rows for 1 columns are few" in text
    assert "hen (5)" in text
    assert "left out: cow" in text


def test_another_table_must_have_the_columns() -> None:
    like = pd.DataFrame({"a": [1.0], "b": np.array(["u"], object)})
    made = conform(pd.DataFrame({"b": [1], "a": ["x"], "c": [0]}), like)
    assert made["b"].tolist() == ["1"]
    assert made["a"].isna().all()
    with pytest.raises(DataError, match="a column 'b'"):
        conform(pd.DataFrame({"a": [1.0]}), like)
