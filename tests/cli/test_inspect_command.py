"""``sangbo inspect`` as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import networks
import sangbo
from sangbo.sources import Source


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    sangbo.convert(Source(networks.llama()), folder, sangbo.Settings(sequences=2, length=16))
    return folder


def inspect(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sangbo", "inspect", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip


def test_inspect_prints_and_draws(model: Path, tmp_path: Path) -> None:
    page, picture = tmp_path / "page.html", tmp_path / "picture.png"
    done = inspect(model, "--report", page, "--picture", picture, "--all")
    assert done.returncode == 0, done.stderr
    assert "layers.1.mlp.product" in done.stdout
    assert "Most of the loss" in done.stdout
    assert page.stat().st_size > 10_000
    assert picture.stat().st_size > 10_000


def test_inspect_speaks_json(model: Path) -> None:
    done = inspect(model, "--json")
    found = json.loads(done.stdout)
    assert {"neurons", "synaptic", "predicted_divergence", "kl_divergence"} <= set(found)
    first = found["neurons"][0]
    assert {
        "name", "threshold", "histogram", "dense_fraction", "spikes_per_value",
        "predicted_divergence", "error",
    } <= set(first)  # fmt: skip
    assert sum(first["histogram"].values()) == pytest.approx(1)


def test_inspect_says_what_is_missing(model: Path, tmp_path: Path) -> None:
    for arguments, message in (
        ((tmp_path,), "graph.json"),
        ((model, "--original", "x"), "--text"),
        ((model, "--picture", tmp_path / "absent" / "p.png"), "expected to write"),
        ((model, "--report", tmp_path / "absent" / "p.html"), "a report"),
    ):
        done = inspect(*arguments)
        assert done.returncode == 2
        assert done.stdout == ""
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
