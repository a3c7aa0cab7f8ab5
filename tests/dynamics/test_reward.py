"""Reward-modulated plasticity and pruning against brute force, spike by spike and step by step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forced import STEP, forced_network, trains
from sangbo import dynamics
from sangbo.errors import SimulationError


def forced(
    rule: dynamics.RewardSTDP | dynamics.STDP,
    pre: list[np.ndarray],
    post: list[np.ndarray],
    levels: list[tuple[float, float]],
    threads: int = 1,
) -> dynamics.Projection:
    """Targets that fire when they are told to, while the modulator has ``levels`` (ms, level)."""
    network, sources, targets = forced_network(pre, post, threads)
    projection = network.connect(sources, targets, dynamics.AllToAll(), rule)
    for duration, level in levels:
        if isinstance(rule, dynamics.RewardSTDP):
            projection.modulate(level)
        network.run(duration)
    return projection


def marked(
    rule: dynamics.RewardSTDP,
    pre: np.ndarray,
    post: np.ndarray,
    delay: float,
    levels: list[tuple[float, float]],
) -> tuple[float, float]:
    """Weight and mark of one synapse, every step taken by itself."""
    w, c, before, behind = float(rule.weight), 0.0, 0.0, 0.0  # type: ignore[arg-type]
    arrived = np.round((post + delay) / STEP).astype(int)
    sent = np.round(pre / STEP).astype(int)
    every = 1 if rule.every is None else round(rule.every / STEP)
    dose = np.concatenate([np.full(round(d / STEP), level) for d, level in levels])
    for step in range(1, dose.size + 1):
        c *= np.exp(-STEP / rule.tau_eligibility)
        before *= np.exp(-STEP / rule.tau_plus)
        behind *= np.exp(-STEP / rule.tau_minus)
        if step in arrived:
            c += rule.a_plus * before
        if step in sent:
            c -= rule.a_minus * behind
        before += step in sent
        behind += step in arrived
        if step % every == 0:
            w = np.clip(w + c * dose[step - every : step].sum() * STEP, rule.w_min, rule.w_max)
    return w, c


RULE = dynamics.RewardSTDP(
    weight=1.0, delay=1.5, a_plus=0.06, a_minus=0.05, tau_eligibility=200.0, w_max=2.0
)


@pytest.mark.parametrize(("every", "rate"), [(None, 20.0), (5.0, 20.0), (10.0, 120.0)])
def test_a_modulator_turns_marks_into_weights(every: float | None, rate: float) -> None:
    rule = dynamics.RewardSTDP(
        weight=1.0,
        delay=1.5,
        a_plus=0.06,
        a_minus=0.05,
        tau_eligibility=200.0,
        w_min=-1.0,
        every=every,
    )
    pre, post = trains(3, 20.0, 900, 1), trains(18, rate, 900, 2)
    levels = [(300.0, 0.0), (200.0, 0.05), (300.0, -0.04), (100.0, 0.5)]
    found = forced(rule, pre, post, levels).connections()
    expected = np.array([[marked(rule, i, j, 1.5, levels) for j in post] for i in pre])
    assert np.ptp(expected[..., 0]) > 0.1
    np.testing.assert_allclose(found["weight"], expected[..., 0].ravel(), rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(found["eligibility"], expected[..., 1].ravel(), rtol=1e-3, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000),
    delay=st.sampled_from([0.5, 1.0, 4.0]),
    level=st.floats(-1, 1).filter(lambda x: abs(x) > 1e-3),
)
def test_any_pair_of_trains(seed: int, delay: float, level: float) -> None:
    rule = dynamics.RewardSTDP(weight=1.0, delay=delay, tau_eligibility=50.0, w_min=-5, w_max=5)
    pre, post = trains(1, 60.0, 300, seed), trains(1, 60.0, 300, seed + 5000)
    levels = [(100.0, level), (100.0, 0.0), (100.0, -level)]
    found = forced(rule, pre, post, levels).connections()
    w, c = marked(rule, pre[0], post[0], delay, levels)
    assert found["weight"][0] == pytest.approx(w, rel=1e-4, abs=1e-4)
    assert found["eligibility"][0] == pytest.approx(c, rel=1e-3, abs=1e-5)


def test_without_a_modulator_nothing_changes() -> None:
    pre, post = trains(4, 40.0, 500, 3), trains(4, 40.0, 500, 4)
    found = forced(RULE, pre, post, [(500.0, 0.0)]).connections()
    assert (found["weight"] == 1.0).all()
    assert np.ptp(found["eligibility"]) > 0.01


def test_a_loss_at_every_spike_of_the_target() -> None:
    rule = dynamics.STDP(
        weight=1.0,
        delay=1.0,
        a_plus=0.05,
        a_minus=0.0,
        a_post=0.02,
        dependence_post="multiplicative",
    )
    pre, post = [*trains(3, 15.0, 1000, 5), np.zeros(0)], trains(2, 15.0, 1000, 6)
    found = forced(rule, pre, post, [(1000.0, 0.0)]).connections()["weight"].reshape(4, 2)
    for i, source in enumerate(pre):
        for j, target in enumerate(post):
            w = 1.0
            for t in target + 1.0:
                trace = np.exp(-(t - source[source < t]) / rule.tau_plus).sum()
                w = np.clip(w + rule.a_plus * trace - rule.a_post * w / rule.w_max, 0, 2)
            assert found[i, j] == pytest.approx(w, rel=2e-4)
    assert (found[3] < 1).all()


def rewarded(threads: int) -> tuple[dynamics.Network, dynamics.Projection]:
    network = dynamics.Network(step=1.0, seed=4, threads=threads)
    cells = network.population(600, dynamics.AdaptiveLIF(v=dynamics.Uniform(-70, -55)), name="c")
    rule = dynamics.RewardSTDP(
        weight=dynamics.Uniform(5, 20),
        delay=dynamics.Uniform(1.0, 7.0),
        a_plus=0.5,
        a_minus=0.4,
        w_max=40.0,
        every=4.0,
    )
    projection = network.connect(cells, cells, dynamics.FixedOutDegree(30), rule)
    network.stimulate(cells, dynamics.PoissonInput(rate=4000.0, weight=60.0))
    network.record(cells)
    return network, projection


def test_a_checkpoint_goes_on_exactly_with_any_number_of_threads(tmp_path: Path) -> None:
    whole, weights = rewarded(1)
    weights.modulate(0.02)
    whole.run(100.0)
    assert weights.prune(6.0) > 500
    whole.run(121.0)
    weights.modulate(-0.01)
    spikes = whole.run(100.0).recorded.spike_times("c")
    first, changing = rewarded(2)
    changing.modulate(0.02)
    first.run(100.0)
    changing.prune(6.0)
    first.run(121.0)
    first.save(tmp_path / "half.safetensors")
    second, changed = rewarded(3)
    second.restore(tmp_path / "half.safetensors")
    assert changed.size == weights.size < changed.made
    changed.modulate(-0.01)
    found = second.run(100.0).recorded.spike_times("c")
    late = spikes[0] > 221.0
    assert late.sum() > 500
    np.testing.assert_array_equal(found[0], spikes[0][late])
    np.testing.assert_array_equal(found[1], spikes[1][late])
    for name, values in changed.connections().items():
        np.testing.assert_array_equal(values, weights.connections()[name])


def test_every_instruction_set_gives_the_same() -> None:
    found = []
    for isa in ("portable", ""):
        network = dynamics.Network(step=1.0, seed=1, threads=1, isa=isa)
        cells = network.population(100, dynamics.AdaptiveLIF(i_e=500.0))
        projection = network.connect(
            cells, cells, dynamics.FixedOutDegree(20), dynamics.RewardSTDP(delay=2.0)
        )
        network.stimulate(cells, dynamics.NoiseInput(deviation=300.0))
        projection.modulate(0.1)
        network.run(300.0)
        found.append(projection.connections())
    assert np.ptp(found[0]["weight"]) > 0.01
    for name in found[0]:
        np.testing.assert_array_equal(found[0][name], found[1][name])


def test_pruning_removes_the_weak() -> None:
    network = dynamics.Network(step=1.0, seed=1, threads=2)
    source = network.population(30, dynamics.PoissonSource(rate=100.0))
    cells = network.population(700, dynamics.LIF(), name="cells")
    projection = network.connect(
        source,
        cells,
        dynamics.FixedProbability(0.3),
        dynamics.Static(weight=dynamics.Uniform(-2, 2), delay=dynamics.Uniform(1, 60)),
    )
    before = projection.connections()
    strong = np.abs(before["weight"]) >= 1.0
    assert projection.prune(1.0) == (~strong).sum()
    for name, values in projection.connections().items():
        np.testing.assert_array_equal(values, before[name][strong])
    assert projection.prune(1.0) == 0
    run = network.run(200.0)
    degree = np.bincount(before["source"][strong], minlength=30)
    assert 0 < run.synaptic_events <= run.population_spikes["population0"] * degree.max()
    assert projection.prune(1e9) == projection.made - (~strong).sum()
    assert network.run(50.0).synaptic_events == 0


def test_thresholds_rise_with_spikes_and_fall_back() -> None:
    network = dynamics.Network(step=1.0, threads=1)
    model = dynamics.AdaptiveLIF(
        i_e=np.array([1000.0, 0.0]), theta_plus=2.0, tau_theta=100.0, theta=3.0
    )
    cells = network.population(2, model, name="cells")
    network.record(cells)
    times, _ = network.run(200.0).recorded.spike_times("cells")
    expected = 3 * np.exp(-2) + 2 * np.exp(-(200 - times) / 100).sum()
    np.testing.assert_allclose(cells.state("theta"), [expected, 3 * np.exp(-2)], rtol=1e-4)
    assert np.diff(times)[0] < np.diff(times)[-1]


def test_what_cannot_be() -> None:
    network = dynamics.Network(step=1.0)
    cells = network.population(2, dynamics.LIF())
    with pytest.raises(SimulationError, match="tau_eligibility > 0"):
        network.connect(cells, cells, dynamics.AllToAll(), dynamics.RewardSTDP(tau_eligibility=0.0))
    with pytest.raises(SimulationError, match=r"expected weights of 0.0 to 2.0, found 3.0"):
        network.connect(cells, cells, dynamics.AllToAll(), dynamics.RewardSTDP(weight=3.0))
    fixed = network.connect(cells, cells, dynamics.AllToAll())
    with pytest.raises(SimulationError, match=r"synapses with a modulator, found 1\.0 for"):
        fixed.modulate(1.0)
    with pytest.raises(SimulationError, match="of 4 synapses to keep"):
        fixed.keep(np.ones(3, bool))
    with pytest.raises(SimulationError, match="expected as many times as neurons that are listed"):
        cells.fire([1.0], [0])


def test_listed_spikes_may_depend_on_what_happened() -> None:
    network = dynamics.Network(step=0.5)
    source = network.population(None, dynamics.SpikeTimes([[1.0], [], []]), name="source")
    network.record(source)
    network.run(4.0)
    source.fire([7.0, 2.0, 6.0, 6.0], [1, 1, 2, 0])
    times, neurons = network.run(4.0).recorded.spike_times("source")
    np.testing.assert_array_equal(times, [1.0, 6.0, 6.0, 7.0])
    np.testing.assert_array_equal(neurons, [0, 0, 2, 1])
    with pytest.raises(SimulationError, match="neurons of 0 to 2"):
        source.fire([9.0], [3])
