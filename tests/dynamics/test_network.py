from __future__ import annotations

import numpy as np
import pytest

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
