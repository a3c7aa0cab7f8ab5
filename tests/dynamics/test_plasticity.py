"""Learning rules against their equations, worked out pair by pair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import forced
from forced import forced_network
from sangbo import dynamics
from sangbo.errors import SimulationError

DURATION = 2000.0


def trains(neurons: int, rate: float, seed: int) -> list[np.ndarray]:
    return forced.trains(neurons, rate, DURATION, seed)


def learned(
    synapses: dynamics.STDP | dynamics.TripletSTDP,
    pre: list[np.ndarray],
    post: list[np.ndarray],
    threads: int = 1,
) -> np.ndarray:
    """Weights (sources, targets) at the last spike of each source, targets being forced to fire."""
    network, sources, targets = forced_network(pre, post, threads)
    projection = network.connect(sources, targets, dynamics.AllToAll(), synapses)
    network.record(targets)
    run = network.run(DURATION)
    times, who = run.recorded.spike_times("targets")
    for j, expected in enumerate(post):
        np.testing.assert_allclose(times[who == j], expected)
    return projection.connections()["weight"].reshape(len(pre), len(post))


def by_pairs(rule: dynamics.STDP, pre: np.ndarray, post: np.ndarray, delay: float) -> float:
    """The weight after every spike, in the order of time, each meeting all earlier ones."""
    w = float(rule.weight)  # type: ignore[arg-type]
    arrived = post + delay
    events = sorted([(t, 0) for t in arrived if t <= DURATION] + [(t, 1) for t in pre])
    for t, is_pre in events:
        if is_pre:
            trace = np.exp(-(t - arrived[arrived < t]) / rule.tau_minus).sum()
            factor = w / rule.w_max if rule.dependence[1] == "multiplicative" else 1.0
            w = max(0.0, w - rule.a_minus * factor * trace)
        else:
            trace = np.exp(-(t - pre[pre < t]) / rule.tau_plus).sum()
            factor = 1 - w / rule.w_max if rule.dependence[0] == "multiplicative" else 1.0
            w = min(rule.w_max, w + rule.a_plus * factor * trace)
    return w


@pytest.mark.parametrize("dependence", ["additive", "multiplicative"])
@pytest.mark.parametrize(("rate_pre", "rate_post"), [(10.0, 10.0), (3.0, 60.0)])
def test_stdp_is_the_pair_rule(dependence: str, rate_pre: float, rate_post: float) -> None:
    rule = dynamics.STDP(
        weight=1.0,
        delay=1.5,
        a_plus=0.06,
        a_minus=0.063,
        dependence=(dependence, dependence),  # type: ignore[arg-type]
    )
    pre, post = trains(6, rate_pre, 1), trains(5, rate_post, 2)
    found = learned(rule, pre, post)
    expected = [[by_pairs(rule, i, j, 1.5) for j in post] for i in pre]
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)


def test_triplets() -> None:
    rule = dynamics.TripletSTDP(weight=1.0, delay=1.0)
    pre, post = trains(4, 20.0, 3), trains(3, 20.0, 4)
    found = learned(rule, pre, post)
    for i, source in enumerate(pre):
        for j, target in enumerate(post):
            arrived = target + 1.0
            w = 1.0
            events = sorted([(t, 0) for t in arrived if t <= DURATION] + [(t, 1) for t in source])
            for t, is_pre in events:
                early, late = source[source < t], arrived[arrived < t]
                if is_pre:
                    o1 = np.exp(-(t - late) / rule.tau_minus).sum()
                    r2 = np.exp(-(t - early) / rule.tau_x).sum()
                    w = max(0.0, w - o1 * (rule.a2_minus + rule.a3_minus * r2))
                else:
                    r1 = np.exp(-(t - early) / rule.tau_plus).sum()
                    o2 = np.exp(-(t - late) / rule.tau_y).sum()
                    w = min(rule.w_max, w + r1 * (rule.a2_plus + rule.a3_plus * o2))
            assert found[i, j] == pytest.approx(w, rel=2e-4)


def test_tsodyks_markram() -> None:
    times = np.array([10.0, 20.0, 30.0, 80.0, 400.0])
    rule = dynamics.TsodyksMarkram(
        weight=100.0, delay=1.0, use=0.2, tau_recovery=200.0, tau_facilitation=300.0
    )
    network = dynamics.Network(step=0.5, threads=1)
    source = network.population(None, dynamics.SpikeTimes([times]))
    target = network.population(1, dynamics.McCullochPitts(threshold=1e9), name="target")
    network.connect(source, target, dynamics.OneToOne(), rule)
    network.record(target, "sum")
    at, values = network.run(500.0).recorded.samples("target", "sum")
    left, use, last, expected = 1.0, 0.0, None, []
    for t in times:
        if last is not None:
            left = 1 + (left - 1) * np.exp(-(t - last) / 200)
            use *= np.exp(-(t - last) / 300)
        use += 0.2 * (1 - use)
        expected.append(100 * use * left)
        left -= use * left
        last = t
    arrived = values[:, 0] > 0
    np.testing.assert_allclose(at[arrived], times + 1.0)
    np.testing.assert_allclose(values[arrived, 0], expected, rtol=1e-5)


def test_homeostasis_finds_the_rate() -> None:
    network = dynamics.Network(step=1.0, seed=5, threads=1)
    sources = network.population(200, dynamics.PoissonSource(rate=20.0))
    cells = network.population(50, dynamics.LIF(), name="cells")
    home = dynamics.HomeostaticScaling(rate=15.0, gain=0.02, every=500.0)
    network.connect(
        sources,
        cells,
        dynamics.AllToAll(),
        dynamics.STDP(weight=10.0, a_plus=0.0, a_minus=0.0, w_max=500.0, homeostasis=home),
    )
    network.run(20_000.0)
    before = cells.spikes
    network.run(5000.0)
    assert (cells.spikes - before) / 50 / 5 == pytest.approx(15.0, rel=0.1)


def plastic(threads: int) -> dynamics.Network:
    network = dynamics.Network(step=1.0, seed=2, threads=threads)
    cells = network.population(600, dynamics.LIF(v=dynamics.Uniform(-70, -55)), name="cells")
    fast = dynamics.STDP(
        weight=dynamics.Uniform(5.0, 20.0),
        delay=dynamics.Uniform(1.0, 9.0),
        a_plus=0.5,
        a_minus=0.4,
        w_max=40.0,
    )
    network.connect(cells, cells, dynamics.FixedOutDegree(40), fast)
    network.connect(
        cells,
        cells,
        dynamics.FixedInDegree(10),
        dynamics.TsodyksMarkram(weight=-100.0),
        receptor="inhibitory",
    )
    network.stimulate(cells, dynamics.PoissonInput(rate=4000.0, weight=60.0))
    network.record(cells)
    return network


def test_a_checkpoint_goes_on_exactly_with_any_number_of_threads(tmp_path: Path) -> None:
    whole = plastic(1)
    expected = whole.run(500.0).recorded.spike_times("cells")
    assert len(expected[0]) > 2000
    first = plastic(2)
    first.run(321.0)
    first.save(tmp_path / "half.safetensors")
    second = plastic(3)
    second.restore(tmp_path / "half.safetensors")
    assert second.time == 321.0
    found = second.run(179.0).recorded.spike_times("cells")
    late = expected[0] > 321.0
    np.testing.assert_array_equal(found[0], expected[0][late])
    np.testing.assert_array_equal(found[1], expected[1][late])
    for name, values in second.projections[0].connections().items():
        np.testing.assert_array_equal(values, whole.projections[0].connections()[name])


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    network = plastic(1)
    network.run(5.0)
    network.save(tmp_path / "state.safetensors")
    other = dynamics.Network(step=1.0, seed=2)
    other.population(600, dynamics.LIF(), name="cells")
    with pytest.raises(SimulationError, match="expected a checkpoint of this network"):
        other.restore(tmp_path / "state.safetensors")
    (tmp_path / "cut").write_bytes((tmp_path / "state.safetensors").read_bytes()[:1000])
    with pytest.raises(SimulationError, match="expected a checkpoint in"):
        other.restore(tmp_path / "cut")
