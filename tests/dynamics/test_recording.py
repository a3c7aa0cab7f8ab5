"""Recording to disk: what is there is what happened, also where the disk is full."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pyarrow import dataset

from sangbo import dynamics
from sangbo.errors import SimulationError

MOUNT, UMOUNT = (shutil.which(name) or name for name in ("mount", "umount"))


def network(neurons: int = 400) -> dynamics.Network:
    made = dynamics.Network(step=0.5, seed=3, threads=1)
    cells = made.population(neurons, dynamics.LIF(i_e=450.0, v=dynamics.Uniform(-70, -55)),
                            name="two/cells é")  # fmt: skip
    whole = made.population(20, dynamics.Loihi(v_th=200, bias_mantissa=3000), name="whole")
    made.record(cells)
    made.record(cells, "v", neurons=[5, 2], every=1.0)
    made.record(whole)
    made.record(whole, "v")
    return made


def same(found: dynamics.Memory, expected: dynamics.Memory, before: float = np.inf) -> None:
    for name in ("two/cells é", "whole"):
        (times, neurons), (all_times, all_neurons) = (
            memory.spike_times(name) for memory in (found, expected)
        )
        np.testing.assert_array_equal(times, all_times[all_times < before])
        np.testing.assert_array_equal(neurons, all_neurons[all_times < before])
        at, values = expected.samples(name, "v")
        got, seen = found.samples(name, "v")
        np.testing.assert_array_equal(got, at[at < before])
        np.testing.assert_array_equal(seen, values[at < before])
        assert seen.dtype == values.dtype


def test_a_folder_holds_what_memory_holds(tmp_path: Path) -> None:
    expected = network().run(300.0).recorded
    assert expected.spike_times("whole")[0].size > 20
    assert expected.samples("whole", "v")[1].dtype == np.int32
    recorder, again = dynamics.ParquetFolder(tmp_path / "run", part_rows=700), network()
    again.run(120.0, recorder=recorder)
    again.run(180.0, recorder=recorder)
    same(dynamics.read_recording(tmp_path / "run"), expected)
    table = dataset.dataset(tmp_path / "run" / "spikes", partitioning="hive").to_table()
    assert table.num_rows == sum(expected.spike_times(n)[0].size for n in ("two/cells é", "whole"))
    assert {p.suffix for p in (tmp_path / "run").rglob("*") if p.is_file()} == {".parquet"}
    with pytest.raises(SimulationError, match="absent or empty"):
        dynamics.ParquetFolder(tmp_path / "run")


def test_a_run_that_fails_keeps_what_was_recorded(tmp_path: Path) -> None:
    made = dynamics.Network(step=1.0)
    source = made.population(1, dynamics.RegularSource(interval=7.0), name="source")
    cells = made.population(20, dynamics.LIF(), name="cells")
    for _ in range(2):
        made.connect(source, cells, dynamics.AllToAll(), dynamics.Static(weight=3e38, delay=50.0))
    made.record(source)
    with pytest.raises(SimulationError, match="finite states"):
        made.run(100.0, recorder=dynamics.ParquetFolder(tmp_path / "run"))
    times, _ = dynamics.read_recording(tmp_path / "run").spike_times("source")
    assert times.tolist() == [7.0, 14.0, 21.0, 28.0, 35.0, 42.0, 49.0, 56.0]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run([MOUNT, "-t", "tmpfs", "-o", "size=96k", "small", str(disk)],
                             capture_output=True, check=False)  # fmt: skip
    if mounted.returncode:
        pytest.skip("this user may not mount a small disk")
    yield disk
    subprocess.run([UMOUNT, str(disk)], check=True)


def test_a_full_disk_leaves_what_was_recorded_whole(small_disk: Path) -> None:
    expected = network().run(4000.0).recorded
    made, recorder = network(), dynamics.ParquetFolder(small_disk / "run", part_rows=2000)
    with pytest.raises(SimulationError, match="No space left on device; everything before") as e:
        made.run(4000.0, recorder=recorder)
    until = float(re.findall(r"before ([\d.]+) ms", str(e.value))[0])
    assert until > 100
    kept = dynamics.read_recording(small_disk / "run")
    for name in ("two/cells é", "whole"):
        times, neurons = kept.spike_times(name)
        all_times, all_neurons = expected.spike_times(name)
        assert (times < until).sum() == (all_times < until).sum()
        np.testing.assert_array_equal(times, all_times[: times.size])
        np.testing.assert_array_equal(neurons, all_neurons[: times.size])
    # With room again, what waited is written, and nothing is lost.
    subprocess.run([MOUNT, "-o", "remount,size=64m", str(small_disk)], check=True)
    made.run(4000.0 - made.time, recorder=recorder)
    same(dynamics.read_recording(small_disk / "run"), expected)


def test_a_limit_of_the_process_is_an_error_too(tmp_path: Path) -> None:
    code = f"""
import resource
from sangbo import dynamics
made = dynamics.Network(step=1.0)
cells = made.population(100, dynamics.RegularSource(interval=2.0), name="cells")
made.record(cells)
recorder = dynamics.ParquetFolder({str(tmp_path / "run")!r}, part_rows=5000)
made.run(100.0, recorder=recorder)
resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
try:
    made.run(100.0, recorder=recorder)
except dynamics.SimulationError as error:
    print(error)
""".replace("dynamics.SimulationError", "Exception")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "File too large; everything before 102 ms is there" in done.stdout, done.stderr
    times, _ = dynamics.read_recording(tmp_path / "run").spike_times("cells")
    assert times.size == 5000


def test_hostile_recordings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match="found none"):
        dynamics.read_recording(tmp_path / "nothing")
    part = tmp_path / "spikes" / "population=a" / "part-000000.parquet"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"PAR1" + b"\xff" * 40 + b"PAR1")
    with pytest.raises(SimulationError, match="expected a recording in"):
        dynamics.read_recording(tmp_path)
