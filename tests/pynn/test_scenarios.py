"""PyNN's own scenario tests, from its source distribution, run with this backend."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import pytest

FIXTURES = """
import pytest
import sangbo.pynn

def run_with_simulators(*names):
    return pytest.mark.parametrize("sim", [pytest.param(sangbo.pynn, id="sangbo")])
"""

NOT_HERE = {
    "test_issue259": "spike times between steps (off_grid); here all spikes lie on steps",
    "test_composed_neuron_model_homogeneous_receptors": "neurons of more than two receptors",
    "test_simple_stochastic_synapse": "synapses that fail at random",
    "test_scenario5": "neurons of more than one compartment",
}
"""Scenarios that do not apply, with the reason; docs/pynn.md tells users."""


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pynn")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:",
         "--no-build-isolation", "--dest", str(folder), f"pynn=={version('PyNN')}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    archives = list(folder.glob("*.tar.gz"))
    if not archives:
        pytest.skip(f"no package index: {done.stderr[-200:]}")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
    found = next(folder.glob("*/test/system/scenarios"))
    (found / "fixtures.py").write_text(FIXTURES, encoding="utf-8")
    return found


@pytest.mark.oracle
@pytest.mark.network
def test_pynns_scenarios_pass(scenarios: Path) -> None:
    without = " and ".join(f"not {name}" for name in NOT_HERE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", without,
         scenarios.name],
        cwd=scenarios.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    last = done.stdout.splitlines()[-1]
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(last.split(" passed")[0].split()[-1]) >= 62, last


def test_the_documents_list_what_does_not_apply() -> None:
    text = (Path(__file__).parents[2] / "docs" / "pynn.md").read_text(encoding="utf-8")
    for name, reason in NOT_HERE.items():
        assert f"`{name}`: {reason}" in text
