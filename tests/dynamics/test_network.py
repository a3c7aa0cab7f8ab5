from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dynamics.simulators import brunel
from sangbo import dynamics
from sangbo.errors import SimulationError


def balanced(threads: int, isa: str | None = None) -> dynamics.Network:
    network = dynamics.Network(step=0.5, seed=7, threads=threads, isa=isa)
    model = dynamics.LIF(e_l=0.0, v_th=20.0, v_reset=10.0, v=dynamics.Uniform(0.0, 20.0))
    excitatory = network.population(1500, model, name="excitatory")
    inhibitory = network.population(410, model, name="inhibitory")
    delay = dynamics.Normal(2.0, 1.0, low=0.5)
    for target in (excitatory, inhibitory):
        network.connect(
            excitatory,
            target,
            dynamics.FixedInDegree(60),
            dynamics.Static(weight=dynamics.Normal(45.0, 4.0), delay=delay),
        )
        network.connect(
            inhibitory,
            target,
            dynamics.FixedProbability(0.05),
            dynamics.Static(weight=-250.0, delay=delay),
            receptor="inhibitory",
        )
        network.stimulate(target, dynamics.PoissonInput(rate=12_000.0, weight=45.0))
        network.stimulate(target, dynamics.NoiseInput(deviation=20.0))
        network.record(target)
    return network


def spikes(network: dynamics.Network, *durations: float) -> tuple[np.ndarray, np.ndarray]:
    for duration in durations:
        run = network.run(duration)
    pairs = [run.recorded.spike_times(p.name) for p in network.populations]
    return np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])


def test_threads_and_pieces_do_not_change_spikes() -> None:
    times, neurons = spikes(balanced(1), 200.0)
    assert 1000 < len(times) < 40_000
    for threads, durations in ((2, (200.0,)), (4, (3.5, 96.5, 100.0))):
        again, who = spikes(balanced(threads), *durations)
        np.testing.assert_array_equal(again, times)
        np.testing.assert_array_equal(who, neurons)


def test_instruction_sets_do_not_change_spikes() -> None:
    from sangbo._dynamics import available_kernels

    expected = spikes(balanced(1), 100.0)
    for isa in available_kernels():
        found = spikes(balanced(2, isa), 100.0)
        np.testing.assert_array_equal(found, expected)


def test_states_that_blow_up_are_refused() -> None:
    network = dynamics.Network(step=1.0)
    cells = network.population(20, dynamics.LIF(), name="cells")
    source = network.population(1, dynamics.RegularSource(interval=5.0))
    network.connect(source, cells, dynamics.AllToAll(), dynamics.Static(weight=3e38))
    network.connect(source, cells, dynamics.AllToAll(), dynamics.Static(weight=3e38))
    network.record(cells)
    with pytest.raises(SimulationError, match="finite states, found one in population 'cells'"):
        network.run(100.0)


def test_a_network_too_big_is_refused_with_the_number() -> None:
    network = dynamics.Network()
    cells = network.population(2_000_000, dynamics.LIF())
    network.connect(cells, cells, dynamics.AllToAll())
    with pytest.raises(SimulationError, match=r"it needs 149\d\d\.\d GiB, found"):
        network.run(1.0)


def spread(threads: int) -> dynamics.Network:
    """So many cells, and delays so long, that rings hold a part of them (phases)."""
    network = dynamics.Network(step=1.0, seed=3, threads=threads)
    sources = network.population(
        None, dynamics.SpikeTimes([[float(3 * i), float(60 + i)] for i in range(20)])
    )
    cells = network.population(20_000, dynamics.McCullochPitts(threshold=2.5), name="cells")
    synapses = dynamics.Static(weight=1.0, delay=dynamics.Uniform(1.0, 70.0))
    network.connect(sources, cells, dynamics.FixedProbability(0.5), synapses)
    network.connect(
        cells,
        cells,
        dynamics.FixedOutDegree(100),
        dynamics.Static(weight=-1.0, delay=dynamics.Uniform(20.0, 64.0)),
    )
    network.record(cells)
    network.record(cells, "sum", neurons=np.arange(0, 20_000, 7))
    return network


def test_weights_arrive_after_their_delays() -> None:
    network = spread(2)
    recorded = network.run(150.0).recorded
    expected = np.zeros((151, 20_000))
    spikes = [recorded.spike_times("cells")[::-1]]
    spikes.insert(
        0, (np.repeat(np.arange(20), 2), np.array([[3 * i, 60 + i] for i in range(20)]).ravel())
    )
    for projection, (who, when) in zip(network.projections, spikes, strict=True):
        made = projection.connections()
        assert made["delay"].max() > 60
        for i, t in zip(who, when, strict=True):
            row = slice(*np.searchsorted(made["source"], [i, i + 1]))
            at = np.round(t + made["delay"][row]).astype(int)
            seen = at <= 150
            np.add.at(expected, (at[seen], made["target"][row][seen]), made["weight"][row][seen])
    times, found = recorded.samples("cells", "sum")
    np.testing.assert_array_equal(found, expected[np.round(times).astype(int), ::7])
    assert len(spikes[1][0]) > 1000


def test_a_checkpoint_keeps_what_is_on_its_way(tmp_path: Path) -> None:
    expected = spread(1).run(150.0).recorded.spike_times("cells")
    first = spread(2)
    first.run(75.0)
    first.save(tmp_path / "half.safetensors")
    second = spread(3)
    second.restore(tmp_path / "half.safetensors")
    found = second.run(75.0).recorded.spike_times("cells")
    late = expected[0] > 75.0
    assert late.sum() > 100
    np.testing.assert_array_equal(found[0], expected[0][late])
    np.testing.assert_array_equal(found[1], expected[1][late])


def test_brunel_is_as_in_nest() -> None:
    recorded = json.loads(Path(brunel.__file__).with_name("brunel.json").read_text("utf-8"))
    found = []
    for seed in (1, 2, 3):
        network = dynamics.Network(step=brunel.STEP, seed=seed)
        cells = network.population(
            brunel.EXCITATORY + brunel.INHIBITORY,
            dynamics.LIF(
                c_m=1.0,
                tau_m=brunel.TAU,
                t_ref=brunel.REFRACTORY,
                e_l=0.0,
                v_reset=brunel.RESET,
                v_th=brunel.THRESHOLD,
                v=0.0,
                receptors=dynamics.Delta(),
            ),
            name="cells",
        )
        found.append(brunel_run(network, cells))
    for name in recorded[0]:
        values = np.array([r[name] for r in recorded])
        mean = np.mean([f[name] for f in found])
        assert values.min() <= mean <= values.max(), (name, mean, values)


def brunel_run(network: dynamics.Network, cells: dynamics.Population) -> dict[str, float]:
    pairs = np.random.default_rng(network.seed)
    size = brunel.EXCITATORY + brunel.INHIBITORY
    for first, count, degree, weight in (
        (0, brunel.EXCITATORY, brunel.DEGREE_E, brunel.J),
        (brunel.EXCITATORY, brunel.INHIBITORY, brunel.DEGREE_I, -brunel.G * brunel.J),
    ):
        sources = first + pairs.integers(0, count, (size, degree))
        network.connect(
            cells,
            cells,
            dynamics.Pairs(sources.ravel(), np.repeat(np.arange(size), degree)),
            dynamics.Static(weight=weight, delay=brunel.DELAY),
        )
    network.stimulate(cells, dynamics.PoissonInput(rate=brunel.DRIVE, weight=brunel.J))
    network.record(cells)
    return brunel.statistics(*network.run(brunel.END).recorded.spike_times("cells"))
