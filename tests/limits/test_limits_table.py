"""Tables, good and bad."""

from __future__ import annotations

from pathlib import Path

import pytest

from sangbo.errors import DataError
from sangbo.limits import read_observations

GOOD = "name,점수,flop\nname,performance,\n,top1,\na,50,1e18\nb,,1e19\nc,80,1e20\n"


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_header_rows_and_gaps(tmp_path: Path) -> None:
    seen = read_observations(write(tmp_path, "\ufeff" + GOOD), "점수", "flop")
    assert seen.names == ("a", "c")
    assert seen.error == pytest.approx([0.5, 0.2])
    assert seen.dropped == 1


def test_imputed_rows_are_marked(tmp_path: Path) -> None:
    text = "score,flop,ops\n.5,1e18,1e17\n.6,1e19,1e18\n.7,1e20,1e19\n.8,,1e20\n"
    seen = read_observations(write(tmp_path, text), "score", "flop", impute="ops")
    assert seen.compute[-1] == pytest.approx(1e21)
    assert seen.imputed.tolist() == [False, False, False, True]
    assert seen.names[-1] == "row 5"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "header and rows"),
        ("score,flop\n", "header and rows"),
        ("score,flop\n1,2,3\n", "2 cells in row 2"),
        ("score,other\n50,1e18\n", "a column 'flop'"),
        ("score,flop\n50,1e18\noops,1e18\n", "row 3, found 'oops'"),
        ("score,flop\n50,1e18\n60,inf\n", "finite number"),
        ("score,flop\n50,-1\n60,1e18\n", "above 0"),
        ("score,flop\n50,1e18\n100,1e18\n", "without error"),
        ('score,flop\n50,"1e18\n', "CSV"),
        (b"score,flop\n\xff,1\n", "UTF-8"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, text: str | bytes, match: str) -> None:
    with pytest.raises(DataError, match=match):
        read_observations(write(tmp_path, text), "score", "flop")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_observations(tmp_path / "none.csv", "score", "flop")
