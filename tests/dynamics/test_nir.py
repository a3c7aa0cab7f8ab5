"""NIR graphs against what they say, step by step, and against the `nir` package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from sangbo import dynamics
from sangbo.errors import SourceError, UnsupportedError
from sangbo.sources import nir as files

DT = 1e-3


def lif(size: int | tuple[int, ...], generator: np.random.Generator, **more: float) -> nir.LIF:
    tau = generator.uniform(5e-3, 30e-3, size)
    return nir.LIF(
        tau=tau, r=tau / DT * generator.uniform(0.8, 1.2, size),
        v_leak=generator.uniform(-0.1, 0.1, size), v_threshold=generator.uniform(0.8, 1.2, size),
        v_reset=generator.uniform(-0.2, 0.0, size),
    )  # fmt: skip


def feedforward(generator: np.random.Generator) -> nir.NIRGraph:
    size = (4, 5, 5)
    tau_m, tau_s = generator.uniform(8e-3, 20e-3, 30), generator.uniform(3e-3, 9e-3, 30)
    nodes = {
        "input": nir.Input(np.array([2, 11, 11])),
        "conv": nir.Conv2d(
            (11, 11), generator.normal(0.1, 0.3, (4, 1, 3, 3)), (2, 2), (1, 1), (1, 1), 2,
            generator.normal(0, 0.05, 4),
        ),
        "scale": nir.Scale(generator.uniform(0.5, 1.5, (4, 6, 6))),
        "pool": nir.AvgPool2d(np.array([2, 2]), np.array([1, 1]), np.array([0, 0])),
        "first": lif(size, generator),
        "flat": nir.Flatten({"input": np.array(size)}, 0, -1),
        "dense": nir.Affine(generator.normal(0.05, 0.3, (30, 100)), generator.normal(0, 0.1, 30)),
        "second": nir.CubaLIF(
            tau_syn=tau_s, tau_mem=tau_m, r=tau_m / DT, v_leak=np.zeros(30),
            v_threshold=np.ones(30), w_in=tau_s / DT * 0.5,
        ),
        "recurrent": nir.Linear(generator.normal(0, 0.2, (30, 30))),
        "readout": nir.Linear(generator.normal(0, 1, (3, 30))),
        "out": nir.LI(tau=np.full(3, 0.02), r=np.full(3, 5.0), v_leak=np.zeros(3)),
        "output": nir.Output(np.array([3])),
    }  # fmt: skip
    edges = [
        ("input", "conv"), ("conv", "scale"), ("scale", "pool"), ("pool", "first"),
        ("first", "flat"), ("flat", "dense"), ("dense", "second"), ("second", "recurrent"),
        ("recurrent", "second"), ("second", "readout"), ("readout", "out"), ("out", "output"),
    ]  # fmt: skip
    return nir.NIRGraph(nodes, edges, type_check=False)  # it knows no groups


def by_torch(graph: nir.NIRGraph, spikes: np.ndarray) -> dict[str, np.ndarray]:
    """The graph of `feedforward`, a framework's way: all of it in each step, by SciPy."""
    from scipy.signal import correlate

    n: dict[str, Any] = graph.nodes
    conv, first, second, out = n["conv"], n["first"], n["second"], n["out"]
    v1, i2, v2 = first.v_leak.copy(), np.zeros(30), second.v_leak.copy()
    s2, v3 = np.zeros(30), np.zeros(3)
    found: dict[str, list[np.ndarray]] = {"first": [], "second": [], "out": []}
    for frame in spikes:
        padded = np.pad(frame, ((0, 0), (1, 1), (1, 1)))
        image = np.stack([
            correlate(padded[k // 2], conv.weight[k, 0], "valid")[::2, ::2] + conv.bias[k]
            for k in range(4)
        ]) * n["scale"].scale  # fmt: skip
        pooled = sum(image[:, a : a + 5, b : b + 5] for a in (0, 1) for b in (0, 1)) / 4
        v1 = v1 + DT / first.tau * (first.v_leak - v1 + first.r * pooled)
        s1 = v1 > first.v_threshold
        v1 = np.where(s1, first.v_reset, v1)
        current = n["dense"].weight @ s1.ravel() + n["dense"].bias + n["recurrent"].weight @ s2
        v2 = v2 + DT / second.tau_mem * (second.v_leak - v2 + second.r * i2)
        s2 = (v2 > second.v_threshold).astype(float)
        v2 = np.where(s2 > 0, second.v_reset, v2)
        i2 = i2 + DT / second.tau_syn * (-i2 + second.w_in * current)
        v3 = v3 + DT / out.tau * (out.v_leak - v3 + out.r * (n["readout"].weight @ s2))
        for name, value in (("first", s1.ravel()), ("second", s2), ("out", v3)):
            found[name].append(value)
    return {k: np.array(v) for k, v in found.items()}


@pytest.mark.parametrize("seed", range(4))
def test_a_graph_does_what_its_equations_say(seed: int, tmp_path: Path) -> None:
    generator = np.random.default_rng(seed)
    graph = feedforward(generator)
    nir.write(tmp_path / "graph.nir", graph)
    steps = 150
    spikes = (generator.random((steps, 2, 11, 11)) < 0.15).astype(float)
    expected = by_torch(graph, spikes)
    made = dynamics.from_nir(tmp_path / "graph.nir", {"input": spikes}, step=1.0)
    assert made.latency == {"input": 0, "first": 1, "second": 2, "out": 3}
    recorded = made.network.run(float(steps + 3)).recorded
    for name in ("first", "second"):
        times, neurons = recorded.spike_times(name)
        found = np.zeros(expected[name].shape)
        step = np.round(times).astype(int) - 1 - made.latency[name]
        inside = (step >= 0) & (step < steps)
        found[step[inside], neurons[inside]] = 1
        assert expected[name].sum() > 100
        np.testing.assert_array_equal(found, expected[name])
    times, values = recorded.samples("out", "v")
    after = 3 + np.arange(steps)
    np.testing.assert_allclose(values[after], expected["out"], atol=2e-5)


def test_threshold_delay_and_skip_connections() -> None:
    nodes = {
        "input": nir.Input(np.array([3])),
        "late": nir.Delay(np.array([0.0, 2e-3, 5e-3])),
        "cells": nir.IF(r=np.full(3, 1000.0), v_threshold=np.full(3, 0.5)),
        "both": nir.Threshold(np.full(3, 1.5)),
        "output": nir.Output(np.array([3])),
    }
    edges = [("input", "cells"), ("cells", "both"), ("input", "late"), ("late", "both"),
             ("both", "output")]  # fmt: skip
    spikes = np.zeros((12, 3))
    spikes[[0, 2, 5]] = 1
    made = dynamics.from_nir(nir.NIRGraph(nodes, edges).to_dict(), {"input": spikes}, step=1.0)
    times, neurons = made.network.run(20.0).recorded.spike_times("both")
    # Fires where an undelayed and a delayed spike meet: 0; 2 = 0 + 2; 5 = 0 + 5, two steps on.
    assert times[neurons == 0].tolist() == [3.0, 5.0, 8.0]
    assert times[neurons == 1].tolist() == [5.0]
    assert times[neurons == 2].tolist() == [8.0]


def test_files_are_read_and_written_as_the_nir_package_does(tmp_path: Path) -> None:
    graph = feedforward(np.random.default_rng(1))
    nir.write(tmp_path / "a.nir", graph)
    files.write(tmp_path / "b.nir", files.read(tmp_path / "a.nir"))
    again = nir.read(tmp_path / "b.nir", type_check=False)
    assert set(again.nodes) == set(graph.nodes)
    assert sorted(again.edges) == sorted(graph.edges)
    for name, node in graph.nodes.items():
        other = again.nodes[name]
        assert type(other) is type(node)
        for key, value in node.to_dict().items():
            if key not in ("type", "metadata", "input_type", "shape") and value is not None:
                np.testing.assert_array_equal(np.asarray(getattr(other, key, value)), value)


def test_graphs_in_graphs_are_flat() -> None:
    inner = nir.NIRGraph(
        {"input": nir.Input(np.array([2])), "w": nir.Linear(np.full((2, 2), 0.6)),
         "cells": lif(2, np.random.default_rng(0)), "output": nir.Output(np.array([2]))},
        [("input", "w"), ("w", "cells"), ("cells", "output")],
    )  # fmt: skip
    outer = nir.NIRGraph(
        {"in": nir.Input(np.array([2])), "block": inner, "out": nir.Output(np.array([2]))},
        [("in", "block"), ("block", "out")],
    )
    found = files.from_dict(outer.to_dict())
    assert ("in", "block.input") in found.edges
    made = dynamics.from_nir(found, {"in": np.ones((30, 2))}, step=1.0)
    assert set(made.populations) == {"in", "block.cells"}
    assert made.network.run(30.0).recorded.spike_times("block.cells")[0].size > 10


def exported(receptors: Any, delay: float) -> dynamics.Network:
    network = dynamics.Network(step=0.5, seed=4, threads=1)
    source = network.population(
        None, dynamics.SpikeTimes([np.arange(1 + i, 200, 3.0) for i in range(20)]), name="source"
    )
    cells = network.population(
        30,
        dynamics.LIF(
            c_m=200.0, tau_m=dynamics.Uniform(8, 15), t_ref=0.0, i_e=dynamics.Uniform(0, 150),
            v_th=-60.0, receptors=receptors,
        ),
        name="cells",
    )  # fmt: skip
    # At rest, current included, which is where NIR's neurons begin.
    model = cells.model
    rest = model.e_l + model.i_e * model.tau_m / model.c_m  # type: ignore[union-attr]
    object.__setattr__(model, "v", rest)
    scale = 1.0 if isinstance(receptors, dynamics.Delta) else 60.0
    for pre in (source, cells):
        network.connect(
            pre, cells, dynamics.FixedInDegree(8),
            dynamics.Static(weight=dynamics.Normal(scale, scale / 3), delay=delay, storage="wide"),
        )  # fmt: skip
    network.record(cells)
    return network


@pytest.mark.parametrize(
    "receptors",
    [dynamics.Delta(), dynamics.CurrentExponential(tau_excitatory=3.0, tau_inhibitory=3.0)],
)
@pytest.mark.parametrize("delay", [0.5, 2.0])
def test_a_network_that_goes_out_and_comes_back_fires_the_same(
    receptors: Any, delay: float, tmp_path: Path
) -> None:
    network = exported(receptors, delay)
    files.write(tmp_path / "out.nir", dynamics.to_nir(network))
    read = nir.read(tmp_path / "out.nir", type_check=False)
    kinds = {type(n).__name__ for n in read.nodes.values()}
    assert ("CubaLIF" in kinds) == isinstance(receptors, dynamics.CurrentExponential)
    assert ("Delay" in kinds) == (delay > 0.5)
    expected = network.run(200.0).recorded.spike_times("cells")
    assert len(expected[0]) > 200
    source = network.populations[0].model
    assert isinstance(source, dynamics.SpikeTimes)
    made = dynamics.from_nir(tmp_path / "out.nir", {"source": source}, step=0.5, method="exact")
    found = made.network.run(200.0).recorded.spike_times("cells")
    same = set(zip(*expected, strict=True)) & set(zip(*found, strict=True))
    assert len(same) > 0.98 * max(len(expected[0]), len(found[0]))


@pytest.mark.parametrize(
    ("model", "synapses", "reason"),
    [
        (dynamics.LIF(), None, "a refractory time in cells"),
        (dynamics.AdEx(), None, "AdEx neurons in cells"),
        (
            dynamics.LIF(t_ref=0.0, receptors=dynamics.CurrentAlpha()), None,
            "CurrentAlpha in cells",
        ),
        (dynamics.LIF(t_ref=0.0, v=-60.0), None, "an initial potential"),
        (dynamics.LIF(t_ref=0.0), dynamics.STDP(), "STDP synapses"),
        (
            dynamics.LIF(t_ref=0.0), dynamics.Static(delay=dynamics.Uniform(1, 5)),
            "delays that differ",
        ),
    ],
)  # fmt: skip
def test_what_nir_cannot_state_is_refused(model: Any, synapses: Any, reason: str) -> None:
    network = dynamics.Network(step=0.1)
    cells = network.population(20, model, name="cells")
    network.connect(cells, cells, dynamics.AllToAll(), synapses)
    with pytest.raises(UnsupportedError, match=f"expected what NIR can state, found {reason}"):
        dynamics.to_nir(network)


def test_graphs_that_do_not_fit_are_refused() -> None:
    cells = lif(3, np.random.default_rng(0)).to_dict()
    plain: dict[str, Any] = {"type": "NIRGraph", "edges": [("i", "c")],
             "nodes": {"i": {"type": "Input", "shape": [3]}, "c": cells}}  # fmt: skip
    with pytest.raises(SourceError, match=r"expected inputs \['i'\]"):
        dynamics.from_nir(plain, {})
    with pytest.raises(UnsupportedError, match="whole numbers of spikes"):
        dynamics.from_nir(plain, {"i": np.full((4, 3), 0.5)})
    with pytest.raises(SourceError, match="edges between nodes"):
        files.from_dict({**plain, "edges": [("i", "nothing")]})
    with pytest.raises(UnsupportedError, match="found 'LSTM'"):
        files.from_dict({**plain, "nodes": {"i": {"type": "LSTM"}}})
    wrong = {**plain, "nodes": {**plain["nodes"], "c": {**cells, "tau": np.full(3, np.nan)}}}
    with pytest.raises(SourceError, match="finite numbers in tau of c"):
        files.from_dict(wrong)
    silent = {
        "type": "NIRGraph", "edges": [("i", "l"), ("l", "c")],
        "nodes": {**plain["nodes"], "l": {"type": "I", "r": np.ones(3)}},
    }  # fmt: skip
    with pytest.raises(UnsupportedError, match="synapses cannot carry"):
        dynamics.from_nir(silent, {"i": np.ones((4, 3))})


def hostile(path: Path, kind: str) -> None:
    with h5py.File(path, "w") as file:
        if kind == "empty":
            return
        node = file.create_group("node")
        node["type"] = "NIRGraph"
        node["edges"] = np.zeros((0, 2), "S1")
        nodes = node.create_group("nodes")
        if kind == "bomb":
            one = nodes.create_group("a")
            one["type"] = "Linear"
            one.create_dataset("weight", (1 << 20, 1 << 20), "f8", chunks=(1024, 1024))
        elif kind == "outside":
            nodes["a"] = h5py.ExternalLink("/etc/passwd", "/")
        elif kind == "loop":
            nodes["a"] = node
        elif kind == "references":
            one = nodes.create_group("a")
            one["type"] = "Linear"
            one.create_dataset("weight", (2, 2), h5py.ref_dtype)
        elif kind == "elsewhere":
            one = nodes.create_group("a")
            one["type"] = "Linear"
            one.create_dataset("weight", (2, 2), "f8", external=[("/etc/hostname", 0, 32)])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("empty", "node"),
        ("bomb", "larger than the file may hold"),
        ("outside", "a link to elsewhere"),
        ("loop", "deep"),
        ("references", "of type"),
        ("elsewhere", "data that lies elsewhere"),
    ],
)
def test_hostile_files_are_refused(kind: str, message: str, tmp_path: Path) -> None:
    hostile(tmp_path / "bad.nir", kind)
    with pytest.raises(SourceError, match=f"expected a NIR file in .*{message}"):
        files.read(tmp_path / "bad.nir")


def test_cut_files_are_refused(tmp_path: Path) -> None:
    nir.write(tmp_path / "a.nir", feedforward(np.random.default_rng(0)))
    content = (tmp_path / "a.nir").read_bytes()
    for length in (0, 100, len(content) // 2, len(content) - 100):
        (tmp_path / "cut.nir").write_bytes(content[:length])
        with pytest.raises(SourceError, match="expected a NIR file in"):
            files.read(tmp_path / "cut.nir")
