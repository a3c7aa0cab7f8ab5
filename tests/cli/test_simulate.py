"""`sangbo simulate`, as scripts and people use it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sangbo.dynamics import read_recording

KEYS = {
    "neurons", "synapses", "spikes", "synaptic_events", "events_per_second", "real_time_factor",
    "plastic", "bytes_per_synapse", "ranks", "waited", "threads", "energy",
}  # fmt: skip


def sangbo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sangbo", "simulate", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "neurons", "synapses", "rate"),
    [
        (("random", "--neurons", "1000", "--synapses-per-neuron", "100"), 1000, 100_000, 10.0),
        (
            ("random", "--neurons", "500", "--synapses-per-neuron", "50", "--plastic"),
            500, 25_000, 10.0,
        ),
        (("loihi", "--neurons", "2000", "--synapses-per-neuron", "100"), 2000, 200_000, 5.0),
    ],
)  # fmt: skip
def test_json(arguments: tuple[str, ...], neurons: int, synapses: int, rate: float) -> None:
    done = sangbo(*arguments, "--duration", "500", "--threads", "1", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == KEYS
    assert (found["neurons"], found["synapses"]) == (neurons, synapses)
    assert found["spikes"] / neurons / 0.5 == pytest.approx(rate, rel=0.25)
    assert found["synaptic_events"] == pytest.approx(found["spikes"] * synapses / neurons, rel=0.1)
    assert found["plastic"] == ("--plastic" in arguments)
    assert found["threads"] == 1
    assert {e["chip"] for e in found["energy"]} == {"loihi-1", "loihi-1-silicon"}


def test_places_and_records(tmp_path: Path) -> None:
    done = sangbo(
        "loihi", "--neurons", "3000", "--synapses-per-neuron", "8", "--duration", "300",
        "--threads", "1", "--place", "--record", str(tmp_path / "spikes"), "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == KEYS | {"placement"}
    placement = found["placement"]
    assert placement["groups"]["compartments"]["cores"] == placement["cores"] >= 3
    assert placement["step"]["time_ns"] > 1024 * 8.4
    times, _ = read_recording(tmp_path / "spikes").spike_times("compartments")
    assert times.size == found["spikes"] > 0
    both = ("--record", str(tmp_path / "other"), "--report", str(tmp_path / "page.html"))
    refused = sangbo("random", "--neurons", "500", *both)
    assert refused.returncode == 2
    assert refused.stderr.startswith("sangbo: error: expected --record or --report")


def test_a_report_holds_pictures(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done = sangbo(
        "microcircuit", "--scale", "0.01", "--duration", "200", "--threads", "1",
        "--report", str(page),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r"real-time factor \d", done.stdout)
    assert page.read_text(encoding="utf-8").count("<svg") == 3


def test_bad_input_is_one_line() -> None:
    done = sangbo("microcircuit", "--scale", "7")
    assert done.returncode == 2
    assert done.stderr == "sangbo: error: expected a scale of 0.005 to 1, found 7.0\n"


def test_goes_on_from_a_checkpoint_to_the_same_recording(tmp_path: Path) -> None:
    def run(name: str, duration: str, *more: str) -> subprocess.CompletedProcess[str]:
        keep = ["--checkpoint", str(tmp_path / name), "--record", str(tmp_path / f"{name}-spikes")]
        network = ["random", "--neurons", "100", "--synapses-per-neuron", "10", "--every", "40"]
        return sangbo(*network, "--duration", duration, "--threads", "1", *keep, *more)

    assert run("whole", "200").returncode == 0
    assert run("half", "100").returncode == 0
    again = run("half", "200")
    assert (again.returncode, "expected --resume" in again.stderr) == (2, True)
    assert run("half", "200", "--resume").returncode == 0
    whole, half = (read_recording(tmp_path / f"{name}-spikes") for name in ("whole", "half"))
    for population in ("excitatory", "inhibitory"):
        times, neurons = whole.spike_times(population)
        again_times, again_neurons = half.spike_times(population)
        assert times.size > 10
        np.testing.assert_array_equal(again_times, times)
        np.testing.assert_array_equal(again_neurons, neurons)
