"""Cells of many compartments against NEURON, recorded by ``simulators/cables.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sangbo import dynamics as d
from sangbo.data.packages import fetch
from sangbo.dynamics.cables.measure import Measured, Route, measure
from sangbo.sources.archives import read_member

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parent / "simulators" / "cables.json").read_text(encoding="utf-8")
)
THIRD = 2 ** (-2 / 3)
PYRAMIDAL = "tests/data/Ctgf-2A-dgCre-D_Ai14_BT_-245170.06.06.01_539748835_m_pia.swc"


def check(found: Measured, name: str) -> None:
    """Spikes within 0.05 ms, velocity within 1 %, attenuation within 0.5 %."""
    true = RECORDED[name]
    assert len(found.spike_times_ms) == len(true["soma"]) > 0
    assert np.abs(np.subtract(found.spike_times_ms, true["soma"])).max() < 0.05
    assert found.conduction_velocity_m_per_s == pytest.approx(true["velocity"], rel=0.01)
    assert found.attenuation == pytest.approx(true["attenuation"], rel=0.005)


def test_ball_and_stick() -> None:
    shape = d.Morphology([d.sphere("soma", 20.0), d.cylinder("dend", 1000.0, 2.0, parent="soma")])
    along = Route(d.Place("dend", 0.2), d.Place("dend", 0.8), d.Place("dend", 1.0), 600.0)
    check(
        measure(shape, ["hh"], along, current=500.0, duration=30.0, step=0.0125, longest=10.0),
        "ball and stick",
    )


def test_ralls_branches() -> None:
    def branch(name: str, length: float, thin: int, parent: str) -> d.Section:
        return d.cylinder(name, length, 4 * THIRD**thin, parent=parent)

    shape = d.Morphology(
        [
            d.sphere("soma", 30.0),
            branch("trunk", 400.0, 0, "soma"),
            branch("left", 300.0, 1, "trunk"),
            branch("right", 250.0, 1, "trunk"),
            branch("left0", 200.0, 2, "left"),
            branch("left1", 200.0, 2, "left"),
            branch("right0", 150.0, 2, "right"),
            branch("right1", 180.0, 2, "right"),
        ]
    )
    along = Route(d.Place("trunk", 0.25), d.Place("trunk", 1.0), d.Place("left0", 1.0), 300.0)
    check(
        measure(shape, ["hh"], along, current=2000.0, duration=30.0, step=0.0125, longest=10.0),
        "rall",
    )


@pytest.mark.oracle
def test_a_pyramidal_cell(tmp_path: Path) -> None:
    """A reconstructed neuron of mouse cortex; NEURON read the file itself."""
    path = tmp_path / "cell.swc"
    path.write_bytes(read_member(fetch("neuron"), PYRAMIDAL))
    shape = d.read_swc(path)
    true = RECORDED["swc"]
    assert shape.area == pytest.approx(true["area"], rel=1e-6)
    assert sum(s.length for s in shape.sections if not s.lumped) == pytest.approx(
        true["length"] - shape["soma"].length, rel=1e-6
    )
    assert len(shape.sections) == true["sections"]
    check(measure(shape, ["hh"], current=1000.0, duration=30.0, step=0.0125, longest=5.0), "swc")
