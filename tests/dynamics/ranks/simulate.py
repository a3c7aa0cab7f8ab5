"""What one rank of a test does: simulates, and prints one JSON object where it is the first.

    mpiexec -n 2 python simulate.py THREADS [save FOLDER | restore FOLDER]

Runs each kind of network twice, and prints what the second run did; between the two it saves what
the network is in the middle of, or it begins there.
"""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np

from sangbo import dynamics

HALF = 30.0  # ms
KINDS = ("late", "early", "learning", "integers")


def described(kind: str, threads: int, ranks: dynamics.Ranks | None = None) -> dynamics.Network:
    """A network of ``kind``: late, early, learning, or integers."""
    step = 1.0 if kind == "integers" else 0.5
    network = dynamics.Network(step=step, seed=7, threads=threads, ranks=ranks)
    if kind == "integers":
        start = np.random.default_rng(1).integers(0, 300 * 64, 500).astype(float)
        compartment = dynamics.Loihi(v_th=300, bias_mantissa=800, bias_exponent=3, v=start)
        cells = network.population(500, compartment, name="cells")
        rule = dynamics.FixedOutDegree(50)
        ways = dynamics.Static(weight=dynamics.Uniform(-64, 64), delay=dynamics.Uniform(4.0, 62.0))
        network.connect(cells, cells, rule, ways)
        network.record(cells)
        network.record(cells, "v", neurons=[499, 3, 250], every=5.0)
        return network
    model = dynamics.LIF(e_l=0.0, v_th=20.0, v_reset=10.0, v=dynamics.Uniform(0.0, 20.0))
    excitatory = network.population(1500, model, name="excitatory")
    inhibitory = network.population(410, model, name="inhibitory")
    told = network.population(
        None, dynamics.SpikeTimes([[0.0, 1.0 + k / 2] for k in range(70)]), name="told"
    )
    low = 3.0 if kind == "early" else 0.5
    delay = dynamics.Normal(low + 1.5, 1.0, low=low)
    strong = dynamics.Normal(45.0, 4.0)
    for target in (excitatory, inhibitory):
        learns = kind == "learning" and target is excitatory
        synapses: dynamics.STDP | dynamics.Static = dynamics.Static(weight=strong, delay=delay)
        if learns:
            synapses = dynamics.STDP(weight=45.0, delay=delay, a_plus=1.0, a_minus=1.0, w_max=90.0)
        network.connect(excitatory, target, dynamics.FixedInDegree(60), synapses)
        network.connect(
            inhibitory,
            target,
            dynamics.FixedProbability(0.05),
            dynamics.Static(weight=-250.0, delay=delay),
            receptor="inhibitory",
        )
        network.connect(
            told, target, dynamics.FixedTotal(3000), dynamics.Static(weight=50.0, delay=3.0)
        )
        network.stimulate(target, dynamics.PoissonInput(rate=12_000.0, weight=45.0))
        network.stimulate(target, dynamics.NoiseInput(deviation=20.0))
        network.record(target)
    network.record(excitatory, "v", neurons=[1400, 3, 700], every=5.0)
    return network


def simulated(
    kind: str,
    threads: int,
    save: str = "",
    restore: str = "",
    ranks: dynamics.Ranks | None = None,
) -> dict[str, object]:
    """What the second half of a run did: counts, and a hash of spikes and states."""
    network = described(kind, threads, ranks)
    if restore:
        network.restore(restore)
    else:
        network.run(HALF)
    if save:
        network.save(save)
    run = network.run(HALF)
    digest = hashlib.sha256()
    for population in network.populations:
        for state in population.states:
            digest.update(population.state(state).tobytes())
    for population in network.recorded if network.ranks.rank == 0 else []:
        times, neurons = run.recorded.spike_times(population.name)
        late = times > HALF
        digest.update(times[late].tobytes() + neurons[late].tobytes())
    for population, sampling in network.samplings if network.ranks.rank == 0 else []:
        times, values = run.recorded.samples(population.name, sampling.state)
        digest.update(times[times > HALF].tobytes() + values[times > HALF].tobytes())
    return {
        "time": network.time,
        "spikes": run.spikes,
        "events": run.synaptic_events,
        "synapses": run.synapses,
        "hash": digest.hexdigest(),
    }


def main() -> None:
    threads, *rest = sys.argv[1:]
    folders = dict(zip(rest[::2], rest[1::2], strict=True))
    found = {}
    for kind in KINDS:
        save, restore = (
            f"{folders[k]}/{kind}" if k in folders else "" for k in ("save", "restore")
        )
        found[kind] = simulated(kind, int(threads), save, restore)
    if dynamics.default_ranks().rank == 0:
        print(json.dumps({"ranks": dynamics.default_ranks().size, **found}))


if __name__ == "__main__":
    main()
