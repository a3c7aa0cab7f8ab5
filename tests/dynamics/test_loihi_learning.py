"""Loihi's learning rules against Lava, bit for bit, and their random rounding by its mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sangbo import dynamics
from sangbo.errors import SimulationError

FIXTURE = Path(__file__).parent / "simulators" / "loihi-learning.npz"
FORCE = 40  # synapses of 255 that make a target fire
RECORDED = np.load(FIXTURE, allow_pickle=False)
CASES: list[dict[str, Any]] = json.loads(str(RECORDED["cases"]))


def forced(
    pre: np.ndarray, post: np.ndarray, rule: dynamics.Rule, synapses: dynamics.LoihiLearning
) -> tuple[dynamics.Network, dynamics.Projection]:
    """A network in which sources and targets fire as the rows of (neurons, steps) say."""
    network = dynamics.Network(step=1.0, seed=3, threads=1)
    sources = network.population(
        None, dynamics.SpikeTimes([np.flatnonzero(row) + 1.0 for row in pre]), name="sources"
    )
    forcing = network.population(
        None, dynamics.SpikeTimes([np.flatnonzero(row) + 0.0 for row in post]), name="forcing"
    )
    targets = network.population(
        len(post), dynamics.Loihi(v_th=6000, dv=4096, du=4095), name="targets"
    )
    every = np.repeat(np.arange(len(post)), FORCE)
    network.connect(forcing, targets, dynamics.Pairs(every, every), dynamics.Static(weight=255.0))
    projection = network.connect(sources, targets, rule, synapses)
    network.record(targets)
    return network, projection


def learning(case: dict[str, Any], **more: Any) -> dynamics.LoihiLearning:
    traces: dict[str, Any] = {
        k: dynamics.Trace(*case[k]) for k in ("x1", "x2", "y1", "y2", "y3") if k in case
    }
    return dynamics.LoihiLearning(
        dw=case["dw"], dt=case.get("dt", ""), epoch=case["epoch"], sign=case["sign"],
        **traces, **more,
    )  # fmt: skip


@pytest.mark.parametrize("index", range(len(CASES)))
def test_weights_tags_and_traces_are_lavas(index: int) -> None:
    of = {k: RECORDED[f"{index}.{k}"] for k in
          ("pre", "post", "initial", "weights", "tag_1", "x1", "y1")}  # fmt: skip
    case, (steps, posts, pres) = CASES[index], of["weights"].shape
    pre = np.unpackbits(of["pre"], count=pres * steps).reshape(pres, steps)
    post = np.unpackbits(of["post"], count=posts * steps).reshape(posts, steps)
    # All to all, so listed by source and target.
    pairs = dynamics.Pairs(np.repeat(np.arange(pres), posts), np.tile(np.arange(posts), pres))
    synapses = learning(case, weight=of["initial"].T.ravel().astype(float), rounding="down")
    network, projection = forced(pre, post, pairs, synapses)
    for step in range(steps):
        network.run(1.0)
        listed = projection.connections()
        np.testing.assert_array_equal(
            listed["weight"].reshape(pres, posts).T, of["weights"][step], f"step {step + 1}"
        )
        np.testing.assert_array_equal(listed["tag"].reshape(pres, posts).T, of["tag_1"][step])
        if (step + 1) % case["epoch"] == 0:
            x, y = projection.traces()
            np.testing.assert_array_equal(x[:, 0], of["x1"][step])
            np.testing.assert_array_equal(y[:, 0], of["y1"][step])
    times, _ = network.run(0.0).recorded.spike_times("targets")
    assert times.size == post.sum()
    assert np.ptp(of["weights"][-1] - of["initial"]) > 20


def test_rounding_at_random_is_right_on_average() -> None:
    steps, pres = 40, 3000
    pre = np.zeros((pres, steps), bool)
    pre[:, 0] = True
    post = np.zeros((1, steps), bool)
    rule = dynamics.LoihiLearning(
        dw="2^-4*x1*y0", x1=dynamics.Trace(100.25, 15.0), y1=dynamics.Trace(1, 1)
    )
    network, projection = forced(pre, post, dynamics.AllToAll(), rule)
    network.run(1.0)
    assert set(projection.traces()[0][:, 0].tolist()) == {100, 101}
    assert projection.traces()[0][:, 0].mean() == pytest.approx(100.25, abs=0.05)
    network.run(20.0)
    expected = 100.25 * np.exp(-20 / 15)
    found = projection.traces()[0][:, 0]
    assert found.std() > 0.5
    assert found.mean() == pytest.approx(expected, abs=0.1)
    # A weight's change of a fraction is made with its probability.
    post[0, 30] = True
    network, projection = forced(pre, post, dynamics.AllToAll(), rule)
    network.run(31.0)
    change = projection.traces()[0][:, 0] / 16
    weights = projection.connections()["weight"]
    assert ((weights == np.floor(change)) | (weights == np.ceil(change))).all()
    assert weights.mean() == pytest.approx(change.mean(), abs=0.04)


def chaotic(threads: int) -> tuple[dynamics.Network, dynamics.Projection]:
    generator = np.random.default_rng(5)
    rule = dynamics.LoihiLearning(
        weight=dynamics.Uniform(-40, 60), delay=dynamics.Uniform(1, 5), epoch=3,
        dw="2^-3*x1*y0 - 2^-3*y1*x0 - 2^-6*u1*w", dt="x0*y1",
        x1=dynamics.Trace(40.5, 9), y1=dynamics.Trace(30.25, 12),
    )  # fmt: skip
    network = dynamics.Network(step=1.0, seed=8, threads=threads)
    cells = network.population(
        700,
        dynamics.Loihi(
            v_th=200, dv=500, bias_mantissa=generator.integers(0, 3000, 700).astype(np.float64)
        ),
        name="cells",
    )
    projection = network.connect(cells, cells, dynamics.FixedOutDegree(60), rule)
    network.record(cells)
    return network, projection


def test_threads_and_restarts_change_nothing(tmp_path: Path) -> None:
    whole, projection = chaotic(1)
    spikes = whole.run(150.0).recorded.spike_times("cells")
    assert len(spikes[0]) > 1000
    first, _ = chaotic(2)
    first.run(76.0)
    first.save(tmp_path / "half.safetensors")
    second, other = chaotic(3)
    second.restore(tmp_path / "half.safetensors")
    found = second.run(74.0).recorded.spike_times("cells")
    late = spikes[0] > 76
    np.testing.assert_array_equal(found[0], spikes[0][late])
    np.testing.assert_array_equal(found[1], spikes[1][late])
    for name, values in projection.connections().items():
        np.testing.assert_array_equal(other.connections()[name], values)
    weights = projection.connections()["weight"]
    assert weights.min() >= -256
    assert np.unique(weights).size > 100


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ("x1*y1", "a product without a dependency"),
        ("x0*foo", "'foo'"),
        ("x0*(x1 + y1)", "'x1 \\+ y1'"),
        ("u1*x1 - u2*y1", r"u of \[1, 2\]"),
        ("99*x0", "the scale 99"),
        ("2^-9*x0", "the scale"),
        ("x0*__import__('os')", "found"),
        ("x0 +", "something else"),
        ("sgn(x1)*x0", "'x1'"),
        ("x0*1.5", "'1.5'"),
    ],
)
def test_rules_that_are_none_are_refused(rule: str, what: str) -> None:
    network = dynamics.Network(step=1.0)
    cells = network.population(3, dynamics.Loihi())
    with pytest.raises(SimulationError, match=what):
        network.connect(cells, cells, dynamics.AllToAll(), dynamics.LoihiLearning(dw=rule))


def test_what_does_not_fit_is_refused() -> None:
    network = dynamics.Network(step=1.0)
    cells, others = network.population(3, dynamics.Loihi()), network.population(3, dynamics.LIF())
    every = dynamics.AllToAll()
    with pytest.raises(SimulationError, match="Loihi's neurons behind its synapses"):
        network.connect(cells, others, every, dynamics.LoihiLearning())
    with pytest.raises(SimulationError, match="weights of 0 to 255"):
        network.connect(cells, cells, every, dynamics.LoihiLearning(weight=-3, sign="excitatory"))
    with pytest.raises(SimulationError, match="an epoch of 1 to 63"):
        network.connect(cells, cells, every, dynamics.LoihiLearning(epoch=64))
    with pytest.raises(SimulationError, match="an impulse of 0 to 127"):
        network.connect(cells, cells, every, dynamics.LoihiLearning(x1=dynamics.Trace(128)))
