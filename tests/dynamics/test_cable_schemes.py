"""Receptors of synapses on cables, against SciPy's stiff solver."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from sangbo import dynamics as d
from sangbo.dynamics.cables.schemes import exponential
from sangbo.errors import SimulationError

KINDS = ["ampa", "nmda", "gaba_a", "gaba_b", "ampa_simple", "nmda_simple", "gaba_a_simple"]
STEP, DURATION, PULSE = 0.025, 60.0, 1.0
# A burst in which pulses overlap, and a late spike; when they arrive, and how strong they are.
TRAIN = [(5.0, 1.0), (8.0, 1.0), (8.5, 0.5), (11.0, 1.0), (13.0, 1.5), (40.0, 1.0)]
LEAK = d.Passive(g=1e-4, e=-65.0)


def truth(site: d.KineticSite, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """I of ``site`` (pA) on a passive sphere of 20 µm, by Radau from edge to edge of pulses."""
    area = math.pi * 400.0
    capacitance, leak = area * 0.01, 10 * LEAK.g * area
    free, bound = site.scheme.matrices()
    opens = np.array([site.scheme.opens.get(s, 0.0) for s in site.scheme.states])

    def conductance(p: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
        o = opens @ p
        if site.scheme.power:
            o = o**site.scheme.power / (o**site.scheme.power + site.scheme.half)
        block = 0.0 if site.magnesium is None else site.magnesium.concentration / 3.57
        return site.g * o / (1 + block * np.exp(-0.062 * v))

    def right(_: float, y: NDArray[np.float64], transmitter: float) -> NDArray[np.float64]:
        v, p = y[0], y[1:]
        current = conductance(p, v) * (v - site.e) + leak * (v - LEAK.e)
        return np.concatenate([[-current / capacitance], (free + transmitter * bound) @ p])

    edges = sorted({0.0, DURATION, *(t for t, _ in TRAIN), *(t + PULSE for t, _ in TRAIN)})
    y = np.concatenate([[LEAK.e], [float(s == site.scheme.start) for s in site.scheme.states]])
    found = np.zeros(times.size)
    for a, b in itertools.pairwise(edges):
        middle = (a + b) / 2
        transmitter = sum(w for t, w in TRAIN if t < middle < t + PULSE)
        inside = (times > a + 1e-9) & (times < b + 1e-9)
        at = np.minimum(times[inside], b)
        ends = np.unique(np.append(at, b))
        solved = solve_ivp(
            right, (a, b), y, "Radau", ends, args=(transmitter,), rtol=1e-9, atol=1e-12
        )
        v, p = solved.y[0], solved.y[1:]
        found[inside] = (conductance(p, v) * (v - site.e))[: at.size]
        y = solved.y[:, -1]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_currents_are_those_of_a_stiff_solver(kind: str) -> None:
    """Within 0.1 % of the peak at steps of 0.025 ms, depolarising the cell by tens of mV."""
    g = {"gaba_b": 2000.0, "nmda": 20.0, "nmda_simple": 20.0}.get(kind, 5.0)
    place = d.Place("soma")
    site = d.receptor(kind, place, g=g)
    cell = d.Cable(
        morphology=d.Morphology([d.sphere("soma", 20.0)]),
        channels={"all": [LEAK]},
        synapses={"s": site},
    )
    network = d.Network(step=STEP, threads=1)
    cells = network.population(1, cell, name="cells")
    for time, weight in TRAIN:
        source = network.population(None, d.SpikeTimes([[time - 1.0]]))
        synapses = d.Static(weight=weight, delay=1.0)
        network.connect(source, cells, d.AllToAll(), synapses, receptor="s")
    network.record(cells, "i@s")
    times, current = network.run(DURATION).recorded.samples("cells", "i@s")
    true = truth(site, times)
    assert np.abs(true).max() > 1.0
    assert np.abs(current[:, 0] - true).max() < 1e-3 * np.abs(true).max()


def test_receptors_are_kept_and_saturate() -> None:
    """Their number does not change, and no more than all can open."""
    for scheme in (d.receptor(k, d.Place("soma")).scheme for k in KINDS if k != "gaba_b"):
        free, bound = scheme.matrices()
        assert np.allclose(free.sum(0), 0)
        assert np.allclose(bound.sum(0), 0)
        assert np.allclose(exponential(free * 3.0 + bound * 50.0).sum(0), 1)


def test_matrix_exponential() -> None:
    from scipy.linalg import expm

    generator = np.random.default_rng(1)
    for size in (1e-6, 0.1, 3.0, 40.0):
        matrix = generator.normal(size=(6, 6)) * size
        assert np.allclose(exponential(matrix), expm(matrix), rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: d.receptor("kainate", d.Place("soma")), "expected a kind, one of ampa, nmda"),
        (lambda: d.Scheme([d.Reaction("a", "b", -1.0)], {"b": 1.0}, "a"), "rates of 0 or more"),
        (lambda: d.Scheme([d.Reaction("a", "b", 1.0)], {"c": 1.0}, "a"), "expected a state"),
        (lambda: d.Scheme([d.Reaction("a", None, 1.0, keeps=True)], {"a": 1.0}, "a"), "made"),
        (
            lambda: d.Scheme([d.Reaction(f"{k}", f"{k + 1}", 1.0) for k in range(8)], {}, "0"),
            "1 to 8 states",
        ),
    ],
)
def test_impossible_schemes_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        make()


def test_impossible_sites_are_refused() -> None:
    scheme = d.receptor("ampa", d.Place("soma")).scheme
    wrong: list[dict[str, Any]] = [{"g": 0.0}, {"pulse": math.inf}, {"transmitter": -1.0}]
    for options in wrong:
        site = d.KineticSite(place=d.Place("soma"), scheme=scheme, **options)
        network = d.Network(step=0.025)
        shape = d.Morphology([d.sphere("soma", 20.0)])
        network.population(
            1, d.Cable(morphology=shape, channels={"all": ["pas"]}, synapses={"s": site})
        )
        with pytest.raises(SimulationError, match="> 0"):
            network.build()


# --- vesicles ---


def arrivals(
    vesicles: d.Vesicles, trains: list[list[float]], cells: int, seed: int
) -> NDArray[np.float64]:
    """What each spike of ``trains`` (of cells in turn) opens at a synapse that decays slowly."""
    site = d.ExponentialSite(place=d.Place("soma"), tau=1e9, vesicles=vesicles)
    cell = d.Cable(
        morphology=d.Morphology([d.sphere("soma", 20.0)]),
        channels={"all": ["pas"]},
        synapses={"s": site},
    )
    network = d.Network(step=0.1, seed=seed, threads=1)
    made = network.population(cells, cell, name="cells")
    source = network.population(None, d.SpikeTimes(trains))
    network.connect(source, made, d.OneToOne(), d.Static(weight=10.0, delay=0.1), receptor="s")
    network.record(made, "g@s")
    g = network.run(max(map(max, trains)) + 1).recorded.samples("cells", "g@s")[1]
    steps = np.array([[round((t + 0.1) / 0.1) for t in train] for train in trains])
    before = np.take_along_axis(g.T, steps - 2, 1)
    found: NDArray[np.float64] = np.take_along_axis(g.T, steps - 1, 1) - before
    return found


def test_means_are_tsodyks_and_markrams() -> None:
    """Depletion and facilitation by their recursion (Tsodyks, Uziel and Markram 2000)."""
    train = [5.0, 12.0, 20.0, 24.0, 90.0, 400.0]
    for facilitation in (0.0, 150.0):
        vesicles = d.Vesicles(
            count=7, use=0.3, tau_recovery=80.0, tau_facilitation=facilitation, quantal=False
        )
        found = arrivals(vesicles, [train], 1, 1)[0]
        left, u, last = 1.0, 0.0, None
        for time, much in zip(train, found, strict=True):
            if last is not None:
                left = 1 - (1 - left) * math.exp(-(time - last) / 80.0)
                u *= math.exp(-(time - last) / facilitation) if facilitation else 0.0
            u += 0.3 * (1 - u)
            assert much == pytest.approx(10.0 * left * u, rel=1e-4)
            left, last = left * (1 - u), time


def test_quanta_are_binomial_and_as_many_as_the_means() -> None:
    train = [5.0, 12.0, 20.0]
    vesicles = d.Vesicles(count=6, use=0.4, tau_recovery=30.0)
    found = arrivals(vesicles, [train] * 4000, 4000, 5)
    quanta = found * 6 / 10.0
    assert np.abs(quanta - np.round(quanta)).max() < 1e-3
    expected = arrivals(
        d.Vesicles(count=6, use=0.4, tau_recovery=30.0, quantal=False), [train], 1, 5
    )
    deviation = found.std(0) / math.sqrt(4000)
    assert (np.abs(found.mean(0) - expected[0]) < 4 * deviation).all()
    first = np.bincount(np.round(quanta[:, 0]).astype(int), minlength=7) / 4000
    binomial = [math.comb(6, k) * 0.4**k * 0.6 ** (6 - k) for k in range(7)]
    assert np.abs(first - binomial).max() < 4 * 0.5 / math.sqrt(4000)
    # Every cell and step has numbers of its own; a seed has the same again.
    assert abs(np.corrcoef(quanta[:-1, 0], quanta[1:, 0])[0, 1]) < 4 / math.sqrt(4000)
    assert np.array_equal(found[:50], arrivals(vesicles, [train] * 4000, 4000, 5)[:50])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "1 to 32 vesicles"),
        ({"count": 33}, "1 to 32 vesicles"),
        ({"use": 0.0}, "use of 0 to 1"),
        ({"tau_facilitation": -1.0}, "tau_facilitation"),
        ({"tau_recovery": 0.0}, "tau_recovery"),
    ],
)
def test_impossible_vesicles_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        arrivals(d.Vesicles(**options), [[1.0]], 1, 1)
