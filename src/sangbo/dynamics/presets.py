"""Networks that everybody knows, at any size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sangbo.dynamics.loihi import Loihi
from sangbo.dynamics.network import Network
from sangbo.dynamics.neurons import LIF
from sangbo.dynamics.receptors import CurrentExponential
from sangbo.dynamics.rules import FixedInDegree, FixedOutDegree, FixedTotal
from sangbo.dynamics.stimuli import PoissonInput
from sangbo.dynamics.synapses import STDP, Static, Synapses
from sangbo.dynamics.values import Normal, Uniform
from sangbo.errors import SimulationError

THRESHOLD, TAU, CAPACITANCE, REFRACTORY = 15.0, 20.0, 250.0, 2.0
WEIGHT = 1.0  # pA


def random(
    neurons: int = 10_000,
    synapses_per_neuron: int = 1000,
    rate: float = 10.0,
    *,
    plastic: bool = False,
    seed: int = 1,
    threads: int | None = None,
) -> Network:
    """Leaky integrate-and-fire neurons, four in five excitatory, at random, in steps of 1 ms.

    A constant current lets a neuron alone fire at ``rate`` Hz; the balanced weights (four times
    larger and negative from inhibitory neurons) are small, so the network fires near it. With
    ``plastic`` synapses among excitatory neurons obey additive STDP.
    """
    if not 0 < rate < 1000 / (REFRACTORY + 1):
        raise SimulationError(f"expected a rate above 0 and below 333 Hz, found {rate}")
    excitatory, degree = neurons * 4 // 5, synapses_per_neuron * 4 // 5
    if excitatory < 1 or degree < 1 or neurons == excitatory:
        raise SimulationError(
            f"expected 5 neurons and 2 synapses to each or more, found {neurons} and "
            f"{synapses_per_neuron}"
        )
    network = Network(step=1.0, seed=seed, threads=threads)
    wait = 1000 / rate - REFRACTORY
    current = THRESHOLD / -math.expm1(-wait / TAU) * CAPACITANCE / TAU
    model = LIF(
        tau_m=TAU,
        c_m=CAPACITANCE,
        e_l=0.0,
        v_th=THRESHOLD,
        v_reset=0.0,
        t_ref=REFRACTORY,
        i_e=current,
        v=Uniform(0.0, THRESHOLD),
    )
    groups = (
        network.population(excitatory, model, name="excitatory"),
        network.population(neurons - excitatory, model, name="inhibitory"),
    )
    for target in groups:
        fixed: Synapses = Static(weight=WEIGHT, delay=2.0)
        changing = STDP(
            weight=WEIGHT,
            delay=2.0,
            a_plus=0.01 * WEIGHT,
            a_minus=0.0105 * WEIGHT,
            w_max=3 * WEIGHT,
        )
        network.connect(
            groups[0],
            target,
            FixedInDegree(degree),
            changing if plastic and target is groups[0] else fixed,
        )
        network.connect(
            groups[1],
            target,
            FixedInDegree(synapses_per_neuron - degree),
            Static(weight=-4 * WEIGHT, delay=2.0),
            receptor="inhibitory",
        )
        network.record(target)
    return network


@dataclass(frozen=True, slots=True)
class Microcircuit:
    """Potjans and Diesmann (2014): sizes, probabilities and rates of the eight populations.

    Numbers as in NEST's implementation (PyPI ``microcircuit``).
    """

    names = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
    sizes = (20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948)
    external = (1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100)
    rates = (0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829)
    start = (-68.28, -63.16, -63.33, -63.45, -63.11, -61.66, -66.72, -61.43)
    spread = (5.36, 4.57, 4.74, 4.94, 4.94, 4.55, 5.46, 4.48)
    probabilities = (
        (0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0),
        (0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0),
        (0.0077, 0.0059, 0.0497, 0.135, 0.0067, 0.0003, 0.0453, 0.0),
        (0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0),
        (0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0),
        (0.0548, 0.0269, 0.0257, 0.0022, 0.06, 0.3158, 0.0086, 0.0),
        (0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252),
        (0.0364, 0.001, 0.0034, 0.0005, 0.0277, 0.008, 0.0658, 0.1443),
    )


def microcircuit(
    scale: float = 0.1, *, seed: int = 1, threads: int | None = None, step: float = 0.1
) -> Network:
    """The cortical microcircuit of Potjans and Diesmann (2014), neurons and in-degrees scaled.

    As van Albada et al. (2015): with in-degrees at ``scale``, weights grow by 1/√scale, and a
    constant current makes up for the mean input that is lost.
    """
    if not 0.005 <= scale <= 1:
        raise SimulationError(f"expected a scale of 0.005 to 1, found {scale}")
    of = Microcircuit()
    network = Network(step=step, seed=seed, threads=threads)
    tau_m, tau_s, capacitance = 10.0, 0.5, 250.0
    # Current whose effect peaks at 0.15 mV.
    ratio = tau_s / tau_m
    peak = (
        tau_m
        * tau_s
        / capacitance
        / (tau_s - tau_m)
        * (ratio ** (tau_m / (tau_m - tau_s)) - ratio ** (tau_s / (tau_m - tau_s)))
    )
    weight = 0.15 / peak
    full = np.asarray(of.sizes, float)
    counts = np.log1p(-np.asarray(of.probabilities)) / np.log1p(-1 / np.outer(full, full))
    degrees = counts / full[:, np.newaxis]
    weights = np.tile([weight, -4 * weight], 4) * np.ones((8, 1))
    weights[0, 2] *= 2  # from L4E to L23E
    lost = (1 - math.sqrt(scale)) * 0.001 * tau_s
    missing = lost * ((weights * degrees) @ np.asarray(of.rates))
    missing += lost * weight * 8.0 * np.asarray(of.external)
    groups = [
        network.population(
            round(size * scale),
            LIF(
                tau_m=tau_m,
                c_m=capacitance,
                e_l=-65.0,
                v_th=-50.0,
                v_reset=-65.0,
                t_ref=2.0,
                i_e=float(missing[i]),
                v=Normal(of.start[i], of.spread[i]),
                receptors=CurrentExponential(tau_excitatory=tau_s, tau_inhibitory=tau_s),
            ),
            name=of.names[i],
        )
        for i, size in enumerate(of.sizes)
    ]
    stronger = 1 / math.sqrt(scale)
    for i, target in enumerate(groups):
        for j, source in enumerate(groups):
            # Sizes and in-degrees are both scaled.
            total = round(counts[i, j] * scale * scale)
            if total == 0:
                continue
            mean = weights[i, j] * stronger
            bound = {"low": 0.0} if mean > 0 else {"high": 0.0}
            latency = 1.5 if j % 2 == 0 else 0.75
            network.connect(
                source,
                target,
                FixedTotal(total),
                Static(
                    weight=Normal(mean, abs(mean) * 0.1, **bound),
                    delay=Normal(latency, latency / 2, low=step),
                ),
                receptor="excitatory" if j % 2 == 0 else "inhibitory",
            )
        network.stimulate(
            target,
            PoissonInput(rate=8.0, sources=round(of.external[i] * scale), weight=weight * stronger),
        )
        network.record(target)
    return network


def loihi(
    neurons: int = 131_072,
    synapses_per_neuron: int = 1000,
    rate: float = 5.0,
    *,
    seed: int = 1,
    threads: int | None = None,
) -> Network:
    """As many integer neurons as a Loihi chip holds, in steps of 1 ms.

    Each has ``synapses_per_neuron`` targets anywhere, whole weights of −64 to 64 and delays of 1 to
    62 steps. A bias lets a neuron alone fire at ``rate`` Hz; weights are balanced.
    """
    if not 0.5 <= rate <= 250:
        raise SimulationError(f"expected a rate of 0.5 to 250 Hz, found {rate}")
    network = Network(step=1.0, seed=seed, threads=threads)
    bias = 6400
    threshold = min(round(bias * 1000 / rate / 64), 2**17 - 1)
    start = np.random.default_rng(seed).integers(0, threshold * 64, neurons)
    cells = network.population(
        neurons,
        Loihi(v_th=threshold, bias_mantissa=bias // 8, bias_exponent=3, v=start.astype(float)),
        name="compartments",
    )
    network.connect(
        cells,
        cells,
        FixedOutDegree(synapses_per_neuron),
        Static(weight=Uniform(-64, 64), delay=Uniform(1.0, 62.0)),
    )
    network.record(cells)
    return network
