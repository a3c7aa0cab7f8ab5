"""What several ranks take, what the model says they take, and what it says of larger machines.

    python benchmarks/ranks.py measure                 # one rank
    mpiexec -n 2 python benchmarks/ranks.py measure    # strong and weak scaling, and an exchange
    python benchmarks/ranks.py predict FILE...         # what `measure` wrote: the model beside it

The model, for each simulated second, of the slowest rank with c threads:

    T = (u·N·s + e·E)/(R·c) + r·F/c + s/b·(a·log2 R + w·W)

N neurons, s steps, E synaptic events, F rows looked up on each rank (spikes times projections and
shards they may end in), R ranks, b steps in a block, W words of spikes in a block of all ranks.
u, e and r are fitted to networks on one rank, a and w to exchanges between two. Times are the least
of some runs, as other work shares the machine.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from pathlib import Path

import numpy as np

from sangbo import dynamics
from sangbo.dynamics.native import exchanged
from sangbo.dynamics.ranks import Ranks, totals

CHECKED = ("strong", "weak", "microcircuit")
STEPS, ROUNDS = 100, 30
# Networks of one rank that differ in what they do most: neurons, synapses to each, Hz.
FITTED = ((40_000, 10, 0.5), (40_000, 10, 40.0), (10_000, 1000, 10.0), (20_000, 1000, 10.0))
STRONG = (20_000, 1000, 10.0)
WEAK = (10_000, 1000, 10.0)  # neurons to each rank


def simulated(network: dynamics.Network) -> dict[str, float]:
    """A run of `STEPS`, counts of the mean run and seconds of the fastest."""
    start = time.perf_counter()
    native = network.build()
    built = time.perf_counter() - start
    network.run(200.0)
    ranks, found = network.ranks, []

    def counts() -> np.ndarray:
        spikes = [native.spikes(p.index) for p in network.populations]
        rows = sum(spikes[p.pre.index] for p in network.projections)
        events = totals(ranks, [sum(native.events(p.index) for p in network.projections)])
        return np.array([sum(spikes), *events, rows])

    before = counts()
    for _ in range(ROUNDS):
        ranks.all_of(np.zeros(1))
        waited, start = ranks.waited, time.perf_counter()
        native.run(STEPS)
        found.append((time.perf_counter() - start, ranks.waited - waited))
    spikes, events, rows = (counts() - before) / ROUNDS
    seconds, waited = min(found)
    return {
        "neurons": network.neurons,
        "synapses": sum(network.synapses),
        "steps": STEPS,
        "block": max(1, exchanged(network)),
        "spikes": spikes,
        "events": events,
        "rows": rows,
        "built": built,
        "seconds": seconds,
        "waited": waited,
        "median": float(np.median([each[0] for each in found])),
    }


def random(neurons: int, degree: int, rate: float, ranks: Ranks | None = None) -> dynamics.Network:
    network = dynamics.presets.random(neurons, degree, rate, threads=1)
    network.ranks = ranks or network.ranks
    return network


def exchanges(ranks: Ranks) -> list[dict[str, float]]:
    """Seconds of an exchange of so many words of each rank, by itself."""
    found = []
    for words in (8, 256, 8192, 131_072):
        content = np.arange(words, dtype=np.uint32)
        times = []
        for _ in range(300):
            start = time.perf_counter()
            ranks.send(content)
            ranks.receive()
            times.append(time.perf_counter() - start)
        found.append({"words": words, "seconds": min(times)})
    return found


class Replay:
    """The first of ``size`` ranks, which hears at once what one rank alone found before.

    So what one of many ranks computes is timed without the others.
    """

    rank, local, waited = 0, 1, 0.0

    def __init__(self, size: int, steps: list[np.ndarray]) -> None:
        self.size, self._steps, self._heard = size, steps, 0

    def send(self, words: np.ndarray) -> None:
        pass

    def receive(self) -> np.ndarray:
        words = self._steps[self._heard]
        self._heard += 1
        return words

    def all_of(self, values: np.ndarray) -> list[np.ndarray]:
        return [values, *[np.zeros_like(values)] * (self.size - 1)]


def heard(network: dynamics.Network) -> list[np.ndarray]:
    """What ranks hear in every step of the runs of `simulated`, in blocks of one step."""
    assert exchanged(network) == 1
    steps = round(200.0 / network.step) + ROUNDS * STEPS
    run = network.run(steps * network.step)
    words: list[list[np.ndarray]] = [[np.array([~np.uint32(0)] * 2)] for _ in range(steps + 1)]
    for population in network.populations:
        times, neurons = run.recorded.spike_times(population.name)
        at = np.round(times / network.step).astype(int)
        for step, each in enumerate(np.split(neurons, np.searchsorted(at, range(1, steps + 1)))):
            words[step] += [np.array([each.size]), each]
    found = []
    for each in words:
        line = np.concatenate(each).astype(np.uint32)
        found.append(np.concatenate([[line.size], line]).astype(np.uint32)[np.newaxis])
    return found


def slices() -> list[dict[str, float]]:
    """What the first of some ranks computes of the strong network."""
    steps = heard(random(*STRONG))
    found = []
    for size in (1, 2, 4, 8):
        rank = Replay(size, steps) if size > 1 else None
        found.append({"of": size, **simulated(random(*STRONG, ranks=rank))})
    return found


def measure() -> None:
    ranks = dynamics.default_ranks()
    found: dict[str, object] = {"ranks": ranks.size, "processors": os.cpu_count()}
    if ranks.size == 1:
        found["fitted"] = [simulated(random(*each)) for each in FITTED]
        found["slices"] = slices()
    found["strong"] = simulated(random(*STRONG))
    found["weak"] = simulated(random(WEAK[0] * ranks.size, *WEAK[1:]))
    found["microcircuit"] = simulated(dynamics.presets.microcircuit(0.1, threads=1))
    if ranks.size > 1:
        found["exchanges"] = exchanges(ranks)  # last: room for the largest stays
    if ranks.rank == 0:
        print(json.dumps(found, indent=1))


def parts(network: dict[str, float], ranks: int) -> list[float]:
    """Neuron updates and events of one rank, and rows that it looks up."""
    updates = network["neurons"] * network["steps"]
    return [updates / ranks, network["events"] / ranks, network["rows"]]


def predict(files: list[str]) -> None:
    from scipy.optimize import nnls

    measured = {m["ranks"]: m for m in (json.loads(Path(f).read_text("utf-8")) for f in files)}
    alone, pair = measured[1], measured[2]
    rows = np.array([parts(n, 1) for n in alone["fitted"]])
    times = np.array([n["seconds"] for n in alone["fitted"]])
    costs, _ = nnls(rows / times[:, np.newaxis], np.ones(len(times)))
    update, event, row = costs
    words = np.array([[1.0, 2.0 * e["words"]] for e in pair["exchanges"]])
    took = np.array([e["seconds"] for e in pair["exchanges"]])
    (latency, word), _ = nnls(words / took[:, np.newaxis], np.ones(len(took)))
    print(f"u {update * 1e9:.2f} ns an update, e {event * 1e9:.2f} ns an event, ", end="")
    print(f"r {row * 1e9:.1f} ns a row; a {latency * 1e6:.1f} us an exchange, ", end="")
    print(f"w {word * 1e9:.2f} ns a word")

    def model(n: dict[str, float], ranks: int, threads: int, a: float, w: float) -> list[float]:
        one = parts(n, ranks)
        blocks = n["steps"] / n["block"]
        spoken = ranks * (2 + n["block"] * 2) + n["spikes"] / blocks
        return [
            update * one[0] / threads,
            event * one[1] / threads,
            row * one[2] / threads,
            blocks * (a * math.log2(ranks) + w * spoken) if ranks > 1 else 0.0,
        ]

    print("network       ranks  least ms  (median)  waited ms  model ms  off by  build s")
    shown = [("fitted", n, 1) for n in alone["fitted"]]
    shown += [(name, m[name], m["ranks"]) for name in CHECKED for m in (alone, pair)]
    for name, n, ranks in shown:
        said = sum(model(n, ranks, 1, latency, word))
        off = said / n["seconds"] - 1
        print(
            f"{name:12}  {ranks:5}  {n['seconds'] * 1e3:8.2f}  ({n['median'] * 1e3:6.1f})  "
            f"{n['waited'] * 1e3:9.2f}  {said * 1e3:8.2f}  {off:+6.0%}  {n['built']:7.2f}"
        )
    print("the strong network, what one of so many ranks computes: least ms, model ms, off by")
    for n in alone["slices"]:
        # Events of this rank alone were counted.
        own = {**n, "events": n["events"] * n["of"]}
        said = sum(model(own, int(n["of"]), 1, 0.0, 0.0))
        print(
            f"{n['of']:3}  {n['seconds'] * 1e3:8.2f}  {said * 1e3:8.2f}  "
            f"{said / n['seconds'] - 1:+6.0%}"
        )
    # Spikes and events of a second; 5 Hz of Pohoiki Springs are assumed.
    springs = {"neurons": 1e8, "steps": 1000, "block": 1, "spikes": 5e8, "events": 5e11}
    cortex = {"neurons": 77_169, "steps": 10_000, "block": 1, "spikes": 2.4e5, "events": 9.3e8}
    print("network                 ranks  threads   neurons    events      rows  exchange  = s")
    for name, n, projections in (
        ("Pohoiki Springs, 5 Hz", springs, 1),
        ("microcircuit", cortex, 8),
    ):
        for ranks, threads in ((1, 2), (8, 16), (128, 64), (1000, 64)):
            shards = max(threads, math.ceil(n["neurons"] / ranks / 65_536))
            n["rows"] = n["spikes"] * projections * shards
            # Two microseconds a hop, 12.5 GB/s into each machine.
            found = model(n, ranks, threads, 2e-6, 4 / 12.5e9)
            text = "  ".join(f"{part:8.3g}" for part in found)
            print(f"{name:22}  {ranks:5}  {threads:7}  {text}  = {sum(found):.3g}")


if __name__ == "__main__":
    if sys.argv[1:] == ["measure"]:
        measure()
    elif len(sys.argv) > 3 and sys.argv[1] == "predict":
        predict(sys.argv[2:])
    else:
        sys.exit(__doc__)
