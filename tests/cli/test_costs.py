"""`sangbo limits` and `sangbo advise` as commands: one JSON object, one line of error."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from sangbo.cli import main

SYSTEMS = "name,score,flop,year\n" + "".join(
    f"s{i},{100 - 40 * 0.8**i + (i % 3) * 0.1:.4f},{10.0 ** (18 + i / 2):.3e},{2012 + i}\n"
    for i in range(12)
)
ANIMALS = "다리,몸무게,동물\n" + "".join(
    f"4,{15 + i % 7},개\n2,{2 + i % 3},닭\n" for i in range(20)
)


def call(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["sangbo", *arguments])
    with pytest.raises(SystemExit) as leaving:
        main()
    printed = capfd.readouterr()
    return int(leaving.value.code or 0), printed.out, printed.err


@pytest.fixture
def systems(tmp_path: Path) -> str:
    path = tmp_path / "systems.csv"
    path.write_text(SYSTEMS, encoding="utf-8")
    return str(path)


@pytest.fixture
def sangbo(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    return lambda *arguments: call(monkeypatch, capfd, *arguments)


def test_fit_project_and_history(sangbo: Any, systems: str, tmp_path: Path) -> None:
    columns = [systems, "--performance", "score", "--compute", "flop"]
    page = tmp_path / "fit.html"
    options = ["--form", "both", "--quantile", "0.5", "--report", str(page)]
    status, out, _ = sangbo("limits", "fit", *columns, *options, "--json")
    fit = json.loads(out)
    assert status == 0
    assert {"n", "form", "intercept", "slope", "r2", "power", "intervals"} <= set(fit)
    assert [f["form"] for f in fit["fits"]] == ["polynomial", "exponential"]
    assert "<svg" in page.read_text(encoding="utf-8")
    status, out, err = sangbo("limits", "project", *columns, "--target", "0.005", "--json")
    assert status == 0
    assert json.loads(out)["log10_compute"] > 23
    assert "sangbo: warning:" in err
    status, out, _ = sangbo("limits", "fit", *columns, "--year", "year")
    assert "a year" in out
    status, out, _ = sangbo("limits", "history", "--flop", "1e20", "--on", "2026-01-01", "--json")
    assert json.loads(out)["run"][0]["value"] == 1e20


def test_measure_passes_the_failure_on(sangbo: Any) -> None:
    status, out, _ = sangbo(
        "limits",
        "measure",
        "--rate",
        "1e9",
        "--json",
        "--",
        sys.executable,
        "-c",
        "print('inside'); raise SystemExit(5)",
    )
    assert status == 1
    assert json.loads(out)["exit_code"] == 5


def test_advise(sangbo: Any, tmp_path: Path) -> None:
    path, page, model = (tmp_path / n for n in ("동물.csv", "동물.html", "동물.skops"))
    path.write_text(ANIMALS, encoding="utf-8")
    status, out, _ = sangbo(
        "advise",
        str(path),
        "--target",
        "동물",
        "--candidates",
        "majority,rules",
        "--json",
        "--budget",
        "10",
        "--report",
        str(page),
        "--save",
        str(model),
        "--apply",
        str(path),
    )
    found = json.loads(out)
    assert status == 0
    assert found["recommended"] == "rules"
    assert [j["prediction"] for j in found["judged"][:2]] == ["개", "닭"]
    assert "동물" in page.read_text(encoding="utf-8")
    assert model.stat().st_size > 0
    status, out, _ = sangbo("advise", str(path), "--target", "동물", "--candidates", "majority")
    assert out.startswith("Use always the most frequent class")


@pytest.mark.parametrize(
    "arguments",
    [
        ["limits", "fit", "none.csv", "--performance", "a", "--compute", "b"],
        ["limits", "fit", "SYSTEMS", "--performance", "a", "--compute", "flop"],
        ["limits", "fit", "SYSTEMS", "--performance", "score", "--compute", "flop", "--form", "x"],
        ["limits", "project", "SYSTEMS", "--performance", "score", "--compute", "flop",
         "--target", "5"],
        ["limits", "history", "--on", "yesterday"],
        ["limits", "measure", "--", "no-such-program-here"],
        ["advise", "none.csv", "--target", "y"],
        ["advise", "SYSTEMS", "--target", "nothing"],
        ["advise", "SYSTEMS", "--save", "x.skops"],
    ],
)  # fmt: skip
def test_errors_are_one_line(sangbo: Any, systems: str, arguments: list[str]) -> None:
    status, out, err = sangbo(*[systems if a == "SYSTEMS" else a for a in arguments], "--json")
    if arguments[1] == "measure":  # there --json belongs to the command that follows --
        status, out, err = sangbo("limits", "measure", "--json", *arguments[2:])
    assert status == 2
    assert out == ""
    last = err.strip().splitlines()[-1]
    assert last.startswith("sangbo: error: ")
    assert "Traceback" not in err


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from sangbo.errors import MissingExtraError
    from sangbo.extras import need

    with pytest.raises(MissingExtraError, match=r"no_such_module.*sangbo\[limits\]"):
        need("limits", "json", "no_such_module")
