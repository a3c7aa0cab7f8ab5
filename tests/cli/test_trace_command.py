"""``sangbo trace`` as a user runs it, and what it prints against the codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import networks
import sangbo
from sangbo.codes import CODES
from sangbo.network import Network
from sangbo.report.traces import headline, parts, rows
from sangbo.tracing import trace

NAME = "layers.1.mlp.down"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return networks.written(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def network(model: Path) -> Network:
    return sangbo.load(model)


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sangbo", "trace", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip


def test_trace_prints_draws_and_keeps(model: Path, tmp_path: Path) -> None:
    page, picture, kept = (tmp_path / n for n in ("page.html", "picture.png", "kept.npz"))
    done = command(
        model, "--prompt", "hello!", "--operation", NAME, "--report", page, "--picture", picture,
        "--arrays", kept,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "no logit differs" in done.stdout
    assert "mlp.product" in done.stdout
    assert page.stat().st_size > 10_000
    assert picture.stat().st_size > 10_000
    with np.load(kept) as arrays:
        spikes, worths = arrays[f"{NAME}/spikes"], arrays[f"{NAME}/worths"]
        sent = np.tensordot(worths, spikes.astype(np.int64), axes=1)
        assert np.array_equal(sent + arrays[f"{NAME}/dense"], arrays[f"{NAME}/levels"])
        assert arrays[f"{NAME}/potentials"].shape[0] == len(worths) + 1


@pytest.mark.parametrize("code", CODES)
def test_trace_speaks_json_in_every_code(model: Path, code: str) -> None:
    done = command(model, "--prompt", "hello!", "--code", code, "--operation", NAME, "--json")
    assert done.returncode == 0, done.stderr
    found: Any = json.loads(done.stdout)
    assert (found["code"], found["different_logits"], len(found["tokens"])) == (code, 0, 6)
    assert 0 < found["active_latency_steps"] <= found["latency_steps"]
    assert found["spikes"] == sum(n["spikes"] for n in found["neurons"])
    assert found["accumulates"] == sum(sum(n["accumulates_per_step"]) for n in found["neurons"])
    assert (found["macs"] > 0) == (code == "rate")
    events = found["recordings"][NAME]
    layer = next(n for n in found["neurons"] if n["name"] == events["source"])
    assert len(events["steps"]) == layer["spikes"]
    assert (
        np.bincount(events["steps"], minlength=layer["steps"]).tolist()
        == (layer["spikes_per_step"])
    )


def test_trace_says_what_is_wrong(model: Path, tmp_path: Path) -> None:
    for arguments, message in (
        ((tmp_path,), "graph.json"),
        ((model, "--code", "morse"), "rate, radix, csd, graded, found 'morse'"),
        ((model, "--operation", "absent"), "linear operations to watch, found ['absent']"),
        ((model, "--arrays", tmp_path / "x.npz"), "expected --operation"),
        ((model, "--steps", "1"), "give more steps"),
        ((model, "--code", "rate", "--steps", "3", "--largest-spiking", "9"), "at least 9 time"),
        ((model, "--picture", tmp_path / "absent" / "p.png"), "expected to write"),
    ):
        done = command(*arguments)
        assert done.returncode == 2, arguments
        assert done.stdout == ""
        assert message in done.stderr
        assert done.stderr.splitlines()[-1].startswith("sangbo: error: ")


def test_more_steps_of_rate_send_less_densely(network: Network) -> None:
    few, many = (trace(network, "hi", code="rate", largest_spiking=n) for n in (3, 30))
    assert few.macs > many.macs
    assert few.spikes < many.spikes
    assert few.latency < many.latency
    assert few.next_token == many.next_token
    assert (few.different, many.different) == (0, 0)
    assert len(rows(few)) == len(parts(few)) > 5
    assert "2 tokens in code rate" in headline(few)
