from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynamics.ranks import simulate, threads
from sangbo import dynamics
from sangbo.dynamics.checkpoint import LIST
from sangbo.dynamics.native import exchanged
from sangbo.dynamics.ranks import gathered
from sangbo.errors import SangboError, SimulationError

BIN = Path(sys.executable).parent
MPIEXEC = shutil.which("mpiexec", path=f"{BIN}{os.pathsep}{os.environ['PATH']}")
several = pytest.mark.skipif(
    MPIEXEC is None or importlib.util.find_spec("mpi4py") is None,
    reason="MPI is not installed: pip install 'sangbo[mpi]' mpich",
)


def started(ranks: int, *command: str) -> subprocess.Popen[str]:
    assert MPIEXEC is not None
    where = {"PYTHONPATH": os.pathsep.join(sys.path), "SANGBO_RANKS_TIMEOUT": "60"}
    return subprocess.Popen(
        [MPIEXEC, "-n", str(ranks), sys.executable, *command],
        env=os.environ | where,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # launchers signal whole groups
    )


def ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What a process that ended well said on its two streams."""
    out, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    return out, errors


def ranks_of(count: int, *arguments: str) -> dict[str, Any]:
    out, _ = ended(started(count, simulate.__file__, *arguments))
    found: dict[str, Any] = json.loads(out)
    assert found.pop("ranks") == count
    return found


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    return {kind: simulate.simulated(kind, 1) for kind in simulate.KINDS}


@several
def test_ranks_and_threads_do_not_change_spikes_or_states(
    alone: dict[str, Any], tmp_path: Path
) -> None:
    assert all(found["spikes"] > 1000 for found in alone.values())
    assert ranks_of(4, "1") == alone
    assert ranks_of(2, "2", "save", str(tmp_path)) == alone
    assert ranks_of(2, "1", "restore", str(tmp_path)) == alone
    # Any number of ranks takes what two saved, here one; unless synapses learn.
    for kind in ("late", "early", "integers"):
        assert simulate.simulated(kind, 1, restore=f"{tmp_path}/{kind}") == alone[kind]
    with pytest.raises(SimulationError, match=r"expected as many ranks as saved .*, 2"):
        simulate.described("learning", 1).restore(tmp_path / "learning")


@pytest.mark.parametrize("kind", simulate.KINDS)
def test_ranks_of_any_kind_do_not_change_spikes_or_states(kind: str, alone: dict[str, Any]) -> None:
    first, *_ = threads.run(3, lambda ranks: simulate.simulated(kind, 1, ranks=ranks))
    assert first == alone[kind]


@pytest.mark.parametrize("delay", [1.0, 8.0])
def test_all_ranks_hear_of_a_state_that_is_not_finite(delay: float) -> None:
    def fails(ranks: Any) -> str:
        network = dynamics.Network(step=1.0, threads=1, ranks=ranks)
        source = network.population(1, dynamics.RegularSource(interval=5.0), name="source")
        cells = network.population(200, dynamics.LIF(), name="cells")
        for _ in range(2):  # to the first cell alone, so that one rank alone knows
            strong = dynamics.Static(weight=3e38, delay=delay)
            network.connect(source, cells, dynamics.Pairs([0], [0]), strong)
        with pytest.raises(SimulationError, match="expected finite states") as found:
            network.run(100.0)
        return str(found.value)

    assert len(set(threads.run(3, fails))) == 1


def test_blocks_are_half_of_the_shortest_delay() -> None:
    blocks = [exchanged(simulate.described(kind, 1)) for kind in simulate.KINDS]
    assert blocks == [0, 3, 0, 2]


def digest(folder: Path) -> str:
    parts = sorted(folder.glob("spikes/*/*.parquet"))
    return hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()


@several
def test_a_killed_rank_leaves_a_checkpoint_that_goes_on_to_the_same_spikes(tmp_path: Path) -> None:
    def command(name: str, *more: str) -> list[str]:
        record, checkpoint = str(tmp_path / f"{name}-spikes"), str(tmp_path / name)
        network = ["simulate", "microcircuit", "--scale", "0.01", "--duration", "800"]
        keep = ["--record", record, "--checkpoint", checkpoint, "--every", "20", *more]
        return ["-m", "sangbo", *network, "--threads", "1", *keep]

    whole, killed = started(1, *command("whole")), started(2, *command("killed"))
    rank = None
    while not (tmp_path / "killed" / LIST).exists() and killed.poll() is None:
        rank = rank or a_rank_of(killed.pid)
        time.sleep(0.001)
    assert rank is not None
    os.kill(rank, signal.SIGKILL)
    _, errors = killed.communicate(timeout=200)
    assert killed.returncode != 0
    assert f"checkpoints in {tmp_path / 'killed'}" in errors
    ended(whole)
    assert digest(tmp_path / "killed-spikes") != digest(tmp_path / "whole-spikes")

    ended(started(2, *command("killed", "--resume")))
    assert digest(tmp_path / "killed-spikes") == digest(tmp_path / "whole-spikes")


def a_rank_of(launcher: int) -> int | None:
    """A process that simulates, somewhere below ``launcher``, if there is one by now."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "stat").read_text()
            parents[int(folder.name)] = int(text.rpartition(")")[2].split()[1])
        except OSError:
            continue
    for pid in sorted(parents, reverse=True):
        above = pid
        while above in parents and above != launcher:
            above = parents[above]
        if above != launcher:
            continue
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if command.startswith(sys.executable.encode()) and b"simulate" in command:
            return pid
    return None


def test_a_checkpoint_of_parts_is_whole_or_refused(tmp_path: Path) -> None:
    network = simulate.described("late", 1)
    network.run(5.0)
    tmp_path.joinpath("made").mkdir()
    network.save(tmp_path / "made")
    names = json.loads((tmp_path / "made" / LIST).read_text())["parts"]
    assert [p.name for p in tmp_path.glob("made/*.safetensors")] == names
    network.run(5.0)
    network.save(tmp_path / "made")
    assert len(list(tmp_path.glob("made/*.safetensors"))) == 1
    for content in ('{"parts": ["../x.safetensors"]}', '{"parts": []}', '{"parts": 3}', "{", "{}"):
        (tmp_path / "made" / LIST).write_text(content)
        with pytest.raises(SangboError, match="expected"):
            simulate.described("late", 1).restore(tmp_path / "made")


class Three:
    """Three ranks, of which this is the first, and the others have what is listed."""

    rank, size, local, waited = 0, 3, 3, 0.0

    def __init__(self, *others: list[list[float]]) -> None:
        self._others = [np.array(each) for each in others]

    def all_of(self, values: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        if values.dtype == np.int64:
            return [values, np.array([20]), np.array([30])]
        return [values, *(each.ravel() for each in self._others)]


def test_samples_of_ranks_come_in_the_order_in_which_they_were_asked() -> None:
    ranks: Any = Three([[11.0, 12.0], [111.0, 112.0]], [[25.0], [125.0]])
    asked = np.array([25, 3, 11, 1, 12], np.uint32)
    found = gathered(ranks, np.array([[3.0, 1.0], [103.0, 101.0]]), asked, 10)
    np.testing.assert_array_equal(found, [asked, asked + 100.0])


def test_a_network_of_several_ranks_keeps_its_synapses() -> None:
    network = simulate.described("learning", 1)
    network.ranks = Three()  # type: ignore[assignment]
    with pytest.raises(SimulationError, match="expected one rank to remove synapses, found 3"):
        network.projections[0].prune(1.0)


def test_a_launcher_without_mpi4py_is_told_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sangbo.dynamics.ranks._world", None)
    monkeypatch.setattr("sangbo.extras.find_spec", lambda _: None)
    monkeypatch.setenv("PMI_SIZE", "2")
    with pytest.raises(SangboError, match=r"pip install 'sangbo\[mpi\]'"):
        dynamics.default_ranks()
