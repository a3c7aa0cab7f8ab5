"""The whole microcircuit of Potjans and Diesmann: rates, memory, time; published figures beside.

    python benchmarks/microcircuit.py [--transient MS] [--duration MS] [--scale 1] [--seed 1]

Published rates: the table of NEST's example before and after its version 3 (`network_params.py` of
`Potjans_2014`; PyPI ``microcircuit`` 1.0). Published times: see `NEST`.
"""

from __future__ import annotations

import argparse
import resource
import time

from sangbo.dynamics import presets

# Hz of the eight populations.
BEFORE_3 = (0.971, 2.868, 4.746, 5.396, 8.142, 9.078, 0.991, 7.523)
SINCE_3 = presets.Microcircuit.rates
NEST = (
    ("NEST, cluster, MPI and threads, at its fastest (van Albada et al. 2018)", "about 3"),
    ("NEST 2.14, 128 cores of AMD EPYC in one machine (Kurth et al. 2021)", "below 1"),
    ("the same, two machines: 1.7 times faster than real time", "0.59"),
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--transient", type=float, default=200.0)
    parser.add_argument("--duration", type=float, default=1000.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=None)
    given = parser.parse_args()
    network = presets.microcircuit(given.scale, seed=given.seed, threads=given.threads)
    start = time.perf_counter()
    network.build()
    built = time.perf_counter() - start
    network.run(given.transient)
    start = time.process_time()
    run = network.run(given.duration)
    busy = (time.process_time() - start) * 1000 / run.duration
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{run.neurons:,} neurons, {run.synapses:,} synapses; {memory:.2f} GiB at most")
    print(f"built in {built:.1f} s; {run.duration:g} ms after {given.transient:g} ms")
    print("population  Hz here  NEST before 3  NEST since 3")
    for population, before, since in zip(network.populations, BEFORE_3, SINCE_3, strict=True):
        found = run.population_spikes[population.name] / population.size / run.duration * 1000
        print(f"{population.name:>10}  {found:7.3f}  {before:13.3f}  {since:12.3f}")
    print(
        f"real-time factor {run.real_time_factor:.3g} on {run.threads} threads, "
        f"{run.events_per_second / 1e6:,.0f} million events/s; {busy:.3g} s of processors a second"
    )
    for name, factor in NEST:
        print(f"{factor:>7}  {name}")


if __name__ == "__main__":
    main()
