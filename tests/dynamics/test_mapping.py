"""Placement on cores: by hand, by brute force, and what it costs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from sangbo import chips, dynamics
from sangbo.chips.chip import Chip, Quantity
from sangbo.chips.placement import Bundle, Group, Placement, place
from sangbo.errors import ChipError

LOIHI = chips.load("loihi-1")


def small(**limits: float) -> Chip:
    """Loihi with other limits."""
    table = dict(LOIHI.tables["limits"])
    for key, value in limits.items():
        table[key] = Quantity(value, table[key].unit, "made up", "estimate")
    return replace(LOIHI, tables={**LOIHI.tables, "limits": table})


def usage(placement: Placement, groups: list[Group], bundles: list[Bundle]) -> dict[str, int]:
    """The greatest use of each limit, synapse by synapse."""
    axons: dict[int, dict[tuple[int, int], int]] = defaultdict(lambda: defaultdict(int))
    sent: dict[int, set[tuple[int, int, int]]] = defaultdict(set)
    for k, b in enumerate(bundles):
        for source, target in zip(b.source.tolist(), b.target.tolist(), strict=True):
            core = int(placement.core[b.post][target])
            if core < 0:
                continue
            axons[core][k, source] += 1
            home = int(placement.core[b.pre][source])
            if home >= 0:
                sent[home].add((k, source, core))
    index = int(np.ceil(np.log2(placement.chip.limit("neurons_per_core") or 0)))
    bits = {k: b.weight_bits + b.delay_bits + index for k, b in enumerate(bundles)}
    held: dict[int, int] = defaultdict(int)
    for cores in placement.core:
        for core in cores[cores >= 0].tolist():
            held[core] += 1
    memory = {
        core: sum(64 * -(-(n * bits[k] + 10) // 64) for (k, _), n in found.items())
        for core, found in axons.items()
    }
    return {
        "neurons_per_core": max(held.values()),
        "input_axons_per_core": max((len(a) for a in axons.values()), default=0),
        "output_axons_per_core": max((len(s) for s in sent.values()), default=0),
        "synaptic_memory_per_core": -(-max(memory.values(), default=0) // 8),
    }


@pytest.mark.parametrize("seed", range(8))
def test_every_core_keeps_its_limits(seed: int) -> None:
    random = np.random.default_rng(seed)
    groups = [Group("in", 50, external=True), Group("a", 300), Group("b", 120)]
    bundles = []
    for pre, post, count in ((0, 1, 900), (1, 1, 2500), (1, 2, 1500), (2, 1, 400)):
        source = random.integers(0, groups[pre].neurons, count)
        target = random.integers(0, groups[post].neurons, count)
        bundles.append(
            Bundle(
                pre, post, source, target, int(random.integers(1, 9)), int(random.integers(0, 7))
            )
        )
    chip = small(
        neurons_per_core=float(random.integers(20, 200)),
        input_axons_per_core=float(random.integers(60, 400)),
        output_axons_per_core=float(random.integers(500, 4000)),
        synaptic_memory_per_core=float(random.integers(600, 4000)),
    )
    placement = place(groups, bundles, chip)
    assert (placement.core[0] == -1).all()
    for core in placement.core[1:]:
        assert (np.diff(core) >= 0).all()
    assert np.unique(np.concatenate(placement.core[1:])).size == placement.cores
    used = usage(placement, groups, bundles)
    assert placement.used == used
    assert not placement.breaches
    for key, value in used.items():
        assert value <= (chip.limit(key) or 0)
    # One neuron more would not fit into any core but the last of its group.
    for core in placement.core[1:]:
        assert placement.cores <= core.size + 300


def test_what_a_single_neuron_breaks_is_named_with_its_population() -> None:
    groups = [Group("many", 5000), Group("one", 1)]
    bundle = Bundle(0, 1, np.arange(5000), np.zeros(5000, int), 12, 7)
    placement = place(groups, [bundle], LOIHI)
    assert placement.cores == 5 + 1
    assert placement.binding == {"many": "neurons_per_core"}
    assert [str(b) for b in placement.breaches] == [
        "one needs 5000 input axons of a core, 4096 are allowed",
        "one needs 12 bits of a weight, 9 are allowed",
        "one needs 7 bits of a delay, 6 are allowed",
    ]
    assert placement.chips == 1
    with pytest.raises(ChipError, match="to state neurons_per_core"):
        place(groups, [bundle], chips.load("horowitz-45nm"))


def layered() -> dynamics.Network:
    network = dynamics.Network(step=1.0, seed=3, threads=1)
    source = network.population(100, dynamics.PoissonSource(rate=40.0), name="source")
    first = network.population(1500, dynamics.Loihi(v_th=400, dv=300), name="first")
    second = network.population(600, dynamics.Loihi(v_th=500, dv=200), name="second")
    network.connect(source, first, dynamics.FixedInDegree(12), dynamics.Static(weight=90.0))
    network.connect(
        first, second, dynamics.FixedInDegree(40),
        dynamics.Static(weight=dynamics.Uniform(-20, 60), delay=dynamics.Uniform(1, 12)),
    )  # fmt: skip
    for population in (source, first, second):
        network.record(population)
    return network


def test_energy_and_time_of_a_step_are_what_happened_on_its_cores() -> None:
    network = layered()
    run = network.run(300.0)
    placement = dynamics.place(network)
    assert placement.cores == 3
    assert not placement.breaches
    cost = dynamics.step_cost(network, run, placement)
    # By hand, spike by spike.
    energy = LOIHI.tables["energy"]
    tables = [(network.projections[1].connections(), 1, 2)]
    hops = {"east": 0, "north": 0, "axons": 0}
    tile = [(c // 4 % 8, c // 32) for c in range(placement.cores)]
    for listed, pre, post in tables:
        _, fired = run.recorded.spike_times(network.populations[pre].name)
        counts = np.bincount(fired, minlength=network.populations[pre].size)
        pairs = {
            (int(s), int(placement.core[post][t]))
            for s, t in zip(listed["source"], listed["target"], strict=True)
        }
        for source, core in pairs:
            x, y = tile[int(placement.core[pre][source])]
            hops["axons"] += counts[source]
            hops["east"] += counts[source] * abs(x - tile[core][0])
            hops["north"] += counts[source] * abs(y - tile[core][1])
    expected = (
        hops["axons"] * energy["transport"].value
        + hops["east"] * energy["hop_east_west"].value
        + hops["north"] * energy["hop_north_south"].value
    )
    assert hops["axons"] > 1000
    assert cost.energy_pj["transport"] * 300 == pytest.approx(expected)
    assert cost.energy_pj["synaptic_operations"] * 300 == pytest.approx(run.synaptic_events * 23.6)
    active = min(run.synaptic_events, run.neuron_updates)
    assert cost.energy_pj["neuron_updates"] * 300 == pytest.approx(
        active * 81 + (2100 * 300 - active) * 52
    )
    # The slowest core updates its neurons and does its synaptic operations; three cores: one tile.
    operations = np.zeros(placement.cores)
    for projection in network.projections:
        listed = projection.connections()
        _, fired = run.recorded.spike_times(projection.pre.name)
        counts = np.bincount(fired, minlength=projection.pre.size)
        np.add.at(
            operations, placement.core[projection.post.index][listed["target"]],
            counts[listed["source"]],
        )  # fmt: skip
    held = np.bincount(np.concatenate(placement.core[1:]), minlength=placement.cores)
    slowest = (held * 300 * 8.4 + operations * 3.5).max() / 300 + 113
    assert cost.time_ns == pytest.approx(slowest)
    entry = dynamics.document(network, run, placement)["energy"][0]
    assert entry["total_pj"] == pytest.approx(cost.total_pj * 1000)


def test_weights_and_neurons_that_the_chip_cannot_hold_are_breaches() -> None:
    network = dynamics.Network(step=1.0)
    cells = network.population(10, dynamics.Loihi(), name="cells")
    other = network.population(10, dynamics.Izhikevich(), name="other")
    network.connect(cells, cells, dynamics.AllToAll(), dynamics.Static(weight=-700.0, delay=100.0))
    network.connect(cells, other, dynamics.AllToAll(), dynamics.Static(weight=0.25))
    found = [str(b) for b in dynamics.place(network).breaches]
    assert found == [
        "cells needs 10 bits of a weight, 9 are allowed",
        "cells needs 7 bits of a delay, 6 are allowed",
        "other needs compartments that are Izhikevich, of which there are none",
    ]


def test_learning_is_priced() -> None:
    costs = []
    for learns in (False, True):
        network = dynamics.presets.random(500, 50, 20.0, plastic=learns, threads=1)
        run = network.run(300.0)
        costs.append(dynamics.document(network, run)["energy"][0]["total_pj"] * 0.3)
        rate = 120 * run.plastic_updates
    crossed = sum(p.events for p in network.projections if isinstance(p.synapses, dynamics.STDP))
    post = run.population_spikes["excitatory"] * 40
    assert run.plastic_updates == pytest.approx(crossed + post, rel=1e-6)
    assert costs[1] > rate > 0.5 * costs[0]
