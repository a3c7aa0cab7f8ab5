"""The table of families: goes on where it was stopped, and past a row that fails."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import networks
from sangbo.cli import main
from sangbo.errors import SangboError, SourceError
from sangbo.progress import Progress
from sangbo.sources import Source
from sangbo.tasks.model import Model
from sangbo.zoo import table
from sangbo.zoo.rows import Row


def _open(folder: Path, progress: Progress) -> Source:
    return Source(networks.llama(), networks.letters(), origin={"kind": "made"})


def _measure(original: Model, converted: Model, progress: Progress) -> tuple[float, float]:
    return 10.0, 10.2


def _fail(folder: Path, progress: Progress) -> Source:
    raise SourceError("expected a file, found none")


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> dict[str, Row]:
    made = {
        "broken": Row("broken", "LM", "perplexity", "relative rise", 0.05, _fail, _measure),
        "made": Row("made", "LM", "perplexity", "relative rise", 0.05, _open, _measure),
        "lossy": Row("lossy", "LM", "perplexity", "relative rise", 0.01, _open, _measure),
    }
    monkeypatch.setattr(table, "ROWS", made)
    return made


def test_a_row_is_measured_certified_and_priced_once(
    rows: dict[str, Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,), failures = table.make_table(tmp_path, ["made"])
    assert not failures
    assert (first.original, first.converted, first.certificate) == (10.0, 10.2, True)
    assert first.passed
    assert first.temporal["compared"] > 0
    assert first.temporal["different"] == 0
    chips = {e["chip"] for e in first.energy}
    assert chips == set(table.CHIPS)
    assert {e["scheme"] for e in first.energy} == {"dense", "spiking", "complementary"}
    assert (tmp_path / "made" / "certificate.json").is_file()
    monkeypatch.setattr(table, "relative_speeds", lambda *_: (123.0, 45.0))
    (again,), _ = table.make_table(tmp_path, ["made"], time_again=True)
    assert again == replace(
        first, speed_relative_to_torch=123.0, speed_of_one_relative_to_torch=45.0
    )
    rows["made"] = Row("made", "LM", "perplexity", "relative rise", 0.05, _fail, _measure)
    assert table.make_table(tmp_path, ["made"])[0] == [again]


def test_a_row_that_fails_is_named_and_the_next_ones_are_made(
    rows: dict[str, Row],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = tmp_path / "table.md"
    folder = ["--folder", str(tmp_path), "--output", str(shown)]
    monkeypatch.setattr("sys.argv", ["sangbo", "zoo", "--json", *folder])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["failures"] == {"broken": "expected a file, found none"}
    assert [(r["network"], r["passed"]) for r in document["rows"]] == [
        ("made", True), ("lossy", False)
    ]  # fmt: skip
    assert "| LM | lossy |" in shown.read_text()
    assert "| lossy | c-transformer-28nm | token |" in shown.read_text()


def test_only_known_rows_are_made(rows: dict[str, Row], tmp_path: Path) -> None:
    with pytest.raises(SangboError, match="expected some of broken, made, lossy"):
        table.make_table(tmp_path, ["other"])


def test_a_broken_result_is_named(rows: dict[str, Row], tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / table.RESULT_FILE).write_text('{"network": 3}')
    with pytest.raises(SangboError, match="to hold a row of the table"):
        table._read(tmp_path / "made" / table.RESULT_FILE)
