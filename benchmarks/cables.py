"""Times cells of many compartments beside NEURON: one cell, and a network of small ones.

make benchmark-cables
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from interleaved import answer, spread, take_turns

STEP = 0.025
THREADS = int(os.environ.get("SANGBO_THREADS", "0")) or len(os.sched_getaffinity(0))
CELLS = 1000
DEGREE = 10
PIECES = 10  # compartments of a small cell's dendrite
DELAY = 2.0
WEIGHT = 0.5  # nS
CURRENT = 0.2  # nA
# One cell: a soma and eight branches that branch twice, Hodgkin and Huxley's channels all over.
BRANCH, THICK, LONGEST = 200.0, 2.0, 10.0

Simulate = Callable[[float], tuple[float, int]]


def tree() -> list[tuple[str, str]]:
    """Names of branches and parents."""
    made: list[tuple[str, str]] = []
    for k in range(8):
        made.append((f"b{k}", "soma"))
        for i in range(2):
            made.append((f"b{k}{i}", f"b{k}"))
            made += [(f"b{k}{i}{j}", f"b{k}{i}") for j in range(2)]
    return made


def sangbo_cell() -> Simulate:
    from sangbo import dynamics as d

    sections = [d.sphere("soma", 20.0)]
    sections += [d.cylinder(n, BRANCH, THICK, parent=p) for n, p in tree()]
    cell = d.Cable(morphology=d.Morphology(sections), channels={"all": ["hh"]}, longest=LONGEST)
    network = d.Network(step=STEP, threads=1)
    cells = network.population(1, cell)
    network.stimulate(cells, d.StepInput(times=[1.0], values=[3000.0]))
    return _sangbo(network)


def sangbo_network(threads: int) -> Simulate:
    from sangbo import dynamics as d

    shape = d.Morphology([d.sphere("soma", 20.0), d.cylinder("dend", 300.0, 2.0, parent="soma")])
    cell = d.Cable(
        morphology=shape,
        channels={"soma": ["hh"], "dend": [d.Passive(g=1e-4, e=-65.0)]},
        synapses={"s": d.ExponentialSite(place=d.Place("dend", 0.5), tau=2.0)},
        longest=300.0 / PIECES,
    )
    network = d.Network(step=STEP, seed=1, threads=threads)
    cells = network.population(CELLS, cell)
    network.connect(
        cells, cells, d.FixedInDegree(DEGREE), d.Static(weight=WEIGHT, delay=DELAY), receptor="s"
    )
    network.stimulate(cells, d.StepInput(times=[1.0], values=[1000 * CURRENT]))
    return _sangbo(network)


def _sangbo(network: Any) -> Simulate:
    def simulate(duration: float) -> tuple[float, int]:
        run = network.run(duration)
        return run.seconds, run.spikes

    return simulate


def _sections(h: Any, gid: int, made: list[Any]) -> Any:
    soma = h.Section(name=f"soma{gid}")
    soma.L = soma.diam = 20.0
    soma.insert("hh")
    made.append(soma)
    return soma


def neuron_cell() -> Simulate:
    from neuron import h

    made: list[Any] = []
    known = {"soma": _sections(h, 0, made)}
    for name, parent in tree():
        s = h.Section(name=name)
        s.L, s.diam, s.nseg, s.Ra = BRANCH, THICK, round(BRANCH / LONGEST), 100.0
        s.insert("hh")
        s.connect(known[parent](0.5 if parent == "soma" else 1))
        known[name] = s
        made.append(s)
    clamp = h.IClamp(made[0](0.5))
    clamp.delay, clamp.dur, clamp.amp = 1.0, 1e9, 3.0
    return _neuron(h, [made, clamp], [made[0]], 1)


def neuron_network(threads: int) -> Simulate:
    import random

    from neuron import h

    draw = random.Random(1)
    kept: list[Any] = []
    somas, sites = [], []
    for gid in range(CELLS):
        soma = _sections(h, gid, kept)
        dend = h.Section(name=f"dend{gid}")
        dend.L, dend.diam, dend.nseg, dend.Ra = 300.0, 2.0, PIECES, 100.0
        soma.Ra = 100.0
        dend.insert("pas")
        dend.g_pas, dend.e_pas = 1e-4, -65.0
        dend.connect(soma(0.5))
        site = h.ExpSyn(dend(0.5))
        site.tau, site.e = 2.0, 0.0
        clamp = h.IClamp(soma(0.5))
        clamp.delay, clamp.dur, clamp.amp = 1.0, 1e9, CURRENT
        kept += [dend, site, clamp]
        somas.append(soma)
        sites.append(site)
    for site in sites:
        for source in draw.choices(somas, k=DEGREE):
            link = h.NetCon(source(0.5)._ref_v, site, sec=source)
            link.threshold, link.delay, link.weight[0] = 0.0, DELAY, WEIGHT / 1000
            kept.append(link)
    return _neuron(h, kept, somas, threads)


def _neuron(h: Any, kept: list[Any], somas: list[Any], threads: int) -> Simulate:
    h.load_file("stdrun.hoc")
    spikes = [h.Vector() for _ in somas]  # one each: threads must not share them
    for soma, own in zip(somas, spikes, strict=True):
        link = h.NetCon(soma(0.5)._ref_v, None, sec=soma)
        link.threshold = 0.0
        link.record(own)
        kept.append(link)
    context = h.ParallelContext()
    context.nthread(threads)
    h.cvode.cache_efficient(1)
    h.dt, h.secondorder, h.celsius = STEP, 2, 6.3
    h.finitialize(-65.0)
    context.set_maxstep(10)
    held = [kept, spikes, context]

    def simulate(duration: float) -> tuple[float, int]:
        before = sum(map(len, held[1]))
        start = time.perf_counter()
        context.psolve(h.t + duration)
        took = time.perf_counter() - start
        return took, sum(map(len, held[1])) - before

    return simulate


# Simulated ms, times slower that NEURON may be at least, and who.
CASES: dict[str, tuple[float, float, dict[str, Callable[[], Simulate]]]] = {
    "one cell, 1,121 compartments": (
        100.0,
        1.0,
        {"sangbo": sangbo_cell, "NEURON": neuron_cell},
    ),
    "1,000 cells, 1 thread": (
        100.0,
        2.0,
        {"sangbo": lambda: sangbo_network(1), "NEURON": lambda: neuron_network(1)},
    ),
    f"1,000 cells, {THREADS} threads": (
        100.0,
        2.0,
        {"sangbo": lambda: sangbo_network(THREADS), "NEURON": lambda: neuron_network(THREADS)},
    ),
}


def serve(case: str, name: str, pipe: Connection) -> None:
    """Build, then answer durations with what a run did, until the pipe closes."""
    duration, _, makers = CASES[case]
    simulate = makers[name]()
    simulate(duration / 5)
    answer(0.0, simulate, pipe)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"{options.rounds} rounds, median (range), steps of {STEP} ms\n")
    print("| network | engine | run, s per s | spikes | times slower |")
    print("|---|---|---:|---:|---:|")
    for case, (duration, wanted, makers) in CASES.items():
        _, runs = take_turns(serve, case, makers, duration, options.rounds)
        for name, found in runs.items():
            ratios = [a[0] / b[0] for a, b in zip(found, runs["sangbo"], strict=True)]
            goal = f" (goal ≥ {wanted:g})" if name != "sangbo" else ""
            print(
                f"| {case} | {name} | {spread([r[0] / duration * 1000 for r in found])} | "
                f"{sum(r[1] for r in found):,} | {spread(ratios)}{goal} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
