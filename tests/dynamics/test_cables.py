"""Cells of many compartments: shapes, meshes, the cable equation, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sangbo import dynamics as d
from sangbo.dynamics.cables.measure import crossings
from sangbo.dynamics.cables.mesh import mesh
from sangbo.errors import SimulationError

CUBIC: Any = "cubic"
SLOPE = d.Rate("sigmoid", 1.0, 0.0, 1.0)
STICK = d.Morphology([d.sphere("soma", 20.0), d.cylinder("dend", 300.0, 2.0, parent="soma")])


def swc(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "cell.swc"
    path.write_text("# a cell\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def run(cell: d.Cable, step: float, duration: float, current: float, size: int = 1) -> d.Memory:
    network = d.Network(step=step)
    cells = network.population(size, cell, name="cells")
    network.stimulate(cells, d.StepInput(times=[0.0], values=[current]))
    for state in cell.states:
        network.record(cells, state)
    return network.run(duration).recorded


def arrivals(seen: d.Memory, state: str) -> list[float]:
    times, v = seen.samples("cells", state)
    return crossings(times, v[:, 0])


# --- shapes ---


def test_swc_is_cut_at_branches(tmp_path: Path) -> None:
    path = swc(
        tmp_path,
        "1 1 0 0 0 10 -1", "2 3 10 0 0 1 1", "3 3 60 0 0 1 2", "4 3 60 30 0 0.5 3",
        "5 3 60 -40 0 0.5 3", "6 2 0 -10 0 0.8 1", "7 2 0 -90 0 0.4 6",
    )  # fmt: skip
    cell = d.read_swc(path)
    found = {s.name: (s.kind, s.length, s.parent, s.at) for s in cell.sections}
    assert found == {
        "soma": ("soma", 20.0, None, 1.0),
        "dend[0]": ("basal", 50.0, "soma", 0.5),
        "dend[1]": ("basal", 30.0, "dend[0]", 1.0),
        "dend[2]": ("basal", 40.0, "dend[0]", 1.0),
        "axon[0]": ("axon", 80.0, "soma", 0.5),
    }
    assert cell["soma"].area(20.0) == pytest.approx(4 * math.pi * 10**2)
    assert cell["axon[0]"].area(80.0) == pytest.approx(math.pi * 1.2 * math.hypot(80, 0.4))
    assert cell["axon[0]"].resistance(80.0) == pytest.approx(80 / (math.pi * 0.8 * 0.4))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["1 1 0 0 0 1 -1", "2 3 5 0 0 1 9"], "expected the parent of sample 2 .* no sample 9"),
        (["1 1 0 0 0 1 -1", "2 3 5 0 0 1 3", "3 3 9 0 0 1 2"], "found sample 2 in a cycle"),
        (["1 1 0 0 0 1 -1", "2 3 5 0 0 1 2"], "found sample 2 in a cycle"),
        (["1 1 0 0 0 1 -1", "2 3 5 0 0 0 1"], "a radius > 0 in line 3"),
        (["1 1 0 0 0 1 -1", "2 3 5 0 0 -1 1"], "a radius > 0 in line 3"),
        (["1 1 0 0 0 1 -1", "2 3 5 nan 0 1 1"], "a finite place"),
        (["1 1 0 0 0 1 -1", "1 3 5 0 0 1 1"], "found 1 again"),
        (["1 1 0 0 0 1 -1", "2 3 5 0 0 1 -1"], "expected one sample without a parent"),
        (["1 1 0 0 0 1"], "expected number, kind, x, y, z, radius and parent in line 2"),
        (["1 1 0 0 x 1 -1"], "expected number, kind, x, y, z, radius and parent in line 2"),
        ([], "expected samples"),
        (["1 3 0 0 0 1 -1", "2 3 0 0 0 1 1"], "expected samples .* apart from each other"),
    ],
)
def test_bad_swc_is_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        d.read_swc(swc(tmp_path, *lines))


def test_neuroml_and_a_missing_swc_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cell.nml"
    path.write_text('<?xml version="1.0"?><neuroml/>', encoding="utf-8")
    with pytest.raises(SimulationError, match="NeuroML is not read"):
        d.read_swc(path)
    with pytest.raises(SimulationError, match="expected an SWC file"):
        d.read_swc(tmp_path / "none.swc")


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_a_mesh_keeps_surface_and_way(data: st.DataObject) -> None:
    """Any tree: areas add up, and so do resistances from root to tips."""
    sections = [d.cylinder("s0", 100.0, 3.0)]
    positive = st.floats(0.5, 80.0)
    for k in range(1, data.draw(st.integers(1, 6))):
        arc = np.cumsum([0.0, *data.draw(st.lists(positive, min_size=1, max_size=4))])
        radius = np.array([data.draw(st.floats(0.2, 4.0)) for _ in arc])
        parent = f"s{data.draw(st.integers(0, k - 1))}"
        at = data.draw(st.sampled_from([0.0, 0.3, 0.5, 1.0]))
        sections.append(d.Section(f"s{k}", "basal", arc, radius, parent, at))
    shape = d.Morphology(sections)
    made = mesh(shape, data.draw(st.floats(3.0, 60.0)), 100.0, 1.0)
    total = sum(area.sum() for _, area in made.areas.values())
    assert total == pytest.approx(shape.area)
    assert (made.parents[1:] < np.arange(1, made.nodes)).all()
    for s in sections:
        begin, end = made.node(d.Place(s.name, 0.0)), made.node(d.Place(s.name, 1.0))
        up = {begin: 0.0}
        for start in (begin, end):
            node, way = start, 0.0
            while node:
                way += made.resistance[node]
                node = int(made.parents[node])
                if start == begin:
                    up[node] = way
                elif node in up:
                    break
            if start == end:
                meets = node if node in up else 0
                assert way + up[meets] >= float(s.resistance(s.length)) * (1 - 1e-9)


def test_the_middle_and_branches_are_nodes() -> None:
    shape = d.Morphology(
        [d.cylinder("a", 100.0, 2.0), d.cylinder("b", 50.0, 1.0, parent="a", at=0.3)]
    )
    made = mesh(shape, 20.0, 100.0, 1.0)
    arcs, _ = made.places["a"]
    assert 30.0 in arcs
    arcs, numbers = made.places["b"]
    assert 25.0 in mesh(d.Morphology([d.cylinder("b", 50.0, 1.0)]), 20.0, 100.0, 1.0).places["b"][0]
    assert made.node(d.Place("b", 0.0)) == made.node(d.Place("a", 0.3)) == numbers[0]


# --- the cable equation ---


def test_a_sealed_cable_attenuates_as_theory_says() -> None:
    """V(x) = V(0)·cosh((L − x)/λ)/cosh(L/λ), second order in space (Rall 1959)."""
    errors = []
    for longest in (100.0, 50.0, 25.0):
        shape = d.Morphology([d.cylinder("c", 1000.0, 2.0)])
        cell = d.Cable(
            morphology=shape,
            channels={"all": [d.Passive(g=2e-4, e=-65.0)]},
            places={"tip": d.Place("c", 1.0)},
            detector=d.Place("c", 0.0),
            longest=longest,
        )
        seen = run(cell, 0.1, 150.0, 100.0)
        change = [seen.samples("cells", s)[1][-1, 0] + 65.0 for s in ("v", "v@tip")]
        length = math.sqrt((2.0 / 4) * 1e-4 / (100.0 * 2e-4)) * 1e4  # √(d/(4·R_a·g)), µm
        errors.append(abs(change[1] / change[0] - 1 / math.cosh(1000.0 / length)))
    assert 3.7 < errors[0] / errors[1] < 4.3
    assert 3.5 < errors[1] / errors[2] < 4.5
    assert errors[2] < 2e-4


def test_time_is_of_second_order() -> None:
    shape = d.Morphology([d.sphere("soma", 20.0), d.cylinder("axon", 400.0, 2.0, parent="soma")])
    cell = d.Cable(
        morphology=shape,
        channels={"all": ["hh"]},
        places={"tip": d.Place("axon", 1.0)},
        longest=40.0,
    )

    def first(step: float) -> float:
        seen = run(cell, step, 6.0, 400.0)
        return arrivals(seen, "v@tip")[0]

    true = first(0.0015625)
    errors = [abs(first(step) - true) for step in (0.05, 0.025, 0.0125)]
    assert 3.0 < errors[0] / errors[1] < 5.0
    assert 3.0 < errors[1] / errors[2] < 5.5
    slow = d.Cable(
        morphology=shape, channels={"all": ["hh"]}, longest=40.0, method="implicit_euler"
    )
    seen = run(slow, 0.0125, 6.0, 400.0)
    assert len(arrivals(seen, "v")) == 1


def test_a_patch_is_the_point_neuron() -> None:
    """One compartment with the squid's channels does what `HodgkinHuxley` does."""
    patch = d.Cable(
        morphology=d.Morphology([d.sphere("soma", 30.0)]),
        channels={"soma": [d.SquidAxon()]},
        synapses={"s": d.ExponentialSite(place=d.Place("soma"), tau=5.0)},
    )
    network = d.Network(step=0.01)
    point = d.HodgkinHuxley(
        area=math.pi * 900, receptors=d.ConductanceExponential(tau_excitatory=5.0)
    )
    cables = network.population(1, patch, name="cable")
    points = network.population(1, point, name="point")
    source = network.population(None, d.SpikeTimes([[5.0, 20.0, 22.0, 41.0]]))
    for target, receptor in ((cables, "s"), (points, "excitatory")):
        network.connect(source, target, d.AllToAll(), d.Static(weight=30.0), receptor=receptor)
        network.stimulate(target, d.StepInput(times=[30.0], values=[300.0]))
        network.record(target)
        network.record(target, "v")
    seen = network.run(100.0).recorded
    times = [seen.spike_times(name)[0] for name in ("cable", "point")]
    assert len(times[0]) == len(times[1]) > 2
    assert np.abs(times[0] - times[1]).max() < 0.015
    v = [seen.samples(name, "v")[1] for name in ("cable", "point")]
    assert np.abs(v[0] - v[1])[:400].max() < 1e-3


@pytest.mark.parametrize("size", [3, 70])
def test_threads_and_instruction_sets_agree(size: int) -> None:
    """Cells of a network of cables and points; also one by one as well as side by side."""
    cell = d.Cable(
        morphology=STICK,
        channels={"soma": ["hh"], "dend": ["pas"]},
        synapses={
            "fast": d.ExponentialSite(place=d.Place("dend", 0.7)),
            "slow": d.TwoExponentialSite(place=d.Place("dend"), magnesium=d.Magnesium()),
            "ampa": d.receptor("ampa", d.Place("dend", 1.0), g=2.0),
        },
    )

    def spikes(threads: int, isa: str | None) -> tuple[NDArray[Any], ...]:
        network = d.Network(step=0.025, seed=3, threads=threads, isa=isa)
        points = network.population(40, d.LIF(i_e=d.Uniform(300, 700)), name="points")
        cells = network.population(size, cell, name="cells")
        for receptor in cell.synapses:
            network.connect(
                points, cells, d.FixedInDegree(5), d.Static(weight=15.0, delay=1.0),
                receptor=receptor,
            )  # fmt: skip
        network.connect(cells, cells, d.FixedInDegree(2), d.Static(weight=2.0), receptor="fast")
        network.connect(cells, points, d.FixedInDegree(2), d.Static(weight=20.0))
        network.record(cells)
        return network.run(40.0).recorded.spike_times("cells")

    first = spikes(1, None)
    assert first[0].size > size
    for threads, isa in ((2, None), (1, "portable")):
        again = spikes(threads, isa)
        assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_one_cell_is_one_of_many() -> None:
    """What a cell does does not depend on how many lie beside it."""
    cell = d.Cable(morphology=STICK, channels={"all": ["hh"]})
    one, many = (run(cell, 0.025, 20.0, 200.0, n).samples("cells", "v")[1] for n in (1, 9))
    assert np.array_equal(one[:, 0], many[:, 0])
    assert np.array_equal(one[:, 0], many[:, 8])


def test_a_cable_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    cell = d.Cable(
        morphology=STICK,
        channels={"all": ["hh"]},
        synapses={"nmda": d.receptor("nmda", d.Place("dend"), g=5.0)},
    )

    def made() -> d.Network:
        network = d.Network(step=0.025)
        cells = network.population(2, cell, name="cells")
        source = network.population(None, d.SpikeTimes([[1.0, 4.0, 9.9, 12.0]]))
        network.connect(
            source, cells, d.AllToAll(), d.Static(weight=1.0, delay=1.0), receptor="nmda"
        )
        network.stimulate(cells, d.StepInput(times=[0.0], values=[150.0]))
        network.record(cells, "v")
        return network

    whole = made().run(30.0).recorded.samples("cells", "v")[1]
    first = made()
    first.run(10.0)
    first.save(tmp_path / "half.safetensors")
    second = made()
    second.restore(tmp_path / "half.safetensors")
    rest = second.run(20.0).recorded.samples("cells", "v")[1]
    assert np.array_equal(whole[400:], rest)


# --- what is refused ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": {"all": ["nax"]}}, "expected a channel, one of pas, hh, or an object"),
        ({"channels": {"spine": ["hh"]}}, "found 'spine'"),
        ({"channels": {"all": [3]}}, "expected a channel, found 3"),
        ({"places": {"x": d.Place("axon", 0.5)}}, "expected a section, one of soma, dend"),
        ({"places": {"x": d.Place("dend", 1.5)}}, "expected a place of 0 to 1"),
        ({"axial_resistivity": 0.0}, "expected axial_resistivity > 0"),
        ({"capacitance": math.nan}, "expected capacitance > 0"),
        ({"longest": 0.0}, "longer than 0"),
        ({"longest": 1e-5}, "compartments"),
        ({"v": math.inf}, "finite potentials"),
        ({"method": "euler"}, "expected a method"),
        ({"synapses": {"current": d.ExponentialSite(place=d.Place("dend"))}}, "another name"),
        ({"synapses": {"s": 1.0}}, "expected a synapse"),
    ],
)
def test_impossible_cells_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        d.Cable(**{"morphology": STICK, "channels": {"all": ["hh"]}, **options})


def test_stiff_and_wild_parameters_are_refused() -> None:
    cell = d.Cable(morphology=STICK, channels={"all": ["hh"]})
    with pytest.raises(SimulationError, match=r"steps of at most 0\.1 ms"):
        d.Network(step=0.2).population(1, cell)
    stiff = d.Cable(
        morphology=STICK, channels={"all": ["pas"]}, longest=0.05, axial_resistivity=1.0
    )
    with pytest.raises(SimulationError, match="implicit_euler"):
        d.Network(step=0.1).population(1, stiff)
    for site in (
        d.ExponentialSite(place=d.Place("dend"), tau=0.0),
        d.TwoExponentialSite(place=d.Place("dend"), tau_rise=3.0, tau_decay=2.0),
    ):
        network = d.Network()
        network.population(
            1, d.Cable(morphology=STICK, channels={"all": ["pas"]}, synapses={"s": site})
        )
        with pytest.raises(SimulationError, match="tau"):
            network.build()
    network = d.Network(step=0.1)
    cells = network.population(1, d.Cable(morphology=STICK, channels={"all": ["hh"]}), name="c")
    network.stimulate(cells, d.StepInput(times=[0.0], values=[1e38]))
    network.stimulate(cells, d.StepInput(times=[0.0], values=[3e38]))
    with pytest.raises(SimulationError, match="found one in population 'c'"):
        network.run(100.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: replace(SLOPE, course=CUBIC), "expected a course"),
        (lambda: d.Rate("sigmoid", 1.0, 0.0, 0.0), "a width other than 0"),
        (lambda: d.Channel(-1.0, 0.0), "expected g ≥ 0"),
        (lambda: d.Gate(0, d.Rate("sigmoid", 1, 0, 1), d.Rate("sigmoid", 1, 0, 1)), "a power"),
        (lambda: d.cylinder("a", 0.0, 1.0), "longer than 0"),
        (lambda: d.cylinder("a", 10.0, 0.0), "radii > 0"),
        (lambda: d.cylinder("a", 10.0, 1.0, kind="leaf"), "a kind of section"),
        (lambda: d.Morphology([]), "found none"),
        (lambda: d.Morphology([d.cylinder("a", 1, 1), d.cylinder("a", 1, 1)]), "a new name"),
        (
            lambda: d.Morphology([d.cylinder("a", 1, 1), d.cylinder("b", 1, 1, parent="c")]),
            "expected the parent of b",
        ),
        (lambda: STICK["axon"], "expected a section, one of soma, dend"),
    ],
)
def test_impossible_parts_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        make()
