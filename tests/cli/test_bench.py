from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import networks
import sangbo
from sangbo.bench import Setting, bench
from sangbo.cli import app
from sangbo.cli.bench import numbers
from sangbo.errors import SangboError
from sangbo.sources import Source


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    settings = sangbo.Settings(sequences=2, length=16)
    sangbo.convert(Source(networks.llama()), folder, settings)
    return folder


def printed(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_object_has_the_keys_that_scripts_rely_on(model: Path) -> None:
    text = printed(
        "bench", str(model), "--prompt", "8", "--decode", "4", "--threads", "1", "--json"
    )
    found = json.loads(text)
    assert set(found) >= {
        "prefill_tokens_per_second", "decode_tokens_per_second", "threads", "weight_bytes",
        "achieved_gb_per_second", "isa", "counting",
    }  # fmt: skip
    assert found["counting"] is True
    assert found["threads"] == 1
    assert found["repetitions"] == 5
    assert found["prefill_tokens_per_second"] > 0
    steps = found["decode_tokens_per_second"] * found["weight_bytes"] / 1e9
    assert found["achieved_gb_per_second"] == pytest.approx(steps)


def test_lists_and_ranges_are_swept_in_order(model: Path) -> None:
    text = printed(
        "bench", str(model), "--prompt", "4,8", "--decode", "2-6+2", "--repetitions", "2",
        "--no-counting", "--format", "csv",
    )  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(r["prompt"], r["decode"]) for r in rows] == [
        (p, d) for p in ("4", "8") for d in ("2", "4", "6")
    ]
    assert {r["counting"] for r in rows} == {"False"}


def test_the_table_shows_deviations(model: Path) -> None:
    text = printed("bench", str(model), "--prompt", "0", "--decode", "4", "--repetitions", "2")
    assert "±" in text
    assert "–" in text


def test_sweeps_are_read_as_llama_bench_reads_them() -> None:
    assert numbers("batch", "8") == [8]
    assert numbers("batch", "1,2,4") == [1, 2, 4]
    assert numbers("batch", "8-32+8,64") == [8, 16, 24, 32, 64]
    assert numbers("batch", "2-4") == [2, 3, 4]
    for wrong in ("", "x", "-1", "4-2", "1-9+0", "1-1000", "1e3"):
        with pytest.raises(SangboError, match="--batch"):
            numbers("batch", wrong)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (Setting(0, 0, 1, 1, True), "neither"), (Setting(60, 10, 1, 1, True), "at most 64 tokens"),
        (Setting(1, 1, 0, 1, True), "batch"), (Setting(1, 1, 1, 0, True), "threads"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_refused(setting: Setting, message: str, model: Path) -> None:
    with pytest.raises(SangboError, match=message):
        bench(sangbo.load(model), [setting])
